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
	json_array_append_new(fsck->problems, json_pack("{s:s, s:s, s:s?}", "what", what, "subject",
							subject, "repaired", repaired));
}

/* ---- the database itself ---- */

static int check_database(struct fsck *fsck)
{
	static const char *const pragmas[] = { "PRAGMA integrity_check(20)",
					       "PRAGMA foreign_key_check" };
	sqlite3 *reader = db_reader(fsck->db);
	sqlite3_stmt *statement;

	for (int i = 0; i < 2; i++) {
		statement = reader ? db_prepare(reader, pragmas[i]) : NULL;
		if (!statement)
			return -EIO;
		while (sqlite3_step(statement) == SQLITE_ROW)
			if (strcmp(db_text(statement, 0), "ok") != 0)
				report(fsck, "the database is damaged: restore a backup",
				       db_text(statement, 0), NULL);
		db_done(statement);
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

static bool is_whole(int fd, const struct row *row)
{
	char sha256[NAME_DIGEST_LEN + 1];
	uint64_t size;

	return !digest_file(fd, sha256, &size) && size == row->size && !strcmp(sha256, row->sha256);
}

/* Does path still lead to what was looked at, or still nowhere? */
static bool still_that(struct store *store, const char *path, int fd)
{
	struct stat seen, now;

	if (fstatat(store->blobs, path, &now, AT_SYMLINK_NOFOLLOW))
		return fd < 0;
	return fd >= 0 && !fstat(fd, &seen) && seen.st_dev == now.st_dev &&
	       seen.st_ino == now.st_ino;
}

static bool quarantine(struct store *store, const char *path, const char *name)
{
	return !renameat(store->blobs, path, store->quarantine, name);
}

/* A published tree may still hold the same bytes: finds a link that hashes right, and syncs it. */
static bool find_in_trees(struct store *store, const struct row *row, char ret_path[PATH_MAX])
{
	char published[160], want[80];
	char *const roots[] = { published, NULL };
	bool found = false;
	FTSENT *entry;
	FTS *tree;
	int fd;

	snprintf(published, sizeof(published), "%s/published", store->path);
	snprintf(want, sizeof(want), "/%s/", row->sha256);
	tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while (tree && !found && (entry = fts_read(tree))) {
		if (entry->fts_info != FTS_F || !strstr(entry->fts_path, want))
			continue;
		fd = open(entry->fts_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		found = is_whole(fd, row) && !fsync(fd);
		close(fd);
		snprintf(ret_path, PATH_MAX, "%s", entry->fts_path);
	}
	if (tree)
		fts_close(tree);
	return found;
}

/*
 * bad: the file that is wrong, or -1; whole: one in a tree that is not, or NULL. With the mutex, so
 * that nothing is done to a file that an upload has put there since, nor to a package that an
 * upload has found there. -EAGAIN: look again.
 */
static int repair_locked(struct fsck *fsck, const struct row *row, int bad, const char *whole,
			 const char **ret_repaired)
{
	struct problem problem = { 0 };
	char path[STORE_BLOB_PATH];

	store_blob_path(row->sha256, path);
	if (!still_that(fsck->store, path, bad))
		return -EAGAIN;
	if (bad >= 0 && !quarantine(fsck->store, path, row->sha256))
		return 0;
	if (whole && !linkat(AT_FDCWD, whole, fsck->store->blobs, path, 0)) {
		*ret_repaired = "taken back from a published tree";
		return 0;
	}
	/* The tree was another generation's in between; there may be more. */
	if (whole && errno == ENOENT)
		return -EAGAIN;
	if (!catalog_delete_locked(fsck->db, fsck->store, fsck->who, row->id, &problem))
		*ret_repaired = "the package was removed: upload it again";
	return 0;
}

static int repair_row(struct fsck *fsck, const struct row *row, int bad, const char **ret_repaired)
{
	char whole[PATH_MAX];
	/* Without the mutex, for which uploads and deletions wait. */
	bool found = find_in_trees(fsck->store, row, whole);
	int err;

	pthread_mutex_lock(&fsck->store->mutex);
	err = repair_locked(fsck, row, bad, found ? whole : NULL, ret_repaired);
	pthread_mutex_unlock(&fsck->store->mutex);
	return err;
}

/* 0, or -EAGAIN when what was looked at is another file by now. */
static int check_row(struct fsck *fsck, const struct row *row)
{
	const char *what = "the file does not match its digest", *repaired = NULL;
	int fd = store_blob_open(fsck->store, row->sha256), err = 0;

	if (fd < 0 && fd != -ENOENT) {
		report(fsck, "the file cannot be opened", row->label, NULL);
		return 0;
	}
	if (fd < 0) {
		what = "the file is missing";
		/* Deleted since the list was made: then there is nothing wrong. */
		if (!catalog_digest_used(db_reader(fsck->db), row->sha256))
			return 0;
	} else if (is_whole(fd, row)) {
		close(fd);
		return 0;
	}
	fault_point("fsck-judged");
	/* It stays open until then: its inode's number must not become another's. */
	if (fsck->repair)
		err = repair_row(fsck, row, fd, &repaired);
	if (fd >= 0)
		close(fd);
	if (!err)
		report(fsck, what, row->label, repaired);
	return err;
}

static int check_rows(struct fsck *fsck)
{
	struct catalog_filter all = { .viewer = NULL };
	struct rows rows = { 0 };
	int err = catalog_each(db_reader(fsck->db), &all, add_row, &rows);

	for (size_t i = 0; !err && i < rows.count; i++) {
		fsck->packages++;
		while (check_row(fsck, &rows.rows[i]) == -EAGAIN)
			continue;
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

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fsck->blobs++;
	/* An upload links its blob before its row: it holds the mutex in between. */
	pthread_mutex_lock(&fsck->store->mutex);
	wrong = !faccessat(fsck->store->blobs, path, F_OK, AT_SYMLINK_NOFOLLOW) &&
		!(ours && catalog_digest_used(db_reader(fsck->db), name));
	if (wrong && fsck->repair && quarantine(fsck->store, path, name))
		repaired = "moved to quarantine/";
	pthread_mutex_unlock(&fsck->store->mutex);
	if (wrong)
		report(fsck,
		       ours ? "no package has this file"
			    : "a file that does not belong into blobs/",
		       ours ? name : path, repaired);
}

static int check_blobs(struct fsck *fsck)
{
	struct dirent *entry;
	char directory[3];
	DIR *dir;
	int fd;

	for (int i = 0; i < 256; i++) {
		snprintf(directory, sizeof(directory), "%02x", i);
		fd = openat(fsck->store->blobs, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dir = fd < 0 ? NULL : fdopendir(fd);
		if (!dir)
			return -errno;
		while ((entry = readdir(dir)))
			if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
				check_blob(fsck, directory, entry->d_name);
		closedir(dir);
	}
	return 0;
}

/* ---- the published trees: does "current" lead to a tree with a signed index? ---- */

static int check_published(struct fsck *fsck)
{
	int fd = openat(fsck->store->published, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char path[300];

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%.200s/current/manifest", entry->d_name);
		if (faccessat(fsck->store->published, path, R_OK, 0))
			report(fsck, "nothing readable is published: publish again", entry->d_name,
			       NULL);
	}
	closedir(dir);
	return 0;
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
	if (!err)
		err = check_blobs(&fsck);
	if (!err)
		err = check_published(&fsck);
	if (err) {
		json_decref(fsck.problems);
		problem_errno(problem, err, "fsck");
		return NULL;
	}
	if (json_array_size(fsck.problems) && repair)
		db_audit_alone(db, who, "fsck", "repair", NULL);
	return json_pack("{s:{s:I, s:I}, s:o}", "checked", "packages", (json_int_t)fsck.packages,
			 "files", (json_int_t)fsck.blobs, "problems", fsck.problems);
}
