/* SPDX-License-Identifier: BSD-2-Clause */
#include "sql.h"

#include <errno.h>
#include <stddef.h>

#define BUSY_MS 10000

int sql_errno(int result)
{
	switch (result & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	default:
		return -EIO;
	}
}

int sql_open(const char *path, int flags, const char *pragmas, sqlite3 **ret_db)
{
	sqlite3 *db = NULL;
	int result = sqlite3_open_v2(path, &db, flags, NULL);

	if (result == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_MS);
		result = sqlite3_exec(db, pragmas, NULL, NULL, NULL);
	}
	if (result != SQLITE_OK) {
		sqlite3_close(db);
		return sql_errno(result);
	}
	*ret_db = db;
	return 0;
}
