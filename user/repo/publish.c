/* SPDX-License-Identifier: BSD-2-Clause */
#include "publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"
#include "catalog.h"
#include "digest.h"
#include "fault.h"

#define VIEWS_MAX    4096
#define TENANT_START "tenant-"
#define BUILDING     ".new"

struct publisher {
	struct repod *repod;
	pthread_mutex_t lock; /* one publish at a time */
};

struct views {
	char name[VIEWS_MAX][PUBLISH_VIEW_MAX];
	unsigned count;
};

int publish_start(struct repod *repod, struct publisher **ret_publisher)
{
	struct publisher *publisher = calloc(1, sizeof(*publisher));

	if (!publisher)
		return -ENOMEM;
	publisher->repod = repod;
	pthread_mutex_init(&publisher->lock, NULL);
	*ret_publisher = publisher;
	return 0;
}

void publish_stop(struct publisher *publisher)
{
	if (!publisher)
		return;
	pthread_mutex_destroy(&publisher->lock);
	free(publisher);
}

/* ---- what is there ---- */

/* The number behind VIEW/current; 0 when the view is not published. */
static uint64_t current_generation(struct store *store, const char *view)
{
	char path[PUBLISH_VIEW_MAX + 16], target[24];
	uint64_t generation;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/current", view);
	n = readlinkat(store->published, path, target, sizeof(target) - 1);
	if (n <= 0)
		return 0;
	target[n] = '\0';
	return name_number(target, UINT64_MAX / 2, &generation) ? 0 : generation;
}

static bool add_view(struct views *views, const char *name)
{
	for (unsigned i = 0; i < views->count; i++)
		if (!strcmp(views->name[i], name))
			return true;
	if (views->count == VIEWS_MAX)
		return false;
	snprintf(views->name[views->count++], PUBLISH_VIEW_MAX, "%s", name);
	return true;
}

static int list_published(struct store *store, struct views *views)
{
	int fd = openat(store->published, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < PUBLISH_VIEW_MAX)
			add_view(views, entry->d_name);
	closedir(dir);
	return 0;
}

/* Generations are numbered across all views: the newest of them is what clients compare. */
static uint64_t newest_generation(struct store *store, const struct views *views)
{
	uint64_t newest = 0, generation;

	for (unsigned i = 0; i < views->count; i++) {
		generation = current_generation(store, views->name[i]);
		if (generation > newest)
			newest = generation;
	}
	return newest;
}

static void list_free(struct publish_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->entries[i].arch);
		free(list->entries[i].filename);
		free(list->entries[i].sha256);
		free(list->entries[i].tenants);
	}
	free(list->entries);
}

static int add_entry(const struct catalog_row *row, void *arg)
{
	struct publish_list *list = arg;
	struct publish_entry *entry, *more;

	if (!strcmp(row->kind, "file"))
		return 0;
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 256;
		more = realloc(list->entries, list->room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		list->entries = more;
	}
	entry = &list->entries[list->count];
	entry->kind = strcmp(row->kind, "rpm") ? PACKAGE_DEB : PACKAGE_RPM;
	entry->is_public = row->is_public;
	entry->arch = strdup(row->arch);
	entry->filename = strdup(row->filename);
	entry->sha256 = strdup(row->sha256);
	entry->tenants = strdup(row->tenants);
	list->count++;
	return entry->arch && entry->filename && entry->sha256 && entry->tenants ? 0 : -ENOMEM;
}

/* Public, the tenants that have something of their own, and what is published already. */
static int collect_views(struct store *store, const struct publish_list *list, struct views *views)
{
	char name[PUBLISH_VIEW_MAX];

	add_view(views, "public");
	for (size_t i = 0; i < list->count; i++) {
		const char *tenant = list->entries[i].is_public ? "" : list->entries[i].tenants;

		while (*tenant) {
			size_t len = strcspn(tenant, ",");

			snprintf(name, sizeof(name), TENANT_START "%.*s", (int)len, tenant);
			if (!add_view(views, name))
				return -E2BIG;
			tenant += len + (tenant[len] == ',');
		}
	}
	return list_published(store, views);
}

/* ---- one view ---- */

static int remove_tree(struct store *store, const char *view, const char *name)
{
	char path[512];
	char *const roots[] = { path, NULL };
	FTSENT *entry;
	FTS *tree;
	int err = 0;

	snprintf(path, sizeof(path), "%s/published/%s/%s", store->path, view, name);
	tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	if (!tree)
		return -errno;
	while ((entry = fts_read(tree))) {
		if (entry->fts_info == FTS_D)
			continue;
		if (entry->fts_info == FTS_DP ? rmdir(entry->fts_accpath)
					      : unlink(entry->fts_accpath))
			err = errno == ENOENT ? err : -errno;
	}
	fts_close(tree);
	return err;
}

