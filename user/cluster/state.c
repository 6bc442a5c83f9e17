/* SPDX-License-Identifier: BSD-2-Clause */
#include "state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/clock.h"
#include "../lib/sql.h"

#define APPLICATION_ID 0x736c7563 /* "sluc" */
#define SCHEMA_VERSION 1

/* Times are milliseconds since the epoch, 0: not yet; digests lower-case hex. */
static const char schema[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE tokens ("
	" hash TEXT PRIMARY KEY, node TEXT NOT NULL, address TEXT NOT NULL,"
	" expires INTEGER NOT NULL, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE pending ("
	" fingerprint TEXT PRIMARY KEY, node TEXT NOT NULL, address TEXT NOT NULL,"
	" request TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE nodes ("
	" name TEXT PRIMARY KEY, address TEXT NOT NULL, fingerprint TEXT NOT NULL,"
	" certificate TEXT NOT NULL, enrolled INTEGER NOT NULL, seen INTEGER NOT NULL,"
	" generation INTEGER NOT NULL, document TEXT NOT NULL, followed INTEGER NOT NULL,"
	" facts TEXT NOT NULL, facts_at INTEGER NOT NULL, events INTEGER NOT NULL,"
	" polled INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE runs ("
	" id TEXT PRIMARY KEY, kind TEXT NOT NULL, mode TEXT NOT NULL, bundle TEXT NOT NULL,"
	" started INTEGER NOT NULL, ended INTEGER NOT NULL, state TEXT NOT NULL) STRICT;"
	"CREATE TABLE items ("
	" node TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, run TEXT NOT NULL,"
	" state TEXT NOT NULL, percent INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" rate INTEGER NOT NULL, message TEXT NOT NULL, log TEXT NOT NULL,"
	" at INTEGER NOT NULL, PRIMARY KEY (node, name)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE events ("
	" id INTEGER PRIMARY KEY, run TEXT NOT NULL, node TEXT NOT NULL, item TEXT NOT NULL,"
	" state TEXT NOT NULL, at INTEGER NOT NULL) STRICT;"
	"CREATE INDEX events_run ON events (run);";

/* Came later; a database of before gets it when it is opened. */
static const char additions[] =
	"CREATE TABLE IF NOT EXISTS agents ("
	" node TEXT PRIMARY KEY, session TEXT NOT NULL, document TEXT NOT NULL, why TEXT NOT NULL,"
	" at INTEGER NOT NULL, renew INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS sources ("
	" run TEXT NOT NULL, node TEXT NOT NULL, item TEXT NOT NULL, peer TEXT NOT NULL,"
	" bytes INTEGER NOT NULL, pieces INTEGER NOT NULL, wrong INTEGER NOT NULL,"
	" failed INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (run, node, item, peer))"
	" STRICT, WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS events_item ON events (run, node, item);";

int64_t state_now(void)
{
	return clock_ms(CLOCK_REALTIME);
}

int64_t state_ticks(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

const char *state_why(const struct state *state)
{
	return sqlite3_errmsg(state->db);
}

static int prepare(struct state *state, bool create)
{
	int64_t application = 0, version = 0;
	char pragmas[96];
	int err;

	err = state_number(state, &application, "PRAGMA application_id", "");
	if (!err)
		err = state_number(state, &version, "PRAGMA user_version", "");
	if (err)
		return err;
	if (application == APPLICATION_ID && version == SCHEMA_VERSION)
		return create ? -EEXIST : 0;
	if (!create || application || version)
		return -EPROTO;
	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
		 APPLICATION_ID, SCHEMA_VERSION);
	err = state_begin(state);
	if (!err)
		err = sql_errno(sqlite3_exec(state->db, schema, NULL, NULL, NULL));
	if (!err)
		err = sql_errno(sqlite3_exec(state->db, pragmas, NULL, NULL, NULL));
	return state_end(state, err);
}

int state_open(const char *directory, bool create, struct state *ret_state)
{
	struct state state = { NULL };
	char path[4096];
	int err;

	if (snprintf(path, sizeof(path), "%s/cluster.db", directory) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	err = sql_open(path,
		       SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX |
			       (create ? SQLITE_OPEN_CREATE : 0),
		       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		       "PRAGMA trusted_schema = OFF;",
		       &state.db);
	if (!err && create && chmod(path, 0600))
		err = -errno;
	if (!err)
		err = prepare(&state, create);
	if (!err)
		err = sql_errno(sqlite3_exec(state.db, additions, NULL, NULL, NULL));
	if (err) {
		sqlite3_close(state.db);
		return err;
	}
	*ret_state = state;
	return 0;
}

void state_close(struct state *state)
{
	sqlite3_close(state->db);
	state->db = NULL;
}

int state_begin(struct state *state)
{
	return sql_errno(sqlite3_exec(state->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
}

int state_end(struct state *state, int err)
{
	if (!err)
		err = sql_errno(sqlite3_exec(state->db, "COMMIT", NULL, NULL, NULL));
	if (err)
		sqlite3_exec(state->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

static void bind(sqlite3_stmt *statement, const char *format, va_list args)
{
	for (int i = 1; *format; format++, i++) {
		switch (*format) {
		case 'i':
			sqlite3_bind_int64(statement, i, va_arg(args, int64_t));
			break;
		case 'b':
			sqlite3_bind_int64(statement, i, va_arg(args, int));
			break;
		default:
			sqlite3_bind_text(statement, i, va_arg(args, const char *), -1,
					  SQLITE_TRANSIENT);
		}
	}
}

static json_t *row(sqlite3_stmt *statement)
{
	json_t *object = json_object();

	for (int i = 0; object && i < sqlite3_column_count(statement); i++) {
		const char *text = (const char *)sqlite3_column_text(statement, i);

		json_object_set_new(object, sqlite3_column_name(statement, i),
				    sqlite3_column_type(statement, i) == SQLITE_INTEGER
					    ? json_integer(sqlite3_column_int64(statement, i))
					    : json_string(text ? text : ""));
	}
	return object;
}

static int run(struct state *state, json_t **ret_rows, const char *sql, const char *format,
	       va_list args)
{
	json_t *rows = ret_rows ? json_array() : NULL;
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(state->db, sql, -1, &statement, NULL);

	if (result == SQLITE_OK) {
		bind(statement, format, args);
		while ((result = sqlite3_step(statement)) == SQLITE_ROW)
			if (rows)
				json_array_append_new(rows, row(statement));
	}
	sqlite3_finalize(statement);
	if (result != SQLITE_DONE) {
		json_decref(rows);
		return sql_errno(result) ? sql_errno(result) : -EIO;
	}
	if (ret_rows)
		*ret_rows = rows;
	return 0;
}

int state_run(struct state *state, json_t **ret_rows, const char *sql, const char *format, ...)
{
	va_list args;
	int err;

	va_start(args, format);
	err = run(state, ret_rows, sql, format, args);
	va_end(args);
	return err;
}

/* The first column of the first row, as JSON; NULL: none. */
static json_t *first(struct state *state, int *ret_err, const char *sql, const char *format,
		     va_list args)
{
	json_t *rows = NULL, *value;

	*ret_err = run(state, &rows, sql, format, args);
	value = json_object_iter_value(json_object_iter(json_array_get(rows, 0)));
	json_incref(value);
	json_decref(rows);
	return value;
}

int state_number(struct state *state, int64_t *ret_value, const char *sql, const char *format, ...)
{
	json_t *value;
	va_list args;
	int err;

	va_start(args, format);
	value = first(state, &err, sql, format, args);
	va_end(args);
	if (!err && !value)
		err = -ENOENT;
	if (!err)
		*ret_value = json_integer_value(value);
	json_decref(value);
	return err;
}

char *state_text(struct state *state, const char *sql, const char *format, ...)
{
	char *text = NULL;
	json_t *value;
	va_list args;
	int err;

	va_start(args, format);
	value = first(state, &err, sql, format, args);
	va_end(args);
	if (!err && json_is_string(value))
		text = strdup(json_string_value(value));
	json_decref(value);
	return text;
}

int64_t state_version(struct state *state)
{
	int64_t version = -1;

	state_number(state, &version, "PRAGMA data_version", "");
	return version;
}

char *state_meta(struct state *state, const char *key)
{
	return state_text(state, "SELECT value FROM meta WHERE key = ?", "s", key);
}

int state_meta_set(struct state *state, const char *key, const char *value)
{
	return state_run(state, NULL,
			 "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE"
			 " SET value = excluded.value",
			 "ss", key, value);
}
