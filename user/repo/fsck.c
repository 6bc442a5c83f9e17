/* SPDX-License-Identifier: BSD-2-Clause */
#include "fsck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog.h"
#include "../lib/digest.h"
#include "../lib/fault.h"
#include "../lib/text.h"

#define LOOKS_MAX 3 /* at what becomes another file while it is looked at */

struct fsck {
	struct db *db;
	struct store *store;
	const char *who;
	bool repair;
	json_t *problems;
	int64_t packages, blobs;
};

static void report(struct fsck *fsck, const char *what, const char *subject, const char *repaired)
{
	char shown[512];

	/* Names that do not belong here may be any bytes: JSON is UTF-8. */
	text_copy(shown, sizeof(shown), subject, false);
	json_array_append_new(fsck->problems, json_pack("{s:s, s:s, s:s?}", "what", what, "subject",
							shown, "repaired", repaired));
}

/* what, and why nothing was done about it: only what is known to be gone is dropped. */
static void report_unsure(struct fsck *fsck, const char *what, const char *subject, int err)
{
	char text[160];

	snprintf(text, sizeof(text), "%s: %s", what,
		 err == -EAGAIN ? "it changes all the time" : strerror(-err));
	report(fsck, text, subject, NULL);
}

/* ---- the database itself ---- */

static int check_database(struct fsck *fsck)
{
	static const char *const pragmas[] = { "PRAGMA integrity_check(20)",
					       "PRAGMA foreign_key_check" };
	sqlite3 *reader = db_reader(fsck->db);
	sqlite3_stmt *statement;
	int result;

	for (int i = 0; i < 2; i++) {
		statement = reader ? db_prepare(reader, pragmas[i]) : NULL;
		if (!statement)
			return -EIO;
		while ((result = sqlite3_step(statement)) == SQLITE_ROW)
			if (strcmp(db_text(statement, 0), "ok") != 0) {
				report(fsck, "the database is damaged: restore a backup",
				       db_text(statement, 0), NULL);
				/* It may not know a package of a file, nor a file of a package. */
				fsck->repair = false;
			}
		db_done(statement);
		if (result != SQLITE_DONE)
			return sql_errno(result);
	}
	return 0;
}

/* ---- rows whose blob is missing or wrong ---- */

struct row {
	int64_t id;
	uint64_t size;
	char sha256[NAME_DIGEST_LEN + 1];
	char label[3 * NAME_MAX_LEN + 16];
};

struct rows {
	struct row *rows;
	size_t count, room;
};

