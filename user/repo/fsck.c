/* SPDX-License-Identifier: BSD-2-Clause */
#include "fsck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog.h"
#include "../lib/digest.h"

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

static bool blob_good(struct store *store, const struct row *row, bool *ret_exists)
{
	char sha256[NAME_DIGEST_LEN + 1];
	int fd = store_blob_open(store, row->sha256);
	uint64_t size;
	bool good;

	*ret_exists = fd >= 0;
	if (fd < 0)
		return false;
	good = !digest_file(fd, sha256, &size) && size == row->size && !strcmp(sha256, row->sha256);
	close(fd);
	return good;
}

static void quarantine(struct store *store, const char *path, const char *name)
{
	renameat(store->blobs, path, store->quarantine, name);
}

/* A published tree may still hold the same bytes: look for a link that hashes right. */
static bool restore_from_tree(struct store *store, const struct row *row)
{
	char published[160], found[NAME_DIGEST_LEN + 1], path[STORE_BLOB_PATH], want[80];
	char *const roots[] = { published, NULL };
	bool restored = false;
	FTSENT *entry;
	uint64_t size;
	FTS *tree;
	int fd;

	snprintf(published, sizeof(published), "%s/published", store->path);
	snprintf(want, sizeof(want), "/%s/", row->sha256);
	store_blob_path(row->sha256, path);
	tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while (tree && !restored && (entry = fts_read(tree))) {
		if (entry->fts_info != FTS_F || !strstr(entry->fts_path, want))
			continue;
		fd = open(entry->fts_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!digest_file(fd, found, &size) && !strcmp(found, row->sha256) && !fsync(fd))
			restored = !linkat(AT_FDCWD, entry->fts_path, store->blobs, path, 0);
		close(fd);
	}
	if (tree)
		fts_close(tree);
	return restored;
}

static void repair_row(struct fsck *fsck, const struct row *row, bool exists)
{
	const char *what = exists ? "the file does not match its digest" : "the file is missing";
	char path[STORE_BLOB_PATH];
	struct problem problem;
	bool restored;

	if (!fsck->repair) {
		report(fsck, what, row->label, NULL);
		return;
	}
	store_blob_path(row->sha256, path);
	pthread_mutex_lock(&fsck->store->mutex);
	if (exists)
		quarantine(fsck->store, path, row->sha256);
	restored = restore_from_tree(fsck->store, row);
	pthread_mutex_unlock(&fsck->store->mutex);
	if (restored)
		report(fsck, what, row->label, "taken back from a published tree");
	else if (!catalog_delete(fsck->db, fsck->store, fsck->who, row->id, &problem))
		report(fsck, what, row->label, "the package was removed: upload it again");
	else
		report(fsck, what, row->label, NULL);
}

static int check_rows(struct fsck *fsck)
{
	struct catalog_filter all = { .viewer = NULL };
	struct rows rows = { 0 };
	int err = catalog_each(db_reader(fsck->db), &all, add_row, &rows);
	bool exists;

	for (size_t i = 0; !err && i < rows.count; i++) {
		fsck->packages++;
		if (blob_good(fsck->store, &rows.rows[i], &exists))
			continue;
		/* Deleted since the list was made: then there is nothing wrong. */
		if (exists || catalog_digest_used(db_reader(fsck->db), rows.rows[i].sha256))
			repair_row(fsck, &rows.rows[i], exists);
	}
	free(rows.rows);
	return err;
}

/* ---- blobs that no row names ---- */

static void check_blob(struct fsck *fsck, const char *directory, const char *name)
{
	char path[STORE_BLOB_PATH + 8];

	snprintf(path, sizeof(path), "%s/%.64s", directory, name);
	fsck->blobs++;
	if (name_hex_valid(name, NAME_DIGEST_LEN) && !strncmp(name, directory, 2)) {
		/* An upload links its blob before its row: it holds the mutex in between. */
		pthread_mutex_lock(&fsck->store->mutex);
		if (catalog_digest_used(db_reader(fsck->db), name)) {
			pthread_mutex_unlock(&fsck->store->mutex);
			return;
		}
		if (fsck->repair)
			quarantine(fsck->store, path, name);
		pthread_mutex_unlock(&fsck->store->mutex);
		report(fsck, "no package has this file", name,
		       fsck->repair ? "moved to quarantine/" : NULL);
		return;
	}
	pthread_mutex_lock(&fsck->store->mutex);
	if (fsck->repair)
		quarantine(fsck->store, path, name);
	pthread_mutex_unlock(&fsck->store->mutex);
	report(fsck, "a file that does not belong into blobs/", path,
	       fsck->repair ? "moved to quarantine/" : NULL);
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
