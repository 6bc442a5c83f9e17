/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening a database of SQLite, and what its results mean. */
#ifndef SLUICE_SQL_H
#define SLUICE_SQL_H

#include <sqlite3.h>

/*
 * Opens path with SQLITE_OPEN_* flags and runs the pragmas; somebody else's lock is waited for, ten
 * seconds. 0 or -errno.
 */
int sql_open(const char *path, int flags, const char *pragmas, sqlite3 **ret_db);
/* A result as -errno: -ENOSPC for a full disk, -EEXIST for a broken constraint …; 0 for a row. */
int sql_errno(int result);

#endif
