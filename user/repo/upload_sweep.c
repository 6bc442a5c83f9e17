/* SPDX-License-Identifier: BSD-2-Clause */
/* Clears away what broken uploads left: at start, every hour, and when a token is revoked. */
#include "upload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_row(sqlite3 *reader, const char *id)
{
	sqlite3_stmt *statement = db_prepare(reader, "SELECT 1 FROM uploads WHERE id = ?");
	bool found;

	if (!statement)
		return true;
	db_bind_text(statement, 1, id);
	found = sqlite3_step(statement) != SQLITE_DONE;
	db_done(statement);
	return found;
}

static int sweep_files(struct db *db, struct store *store)
{
	sqlite3 *reader = db_reader(db);
	struct dirent *entry;
	int count = 0, fd;
	DIR *dir;

	fd = openat(store->uploads, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !reader) {
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !has_row(reader, entry->d_name) &&
		    !unlinkat(store->uploads, entry->d_name, 0))
			count++;
	closedir(dir);
	return count;
}

/* The ids first: a row must not be deleted under the statement that reads it. */
static int sweep_rows(struct db *db, struct store *store, int64_t max_age)
{
	sqlite3_stmt *statement;
	sqlite3 *reader = db_reader(db);
	char(*ids)[NAME_UPLOAD_LEN + 1];
	struct upload upload = { .session = true };
	struct problem problem;
	uint64_t offset;
	bool expired[UPLOAD_SESSIONS_MAX];
	int count = 0, gone = 0;

	ids = calloc(UPLOAD_SESSIONS_MAX, sizeof(*ids));
	statement = reader ? db_prepare(reader,
					"SELECT id, created_at < ?1 OR (created_by LIKE 'token:%'"
					" AND NOT EXISTS (SELECT 1 FROM tokens"
					" WHERE 'token:' || name = uploads.created_by"
					" AND revoked_at = 0"
					" AND (expires_at = 0 OR expires_at > ?2)))"
					" FROM uploads LIMIT 1000")
			   : NULL;
	if (!ids || !statement) {
		free(ids);
		return -EIO;
	}
	sqlite3_bind_int64(statement, 1, db_now() - max_age);
	sqlite3_bind_int64(statement, 2, db_now());
	while (count < UPLOAD_SESSIONS_MAX && sqlite3_step(statement) == SQLITE_ROW) {
		snprintf(ids[count], sizeof(ids[0]), "%s", db_text(statement, 0));
		expired[count++] = sqlite3_column_int(statement, 1);
	}
	db_done(statement);
	for (int i = 0; i < count; i++) {
		strcpy(upload.id, ids[i]);
		if (!expired[i] && upload_offset(store, &upload, &offset) != -ENOENT)
			continue;
		if (!upload_abort(db, store, &upload, &problem))
			gone++;
	}
	free(ids);
	return gone;
}

int upload_sweep(struct db *db, struct store *store, int64_t max_age, bool at_start)
{
	int files = 0, rows;

	rows = sweep_rows(db, store, max_age);
	/* Later on, a file without a row may be a one-shot upload that is still arriving. */
	if (at_start && rows >= 0)
		files = sweep_files(db, store);
	return rows < 0 || files < 0 ? -EIO : rows + files;
}