static int add_row(const struct catalog_row *row, void *arg)
{
	struct rows *rows = arg;
	struct row *more, *copy;

	if (rows->count == rows->room) {
		rows->room = rows->room ? 2 * rows->room : 256;
		more = realloc(rows->rows, rows->room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		rows->rows = more;
	}
	copy = &rows->rows[rows->count++];
	copy->id = row->id;
	copy->size = row->size;
	snprintf(copy->sha256, sizeof(copy->sha256), "%s", row->sha256);
	snprintf(copy->label, sizeof(copy->label), "%s %s %s", row->name, row->version, row->arch);
	return 0;
}

/* 1: it is; 0: it is not; -errno: it could not be read. */
static int is_whole(int fd, const struct row *row)
{
	char sha256[NAME_DIGEST_LEN + 1];
	uint64_t size;
	int err = digest_file(fd, sha256, &size);

	return err ? err : size == row->size && !strcmp(sha256, row->sha256);
}

/* 0 while path leads to what was looked at, or nowhere as then; -EAGAIN when not; -errno. */
static int still_that(struct store *store, const char *path, int fd)
{
	struct stat seen, now;

	if (fstatat(store->blobs, path, &now, AT_SYMLINK_NOFOLLOW)) {
		if (errno != ENOENT)
			return -errno;
		return fd < 0 ? 0 : -EAGAIN;
	}
	if (fd < 0)
		return -EAGAIN;
	if (fstat(fd, &seen))
		return -errno;
	return seen.st_dev == now.st_dev && seen.st_ino == now.st_ino ? 0 : -EAGAIN;
}

/* Beside what is there under that name: it may be the better one. With the mutex. */
static bool quarantine(struct store *store, const char *path, const char *name)
{
	char target[300];

	snprintf(target, sizeof(target), "%s", name);
	for (int i = 1; !faccessat(store->quarantine, target, F_OK, AT_SYMLINK_NOFOLLOW); i++)
		snprintf(target, sizeof(target), "%.240s.%d", name, i);
	return errno == ENOENT && !renameat(store->blobs, path, store->quarantine, target);
}

/* 1: these are the row's bytes, synced; 0: something else; -errno. */
static int look_at(const FTSENT *entry, const struct row *row, const char *want)
{
	int fd, whole;

	if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
		return entry->fts_errno ? -entry->fts_errno : -EIO;
	if (entry->fts_info != FTS_F || !strstr(entry->fts_path, want))
		return 0;
	fd = open(entry->fts_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	whole = is_whole(fd, row);
	if (whole > 0 && fsync(fd))
		whole = -errno;
	close(fd);
	return whole;
}

/*
 * A published tree may still hold the same bytes. 1: there is the path of a link to them; 0: none
 * does; -EAGAIN: a tree went meanwhile, and they may be in the one that came; -errno: some could
 * not be looked at.
 */
static int find_in_trees(struct store *store, const struct row *row, char ret_path[PATH_MAX])
{
	char published[160], want[80];
	char *const roots[] = { published, NULL };
	int result = 0, err = 0;
	FTSENT *entry = NULL;
	FTS *tree;

	snprintf(published, sizeof(published), "%s/published", store->path);
	snprintf(want, sizeof(want), "/%s/", row->sha256);
	tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!tree)
		return -errno;
	while (result <= 0 && (entry = fts_read(tree))) {
		result = look_at(entry, row, want);
		if (result < 0 && (!err || err == -ENOENT))
			err = result;
	}
	if (!entry && errno && (!err || err == -ENOENT))
		err = -errno;
	if (result > 0)
		snprintf(ret_path, PATH_MAX, "%s", entry->fts_path);
	fts_close(tree);
	return result > 0 ? 1 : err == -ENOENT ? -EAGAIN : err;
}

/*
 * bad: the file that is wrong, or -1; whole: one in a tree that is not, or NULL when there is none.
 * With the mutex, so that nothing is done to a file that an upload has put there since, nor to a
 * package that an upload has found there. 0; -EAGAIN: look again; -errno: nothing was dropped.
 */
static int repair_locked(struct fsck *fsck, const struct row *row, int bad, const char *whole,
			 const char **ret_repaired)
{
	struct problem problem = { 0 };
	char path[STORE_BLOB_PATH];
	int err;

	store_blob_path(row->sha256, path);
	err = still_that(fsck->store, path, bad);
	if (err)
		return err;
	if (bad >= 0 && !quarantine(fsck->store, path, row->sha256))
		return -errno;
	if (whole) {
		err = store_blob_take(fsck->store, whole, row->sha256);
		if (!err)
			*ret_repaired = "taken back from a published tree";
		/* The tree was another generation's in between; there may be more. */
		return err == -ENOENT ? -EAGAIN : err;
	}
	if (!catalog_delete_locked(fsck->db, fsck->store, fsck->who, row->id, &problem))
		*ret_repaired = "the package was removed: upload it again";
	return 0;
}

static int repair_row(struct fsck *fsck, const struct row *row, int bad, const char **ret_repaired)
{
	char whole[PATH_MAX];
	/* Without the mutex, for which uploads and deletions wait. */
	int found = find_in_trees(fsck->store, row, whole), err;

	if (found < 0)
		return found;
	pthread_mutex_lock(&fsck->store->mutex);
	err = repair_locked(fsck, row, bad, found ? whole : NULL, ret_repaired);
	pthread_mutex_unlock(&fsck->store->mutex);
	return err;
}

/* The same question for who repairs nothing. */
static int look_again(struct fsck *fsck, const struct row *row, int bad)
{
	char path[STORE_BLOB_PATH];

	store_blob_path(row->sha256, path);
	return still_that(fsck->store, path, bad);
}

/* 0, or -EAGAIN when what was looked at is another file by now; that is reported the last time. */
static int check_row(struct fsck *fsck, const struct row *row, bool last)
{
	const char *what = "the file does not match its digest", *repaired = NULL;
	int fd = store_blob_open(fsck->store, row->sha256), whole, err;

	if (fd == -ENOENT) {
		what = "the file is missing";
		/* Deleted since the list was made: then there is nothing wrong. */
		if (!catalog_digest_used(db_reader(fsck->db), row->sha256))
			return 0;
	} else {
		whole = fd < 0 ? fd : is_whole(fd, row);
		if (whole) {
			if (whole < 0)
				report_unsure(fsck, "the file cannot be read", row->label, whole);
			if (fd >= 0)
				close(fd);
			return 0;
		}
	}
	fault_point("fsck-judged");
	/* It stays open until then: its inode's number must not become another's. */
	err = fsck->repair ? repair_row(fsck, row, fd, &repaired) : look_again(fsck, row, fd);
	if (fd >= 0)
		close(fd);
	if (err == -EAGAIN && !last)
		return err;
	if (err)
		report_unsure(fsck, what, row->label, err);
	else
		report(fsck, what, row->label, repaired);
	return 0;
}

static int check_rows(struct fsck *fsck)
{
	struct catalog_filter all = { .viewer = NULL };
	struct rows rows = { 0 };
	int err = catalog_each(db_reader(fsck->db), &all, add_row, &rows);

	for (size_t i = 0; !err && i < rows.count; i++) {
		fsck->packages++;
		for (int look = 1; look <= LOOKS_MAX; look++)
			if (!check_row(fsck, &rows.rows[i], look == LOOKS_MAX))
				break;
	}
	free(rows.rows);
	return err;
}

/* ---- blobs that no row names ---- */

static void check_blob(struct fsck *fsck, const char *directory, const char *name)
{
	bool ours = name_hex_valid(name, NAME_DIGEST_LEN) && !strncmp(name, directory, 2), wrong;
	const char *repaired = NULL;
	char path[300];
	int err;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fsck->blobs++;
	/* An upload links its blob before its row: it holds the mutex in between. */
	pthread_mutex_lock(&fsck->store->mutex);
	err = faccessat(fsck->store->blobs, path, F_OK, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
	wrong = !err && !(ours && catalog_digest_used(db_reader(fsck->db), name));
	if (wrong && fsck->repair && quarantine(fsck->store, path, name))
		repaired = "moved to quarantine/";
	pthread_mutex_unlock(&fsck->store->mutex);
	if (err && err != -ENOENT)
		report_unsure(fsck, "the file cannot be looked at", path, err);
	if (wrong)
		report(fsck,
		       ours ? "no package has this file"
			    : "a file that does not belong into blobs/",
		       ours ? name : path, repaired);
}

/* Each name in a directory; -errno when not all could be read. */
static int each_name(int parent, const char *directory, struct fsck *fsck,
		     void (*each)(struct fsck *fsck, const char *directory, const char *name))
{
	int fd = openat(parent, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (errno = 0, (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			each(fsck, directory, entry->d_name);
	err = -errno;
	closedir(dir);
	return err;
}

static void check_blobs(struct fsck *fsck)
{
	char directory[3];
	int err;

	for (int i = 0; i < 256; i++) {
		snprintf(directory, sizeof(directory), "%02x", i);
		err = each_name(fsck->store->blobs, directory, fsck, check_blob);
		if (err == -ENOENT)
			report(fsck, "a directory of blobs/ is missing: start sluice-repod again",
			       directory, NULL);
		else if (err)
			report_unsure(fsck, "a directory of blobs/ cannot be read", directory, err);
	}
}

/* ---- the published trees: does "current" lead to a tree with a signed index? ---- */

static void check_view(struct fsck *fsck, const char *directory, const char *name)
{
	char path[300];

	if (name[0] == '.')
		return;
	snprintf(path, sizeof(path), "%.200s/current/manifest", name);
	if (faccessat(fsck->store->published, path, R_OK, 0))
		report(fsck, "nothing readable is published: publish again", name, NULL);
}

static void check_published(struct fsck *fsck)
{
	int err = each_name(fsck->store->published, ".", fsck, check_view);

	if (err)
		report_unsure(fsck, "the published trees cannot be listed", "published", err);
}

json_t *fsck_run(struct db *db, struct store *store, const char *who, bool repair,
		 struct problem *problem)
{
	struct fsck fsck = {
		.db = db,
		.store = store,
		.who = who,
		.repair = repair,
		.problems = json_array(),
	};
	int err = fsck.problems ? check_database(&fsck) : -ENOMEM;

	if (!err)
		err = check_rows(&fsck);
	if (err) {
		json_decref(fsck.problems);
		problem_errno(problem, err, "fsck");
		return NULL;
	}
	/* From here on there may be repairs to tell of: what fails is one problem more. */
	check_blobs(&fsck);
	check_published(&fsck);
	if (json_array_size(fsck.problems) && fsck.repair)
		db_audit_alone(db, who, "fsck", "repair", NULL);
	return json_pack("{s:{s:I, s:I}, s:o}", "checked", "packages", (json_int_t)fsck.packages,
			 "files", (json_int_t)fsck.blobs, "problems", fsck.problems);
}