/* Removes what a broken publish left, and generations that no request can be reading. */
static void collect_garbage(struct store *store, const char *view, uint64_t keep, uint64_t also)
{
	int fd = openat(store->published, view, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint64_t generation;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, BUILDING)) {
			remove_tree(store, view, BUILDING);
			continue;
		}
		if (name_number(entry->d_name, UINT64_MAX / 2, &generation) || generation == keep ||
		    generation == also)
			continue;
		remove_tree(store, view, entry->d_name);
	}
	closedir(dir);
}

/* The manifest's text: settings and packages. Equal texts make equal trees. */
static char *make_manifest(const struct publish_build *build, unsigned *ret_own)
{
	const struct settings_publish *settings = &build->repod->settings->publish;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "# %s %s %s", settings->suite, settings->component, settings->origin);
	for (unsigned i = 0; i < settings->architectures_count; i++)
		fprintf(out, " %s", settings->architectures[i]);
	for (unsigned i = 0; i < build->keys->count; i++)
		fprintf(out, " %s", build->keys->fingerprint[i]);
	fputc('\n', out);
	*ret_own = 0;
	for (size_t i = 0; i < build->packages->count; i++) {
		const struct publish_entry *entry = &build->packages->entries[i];

		if (!publish_visible(entry, build->tenant))
			continue;
		*ret_own += !entry->is_public;
		fprintf(out, "%s %s %s %s\n", package_kind_name(entry->kind), entry->arch,
			entry->sha256, entry->filename);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static bool same_as_current(const struct publish_build *build, const char *manifest)
{
	size_t len = strlen(manifest);
	struct stat status;
	bool same = false;
	char *old;
	int fd;

	/* A retired file whose time has come is a change as well. */
	if (build->old_dir < 0)
		return false;
	if (!fstatat(build->old_dir, "retired", &status, 0) && status.st_size &&
	    db_now() - status.st_mtim.tv_sec >= build->repod->settings->publish.grace)
		return false;
	fd = openat(build->old_dir, "manifest", O_RDONLY | O_CLOEXEC);
	old = fd < 0 ? NULL : malloc(len + 1);
	if (old)
		same = pread(fd, old, len + 1, 0) == (ssize_t)len && !memcmp(old, manifest, len);
	free(old);
	if (fd >= 0)
		close(fd);
	return same;
}

/* Links the view's packages from the blobs. One deleted meanwhile is simply not in it. */
static int link_packages(struct publish_build *build)
{
	struct store *store = build->repod->store;
	char path[400], blob[STORE_BLOB_PATH];
	int err;

	for (size_t i = 0; i < build->packages->count; i++) {
		const struct publish_entry *entry = &build->packages->entries[i];

		if (!publish_visible(entry, build->tenant))
			continue;
		store_blob_path(entry->sha256, blob);
		err = publish_entry_path(entry, path, sizeof(path));
		if (!err)
			err = publish_link(store->blobs, blob, build->dir, path);
		if (err == -ENOENT &&
		    !catalog_digest_used(db_reader(build->repod->db), entry->sha256))
			continue;
		if (err == -ENOENT)
			return problem_set(build->problem, 500, "damaged",
					   "run \"sluice-repo fsck\"", "the file of %s is missing",
					   entry->filename);
		if (err)
			return problem_errno(build->problem, err, "publish");
		build->debs += entry->kind == PACKAGE_DEB;
		build->rpms += entry->kind == PACKAGE_RPM;
	}
	return 0;
}

static int write_manifest(struct publish_build *build, const char *manifest)
{
	int fd = openat(build->dir, "manifest", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t len = strlen(manifest);
	ssize_t n;

	if (fd < 0)
		return problem_errno(build->problem, -errno, "publish");
	n = write(fd, manifest, len);
	close(fd);
	return n == (ssize_t)len ? 0 : problem_errno(build->problem, -ENOSPC, "publish");
}

/* Everything is on disk before the one rename that makes it current. */
static int switch_view(struct publish_build *build)
{
	struct store *store = build->repod->store;
	char number[24], from[PUBLISH_VIEW_MAX + 32], to[PUBLISH_VIEW_MAX + 32];
	int view_dir, err = 0;

	fault_point("publish-sync");
	if (syncfs(build->dir))
		return problem_errno(build->problem, -errno, "publish");
	snprintf(number, sizeof(number), "%06llu", (unsigned long long)build->generation);
	snprintf(from, sizeof(from), "%s/" BUILDING, build->view);
	snprintf(to, sizeof(to), "%s/%s", build->view, number);
	fault_point("publish-rename");
	if (renameat(store->published, from, store->published, to))
		return problem_errno(build->problem, -errno, "publish");
	view_dir = openat(store->published, build->view, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (view_dir < 0)
		return problem_errno(build->problem, -errno, "publish");
	if (unlinkat(view_dir, ".current", 0) && errno != ENOENT)
		err = -errno;
	if (!err && symlinkat(number, view_dir, ".current"))
		err = -errno;
	if (!err)
		err = store_sync(view_dir, "publish-view-sync");
	fault_point("publish-switch");
	if (!err && renameat(view_dir, ".current", view_dir, "current"))
		err = -errno;
	fault_point("publish-switched");
	if (!err)
		err = store_sync(view_dir, "publish-switch-sync");
	close(view_dir);
	return err ? problem_errno(build->problem, err, "publish") : 0;
}

static int build_view(struct publish_build *build, const char *manifest)
{
	struct store *store = build->repod->store;
	char relative[PUBLISH_VIEW_MAX + 16];

	remove_tree(store, build->view, BUILDING);
	if ((mkdirat(store->published, build->view, 0755) && errno != EEXIST))
		return problem_errno(build->problem, -errno, "publish");
	snprintf(relative, sizeof(relative), "%s/" BUILDING, build->view);
	if (mkdirat(store->published, relative, 0755))
		return problem_errno(build->problem, -errno, "publish");
	snprintf(build->path, sizeof(build->path), "%s/published/%s", store->path, relative);
	build->dir = openat(store->published, relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (build->dir < 0)
		return problem_errno(build->problem, -errno, "publish");
	fault_point("publish-begin");
	if (link_packages(build) || publish_apt(build) || publish_rpm(build) ||
	    publish_carry(build) || write_manifest(build, manifest))
		return -1;
	return 0;
}

/* A tenant that has nothing of its own (any more) falls back to the public view. */
static int drop_view(struct publish_build *build)
{
	struct store *store = build->repod->store;
	char path[PUBLISH_VIEW_MAX + 16];
	int view_dir, err;

	snprintf(path, sizeof(path), "%s/current", build->view);
	if (unlinkat(store->published, path, 0) && errno != ENOENT)
		return problem_errno(build->problem, -errno, "publish");
	view_dir = openat(store->published, build->view, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (view_dir < 0)
		return 0;
	err = store_sync(view_dir, "publish-drop-sync");
	close(view_dir);
	collect_garbage(store, build->view, 0, 0);
	unlinkat(store->published, build->view, AT_REMOVEDIR);
	return err ? problem_errno(build->problem, err, "publish") : 0;
}

/* Builds the view when it changed. 1 when it was switched, 0 when not, -1 and the problem. */
static int update_view(struct publish_build *build)
{
	struct store *store = build->repod->store;
	uint64_t old = current_generation(store, build->view);
	char relative[PUBLISH_VIEW_MAX + 24], *manifest;
	unsigned own;
	int result = 0;

	build->dir = build->old_dir = -1;
	if (old) {
		snprintf(relative, sizeof(relative), "%s/%06llu", build->view,
			 (unsigned long long)old);
		snprintf(build->old_path, sizeof(build->old_path), "%s/published/%s", store->path,
			 relative);
		build->old_dir =
			openat(store->published, relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	manifest = make_manifest(build, &own);
	if (!manifest)
		result = problem_errno(build->problem, -ENOMEM, "publish");
	else if (same_as_current(build, manifest))
		result = 0;
	else if (build->tenant && !own && !old)
		result = drop_view(build);
	else if (build_view(build, manifest))
		result = -1;
	/* Nothing of its own, nothing retired: the tenant needs no view any more. */
	else if (build->tenant && !own && !build->retired)
		result = drop_view(build);
	else
		result = switch_view(build) ? -1 : 1;
	free(manifest);
	if (build->dir >= 0)
		close(build->dir);
	if (build->old_dir >= 0)
		close(build->old_dir);
	if (result < 0)
		remove_tree(store, build->view, BUILDING);
	else if (result > 0)
		collect_garbage(store, build->view, build->generation, old);
	return result;
}

/* ---- all of them ---- */

static int publish_views(struct publisher *publisher, const struct publish_list *list,
			 const struct views *views, const struct sign_keys *keys,
			 uint64_t generation, json_t *changed, struct problem *problem)
{
	for (unsigned i = 0; i < views->count; i++) {
		const char *view = views->name[i];
		struct publish_build build = {
			.repod = publisher->repod,
			.packages = list,
			.keys = keys,
			.view = view,
			.generation = generation,
			.problem = problem,
		};
		int result;

		if (!strncmp(view, TENANT_START, strlen(TENANT_START)))
			build.tenant = view + strlen(TENANT_START);
		else if (strcmp(view, "public") != 0)
			continue;
		result = update_view(&build);
		if (result < 0)
			return -1;
		if (result > 0)
			json_array_append_new(changed, json_pack("{s:s, s:i, s:i, s:i}", "view",
								 view, "debs", (int)build.debs,
								 "rpms", (int)build.rpms, "retired",
								 (int)build.retired));
	}
	return 0;
}

static json_t *run_locked(struct publisher *publisher, const char *who, int64_t expected,
			  struct problem *problem)
{
	struct repod *repod = publisher->repod;
	struct catalog_filter all = { .viewer = NULL };
	struct publish_list list = { 0 };
	struct views *views = calloc(1, sizeof(*views));
	json_t *changed = json_array(), *report = NULL;
	struct sign_keys keys;
	uint64_t generation;
	char text[64];
	int err;

	err = views && changed ? sign_keys_load(repod->store, &keys) : -ENOMEM;
	if (!err)
		err = catalog_each(db_reader(repod->db), &all, add_entry, &list);
	if (!err)
		err = collect_views(repod->store, &list, views);
	if (err) {
		problem_errno(problem, err, "publish");
		goto out;
	}
	generation = newest_generation(repod->store, views);
	if (expected >= 0 && (uint64_t)expected != generation) {
		problem_set(problem, 412, "generation",
			    "look at what was published, then publish again",
			    "generation %llu is published, not %lld",
			    (unsigned long long)generation, (long long)expected);
		goto out;
	}
	if (!keys.count) {
		problem_set(problem, 409, "no-key", "\"sluice-repo key create\" makes one",
			    "there is no signing key yet");
		goto out;
	}
	generation++;
	err = publish_views(publisher, &list, views, &keys, generation, changed, problem);
	sign_end(repod->store);
	if (err)
		goto out;
	if (!json_array_size(changed))
		generation--;
	snprintf(text, sizeof(text), "generation %llu", (unsigned long long)generation);
	if (json_array_size(changed))
		db_audit_alone(repod->db, who, "publish", text, NULL);
	report = json_pack("{s:I, s:O}", "generation", (json_int_t)generation, "changed", changed);
out:
	json_decref(changed);
	list_free(&list);
	free(views);
	return report;
}

json_t *publish_run(struct publisher *publisher, const char *who, int64_t expected,
		    struct problem *problem)
{
	json_t *report;

	if (pthread_mutex_trylock(&publisher->lock)) {
		problem_set(problem, 409, "busy", "try again when it has ended",
			    "another publish is running");
		return NULL;
	}
	report = run_locked(publisher, who, expected, problem);
	pthread_mutex_unlock(&publisher->lock);
	if (report)
		log_info("published by %s: generation %lld", who,
			 (long long)json_integer_value(json_object_get(report, "generation")));
	else if (problem->status >= 500)
		log_error("publish by %s failed: %s", who, problem->message);
	return report;
}

json_t *publish_show(struct publisher *publisher, struct problem *problem)
{
	struct store *store = publisher->repod->store;
	struct views *views = calloc(1, sizeof(*views));
	json_t *list = json_array(), *report = NULL;
	int err = views && list ? list_published(store, views) : -ENOMEM;

	if (err) {
		problem_errno(problem, err, "publish");
		goto out;
	}
	for (unsigned i = 0; i < views->count; i++) {
		uint64_t generation = current_generation(store, views->name[i]);

		if (generation)
			json_array_append_new(list,
					      json_pack("{s:s, s:I}", "view", views->name[i],
							"generation", (json_int_t)generation));
	}
	report = json_pack("{s:I, s:O}", "generation", (json_int_t)newest_generation(store, views),
			   "views", list);
out:
	json_decref(list);
	free(views);
	return report;
}

void publish_view_of(struct store *store, const char *viewer, char ret_view[PUBLISH_VIEW_MAX])
{
	if (viewer && *viewer) {
		snprintf(ret_view, PUBLISH_VIEW_MAX, TENANT_START "%s", viewer);
		if (current_generation(store, ret_view))
			return;
	}
	strcpy(ret_view, "public");
}
