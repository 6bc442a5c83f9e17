/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Views: is one another than what is published? Then it is built in VIEW/.new, synced, given its
 * number, and switched to.
 */
#include "../lib/fault.h"
#include "publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "catalog.h"

#define BUILDING ".new"

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
static char *make_manifest(struct publish_build *build)
{
	const struct settings_publish *settings = &build->repod->settings->publish;
	const char *arches[PUBLISH_ARCHES_MAX];
	unsigned count = publish_arches(build, arches);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "# %s %s %s", settings->suite, settings->component, settings->origin);
	for (unsigned i = 0; i < count; i++)
		fprintf(out, " %s", arches[i]);
	for (unsigned i = 0; i < build->keys->count; i++)
		fprintf(out, " %s", build->keys->fingerprint[i]);
	fputc('\n', out);
	for (size_t i = 0; i < build->packages->count; i++) {
		const struct publish_entry *entry = &build->packages->entries[i];

		if (!publish_visible(entry, build->tenant))
			continue;
		build->own_debs += !entry->is_public && entry->kind == PACKAGE_DEB;
		build->own_rpms += !entry->is_public && entry->kind == PACKAGE_RPM;
		fprintf(out, "%s %s %s %s\n", package_kind_name(entry->kind), entry->arch,
			entry->sha256, entry->filename);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static bool same_manifest(const struct publish_build *build)
{
	const char *manifest = build->manifest;
	size_t len = strlen(manifest);
	bool same = false;
	char *old;
	int fd;

	if (build->old_dir < 0)
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

static bool same_as_current(const struct publish_build *build)
{
	struct stat status;

	/* A retired file whose time has come is a change as well. */
	if (build->old_dir >= 0 && !fstatat(build->old_dir, "retired", &status, 0) &&
	    status.st_size &&
	    db_now() - status.st_mtim.tv_sec >= build->repod->settings->publish.grace)
		return false;
	return same_manifest(build);
}

/*
 * Last-Modified and If-Modified-Since count whole seconds (RFC 9110, 8.8.2): two indices of the
 * same second would look like one, and apt would keep the older. So none is made in the second
 * in which the one that clients read now was finished. time(2) and the kernel's file times tick
 * together.
 */
static void await_next_second(const struct publish_build *build)
{
	int current = build->old_dir >= 0 ? build->old_dir : build->public_dir;
	struct timespec now;
	struct stat status;

	if (current < 0 || fstatat(current, "manifest", &status, 0))
		return;
	while (time(NULL) == status.st_mtim.tv_sec) {
		clock_gettime(CLOCK_REALTIME, &now);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000000 - now.tv_nsec }, NULL);
	}
}

/* A tenant's apt index takes the public part over; its rpm index only when it is that and no more.
 */
static bool is_linked(const struct publish_build *build, const struct publish_entry *entry)
{
	return !build->tenant || !entry->is_public ||
	       (entry->kind == PACKAGE_RPM && build->own_rpms);
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
		build->debs += entry->kind == PACKAGE_DEB;
		build->rpms += entry->kind == PACKAGE_RPM;
		if (!is_linked(build, entry))
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
	}
	return 0;
}

