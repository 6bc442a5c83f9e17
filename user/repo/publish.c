/* SPDX-License-Identifier: BSD-2-Clause */
#include "publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/log.h"
#include "catalog.h"

/* Each tenant that has something, or had it at the last publish. */
#define VIEWS_MAX    (2 * CATALOG_ALL_TENANTS_MAX + 1)
#define BATCH	     64			/* views published together: each has three files open */
#define MANIFESTS    (64 * 1024 * 1024) /* of a batch, in memory */
#define AHEAD	     3			/* views that gpg is at while the next is begun */
#define TENANT_START "tenant-"

struct publisher {
	struct repod *repod;
	pthread_mutex_t lock; /* one publish at a time */
};

struct view {
	char name[PUBLISH_VIEW_MAX];
	uint64_t
		own; /* of which packages that are not public it holds: equal ones are neighbours */
};

struct views {
	struct view view[VIEWS_MAX];
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

uint64_t publish_generation(struct store *store, const char *view)
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

/* NULL when there are too many. */
static struct view *add_view(struct views *views, const char *name)
{
	struct view *view;

	for (unsigned i = 0; i < views->count; i++)
		if (!strcmp(views->view[i].name, name))
			return &views->view[i];
	if (views->count == VIEWS_MAX)
		return NULL;
	view = &views->view[views->count++];
	snprintf(view->name, sizeof(view->name), "%s", name);
	return view;
}

/* FNV-1a; what only looks equal is told apart by its manifest. */
static void add_own(struct view *view, const char *sha256)
{
	for (; *sha256; sha256++)
		view->own = (view->own ^ (unsigned char)*sha256) * 1099511628211u;
}

static int compare_views(const void *a, const void *b)
{
	const struct view *x = a, *y = b;

	return x->own != y->own ? (x->own < y->own ? -1 : 1) : strcmp(x->name, y->name);
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
		generation = publish_generation(store, views->view[i].name);
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

/* Public first: the others build on it; the tenants that have something of their own, and what is
 * published already. */
static int collect_views(struct store *store, const struct publish_list *list, struct views *views)
{
	char name[PUBLISH_VIEW_MAX];
	struct view *view;
	int err;

	add_view(views, "public");
	for (size_t i = 0; i < list->count; i++) {
		const char *tenant = list->entries[i].is_public ? "" : list->entries[i].tenants;

		while (*tenant) {
			size_t len = strcspn(tenant, ",");

			snprintf(name, sizeof(name), TENANT_START "%.*s", (int)len, tenant);
			view = add_view(views, name);
			if (!view)
				return -E2BIG;
			add_own(view, list->entries[i].sha256);
			tenant += len + (tenant[len] == ',');
		}
	}
	err = list_published(store, views);
	if (!err)
		qsort(views->view + 1, views->count - 1, sizeof(*views->view), compare_views);
	return err;
}

static int publish_together(struct publish_build *builds, unsigned count)
{
	struct publish_build *before = NULL;

	for (unsigned i = 0; i < count; i++) {
		if (publish_view_begin(&builds[i], before))
			return -1;
		if (builds[i].built)
			before = &builds[i];
		if (i >= AHEAD && publish_view_signed(&builds[i - AHEAD]))
			return -1;
	}
	for (unsigned i = 0; i < count; i++)
		if (builds[i].built &&
		    (publish_view_signed(&builds[i]) || publish_view_finish(&builds[i])))
			return -1;
	return publish_views_switch(builds, count);
}

static int publish_batch(struct publish_build *builds, unsigned count, json_t *changed)
{
	int result = publish_together(builds, count);

	for (unsigned i = 0; i < count; i++) {
		if (builds[i].switched)
			json_array_append_new(changed,
					      json_pack("{s:s, s:i, s:i, s:i}", "view",
							builds[i].view, "debs", (int)builds[i].debs,
							"rpms", (int)builds[i].rpms, "retired",
							(int)builds[i].retired));
		publish_view_end(&builds[i]);
	}
	return result;
}

/* How many may be in memory at once: a manifest names what is public, and its own. */
static unsigned batch_size(const struct publish_list *list)
{
	size_t manifest = 1;

	for (size_t i = 0; i < list->count; i++)
		manifest += NAME_DIGEST_LEN + 16 + strlen(list->entries[i].filename);
	return manifest > MANIFESTS	      ? 1
	       : manifest * BATCH > MANIFESTS ? MANIFESTS / manifest
					      : BATCH;
}

static int publish_views(struct publisher *publisher, const struct publish_list *list,
			 const struct views *views, const struct sign_keys *keys,
			 uint64_t generation, json_t *changed, struct problem *problem)
{
	struct publish_build *builds = calloc(BATCH, sizeof(*builds));
	unsigned count = 0, batch = batch_size(list);
	int result = builds ? 0 : problem_errno(problem, -ENOMEM, "publish");

	for (unsigned i = 0; i < views->count && !result; i++) {
		const char *view = views->view[i].name;
		const char *tenant = NULL;

		if (!strncmp(view, TENANT_START, strlen(TENANT_START)))
			tenant = view + strlen(TENANT_START);
		if (tenant || !strcmp(view, "public"))
			builds[count++] = (struct publish_build){
				.repod = publisher->repod,
				.packages = list,
				.keys = keys,
				.view = view,
				.tenant = tenant,
				.dir = -1,
				.old_dir = -1,
				.public_dir = -1,
				.generation = generation,
				.problem = problem,
			};
		/* The public one, the first, is what the others begin with. */
		if (!i || count == batch || i + 1 == views->count) {
			result = publish_batch(builds, count, changed);
			count = 0;
		}
	}
	free(builds);
	return result;
}

/* Views are switched a batch at a time: clients may read some already when another one fails. */
static void say_switched(struct problem *problem, size_t views, uint64_t generation)
{
	char switched[96] = "nothing was switched", hint[sizeof(problem->hint)];

	if (views)
		snprintf(switched, sizeof(switched),
			 "views switched to generation %llu: %zu; the others are as before",
			 (unsigned long long)generation, views);
	snprintf(hint, sizeof(hint), "%s%s%.120s", switched, *problem->hint ? "; " : "",
		 problem->hint);
	strcpy(problem->hint, hint);
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
	sign_begin();
	err = publish_views(publisher, &list, views, &keys, generation, changed, problem);
	sign_end(repod->store);
	if (!json_array_size(changed))
		generation--;
	snprintf(text, sizeof(text), "generation %llu", (unsigned long long)generation);
	if (json_array_size(changed))
		db_audit_alone(repod->db, who, "publish", text, err ? "not all views" : NULL);
	if (err) {
		say_switched(problem, json_array_size(changed), generation);
		goto out;
	}
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
		uint64_t generation = publish_generation(store, views->view[i].name);

		if (generation)
			json_array_append_new(list,
					      json_pack("{s:s, s:I}", "view", views->view[i].name,
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
		if (publish_generation(store, ret_view))
			return;
	}
	strcpy(ret_view, "public");
}
