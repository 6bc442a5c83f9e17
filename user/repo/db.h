/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metadata database: STATE/repo.db, SQLite in WAL mode with synchronous=FULL, so
 * that a commit that returned survives a power loss. One writer connection behind one
 * lock; every thread that reads has its own reader connection, so that a commit's
 * fsync stops nobody. Who knows SQL is db.c, catalog*.c, token.c, upload*.c and fsck.c.
 */
#ifndef REPO_DB_H
#define REPO_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/sql.h"

#define DB_VERSION 3

struct db;

/*
 * Opens or creates path. On failure returns -errno and *ret_why, malloc'd: a sentence
 * that says what is wrong and what to do.
 */
int db_open(const char *path, struct db **ret_db, char **ret_why);
void db_close(struct db *db);

/* The calling thread's reader connection, or NULL when it cannot be opened. */
sqlite3 *db_reader(struct db *db);

/* Takes the writer and begins a transaction. NULL when that fails (errno is set). */
sqlite3 *db_begin(struct db *db);
/* Ends it and gives the writer back. db_commit() returns 0 or -errno: durable, or undone. */
int db_commit(struct db *db);
void db_rollback(struct db *db);

/* Prepares sql, cached per connection; NULL when that fails. Give back with db_done(). */
sqlite3_stmt *db_prepare(sqlite3 *sql_db, const char *sql);
void db_done(sqlite3_stmt *statement);
/* Binds text (NULL allowed); short forms for reading columns follow. */
void db_bind_text(sqlite3_stmt *statement, int index, const char *text);
/* A column's text, never NULL. */
const char *db_text(sqlite3_stmt *statement, int column);
/* Runs a statement that returns no rows, then db_done(). 0 or -errno. */
int db_run(sqlite3_stmt *statement);

/* Is what sql asks of these two texts so? false also when that cannot be found out. */
bool db_ask(sqlite3 *sql_db, const char *sql, const char *first, const char *second);

/* Seconds since the epoch. */
int64_t db_now(void);

/* One line of the audit log, within the writer's transaction. 0 or -errno. */
int db_audit(sqlite3 *writer, const char *who, const char *action, const char *subject,
	     const char *detail);
/* The same in a transaction of its own, for what changes no row (a publish, a refusal). */
int db_audit_alone(struct db *db, const char *who, const char *action, const char *subject,
		   const char *detail);

#endif