static int write_manifest(struct publish_build *build)
{
	const char *manifest = build->manifest;
	int fd = openat(build->dir, "manifest", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t len = strlen(manifest);
	ssize_t n;

	if (fd < 0)
		return problem_errno(build->problem, -errno, "publish");
	n = write(fd, manifest, len);
	close(fd);
	return n == (ssize_t)len ? 0 : problem_errno(build->problem, -ENOSPC, "publish");
}

static int build_view(struct publish_build *build)
{
	struct store *store = build->repod->store;
	char relative[PUBLISH_VIEW_MAX + 16];

	/* What a publish left that was killed before its switch; it had the number we take. */
	remove_tree(store, build->view, BUILDING);
	snprintf(relative, sizeof(relative), "%06llu", (unsigned long long)build->generation);
	remove_tree(store, build->view, relative);
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
	return link_packages(build) || publish_apt(build) || publish_rpm(build) ? -1 : 0;
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

/* Opens VIEW's current tree; -1 when there is none. */
static int open_current(const struct publish_build *build, const char *view, char path[256])
{
	struct store *store = build->repod->store;
	uint64_t generation = publish_generation(store, view);
	char relative[PUBLISH_VIEW_MAX + 24];

	if (!generation)
		return -1;
	snprintf(relative, sizeof(relative), "%s/%06llu", view, (unsigned long long)generation);
	snprintf(path, 256, "%s/published/%s", store->path, relative);
	return openat(store->published, relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/*
 * Has the one before the same packages, and was its Release made in another second than the one
 * that clients of this view read now (see await_next_second())?
 */
static bool is_like(const struct publish_build *build, const struct publish_build *before)
{
	struct stat made, read;
	char path[160];

	if (!before || !before->built || !build->tenant || !before->tenant ||
	    strcmp(before->manifest, build->manifest) != 0)
		return false;
	snprintf(path, sizeof(path), "apt/dists/%s/Release", build->repod->settings->publish.suite);
	if (fstatat(before->dir, path, &made, 0))
		return false;
	return build->old_dir < 0 || (!fstatat(build->old_dir, "manifest", &read, 0) &&
				      made.st_mtim.tv_sec > read.st_mtim.tv_sec);
}

int publish_sign(struct publish_build *build, const char *cwd, const char *input,
		 const char *output, bool clear)
{
	if (sign_start(build->repod->store, build->keys, cwd, input, output, clear,
		       &build->signing[build->signing_count], build->problem))
		return -1;
	build->signing_count++;
	return 0;
}

static int wait_signed(struct publish_build *build, struct problem *problem)
{
	int result = 0;

	while (build->signing_count)
		result |= sign_wait(&build->signing[--build->signing_count], problem);
	return result;
}

int publish_view_signed(struct publish_build *build)
{
	return wait_signed(build, build->problem);
}

int publish_view_begin(struct publish_build *build, struct publish_build *before)
{
	bool own;

	build->dir = -1;
	build->old_generation = publish_generation(build->repod->store, build->view);
	build->old_dir = open_current(build, build->view, build->old_path);
	build->public_dir = build->tenant ? open_current(build, "public", build->public_path) : -1;
	build->manifest = make_manifest(build);
	if (!build->manifest)
		return problem_errno(build->problem, -ENOMEM, "publish");
	own = !build->tenant || build->own_debs || build->own_rpms;
	if (same_as_current(build))
		return 0;
	if (!own && build->old_dir < 0)
		return drop_view(build);
	if (is_like(build, before))
		build->like = before;
	else
		await_next_second(build);
	/* Its signatures are shared. */
	if (build->like && publish_view_signed(build->like))
		return -1;
	if (build_view(build))
		return -1;
	build->built = true;
	return 0;
}

int publish_view_finish(struct publish_build *build)
{
	bool own = !build->tenant || build->own_debs || build->own_rpms;

	if (publish_carry(build) || write_manifest(build))
		return -1;
	/*
	 * Nothing of its own, nothing retired: the tenant needs no view any more. Not before its
	 * index is the public one word for word: a date could make a client keep the other.
	 */
	if (!own && !build->retired && same_manifest(build))
		return drop_view(build);
	build->ready = true;
	return 0;
}

/* What is built gets its number, and the link that is going to be "current". */
static int number_view(const struct publish_build *build)
{
	struct store *store = build->repod->store;
	char number[24], from[PUBLISH_VIEW_MAX + 32], to[PUBLISH_VIEW_MAX + 32];

	snprintf(number, sizeof(number), "%06llu", (unsigned long long)build->generation);
	snprintf(from, sizeof(from), "%s/" BUILDING, build->view);
	snprintf(to, sizeof(to), "%s/%s", build->view, number);
	fault_point("publish-rename");
	if (renameat(store->published, from, store->published, to))
		return -errno;
	snprintf(to, sizeof(to), "%s/.current", build->view);
	if (unlinkat(store->published, to, 0) && errno != ENOENT)
		return -errno;
	return symlinkat(number, store->published, to) ? -errno : 0;
}

static int make_current(struct publish_build *build)
{
	struct store *store = build->repod->store;
	char from[PUBLISH_VIEW_MAX + 32], to[PUBLISH_VIEW_MAX + 32];

	snprintf(from, sizeof(from), "%s/.current", build->view);
	snprintf(to, sizeof(to), "%s/current", build->view);
	fault_point("publish-switch");
	if (renameat(store->published, from, store->published, to))
		return -errno;
	build->switched = true;
	fault_point("publish-switched");
	return 0;
}

static int sync_all(const struct publish_build *build, const char *step)
{
	fault_point(step);
	return syncfs(build->repod->store->published) ? -errno : 0;
}

/* Everything is on disk before the one rename that makes it current. */
int publish_views_switch(struct publish_build *builds, unsigned count)
{
	struct publish_build *build, *end = builds + count;
	bool any = false;
	int err;

	for (build = builds; build < end; build++)
		any |= build->ready;
	if (!any)
		return 0;
	err = sync_all(builds, "publish-sync");
	for (build = builds; build < end && !err; build++)
		if (build->ready)
			err = number_view(build);
	if (!err)
		err = sync_all(builds, "publish-view-sync");
	for (build = builds; build < end && !err; build++)
		if (build->ready)
			err = make_current(build);
	if (!err)
		err = sync_all(builds, "publish-switch-sync");
	return err ? problem_errno(builds->problem, err, "publish") : 0;
}

void publish_view_end(struct publish_build *build)
{
	struct store *store = build->repod->store;
	struct problem ignored;

	/* What went wrong before has been said: what gpg says now is not the cause. */
	wait_signed(build, &ignored);
	if (build->switched)
		collect_garbage(store, build->view, build->generation, build->old_generation);
	else if (build->dir >= 0)
		remove_tree(store, build->view, BUILDING);
	/* A view that never was: fsck would miss what is published there. */
	if (!build->switched && !build->old_generation)
		unlinkat(store->published, build->view, AT_REMOVEDIR);
	if (build->dir >= 0)
		close(build->dir);
	if (build->old_dir >= 0)
		close(build->old_dir);
	if (build->public_dir >= 0)
		close(build->public_dir);
	free(build->manifest);
}
