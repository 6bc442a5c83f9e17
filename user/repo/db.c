/* SPDX-License-Identifier: BSD-2-Clause */
#include "../lib/fault.h"
#include "db.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define APPLICATION_ID 0x736c7572 /* "slur": tells our files from others' */

#define OPERATIONS                                                                                 \
	"CREATE TABLE operations ("                                                                \
	" id TEXT PRIMARY KEY, tenant TEXT NOT NULL, instance TEXT NOT NULL,"                      \
	" generation INTEGER NOT NULL, action TEXT NOT NULL, packages TEXT NOT NULL,"              \
	" state TEXT NOT NULL CHECK"                                                               \
	" (state IN ('pending', 'running', 'done', 'failed', 'cancelled')),"                       \
	" percent INTEGER NOT NULL, message TEXT NOT NULL, log TEXT NOT NULL,"                     \
	" created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,"     \
	" expires INTEGER NOT NULL DEFAULT 0) STRICT;"                                             \
	"CREATE INDEX operations_instance ON operations (tenant, instance, state);"

/* Who might see what is no package's any more; tenants: ",blue,red,", or "". */
#define DELETED                                                                                    \
	"CREATE TABLE deleted (sha256 TEXT PRIMARY KEY, public INTEGER NOT NULL,"                  \
	" tenants TEXT NOT NULL) STRICT, WITHOUT ROWID;"

/*
 * times are seconds since the epoch; digests lower-case hex. A package row without its
 * blob, or the reverse, is what fsck looks for. No foreign key ties audit to anything:
 * the log outlives what it speaks of.
 */
static const char schema[] =
	"CREATE TABLE packages ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" kind TEXT NOT NULL CHECK (kind IN ('deb', 'rpm', 'file')),"
	" name TEXT NOT NULL, version TEXT NOT NULL, arch TEXT NOT NULL,"
	" filename TEXT NOT NULL, sha256 TEXT NOT NULL CHECK (length(sha256) = 64),"
	" size INTEGER NOT NULL CHECK (size >= 0), public INTEGER NOT NULL,"
	" summary TEXT NOT NULL, uploaded_by TEXT NOT NULL, uploaded_at INTEGER NOT NULL,"
	" UNIQUE (kind, name, version, arch)) STRICT;"
	"CREATE INDEX packages_sha256 ON packages (sha256);"
	"CREATE INDEX packages_filename ON packages (filename);"
	"CREATE TABLE package_tenants ("
	" package INTEGER NOT NULL REFERENCES packages (id) ON DELETE CASCADE,"
	" tenant TEXT NOT NULL, PRIMARY KEY (package, tenant)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX package_tenants_tenant ON package_tenants (tenant);"
	"CREATE TABLE uploads ("
	" id TEXT PRIMARY KEY, filename TEXT NOT NULL, size INTEGER NOT NULL,"
	" sha256 TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, arch TEXT NOT NULL,"
	" tenants TEXT NOT NULL, created_by TEXT NOT NULL, created_at INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE tokens ("
	" id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, hash BLOB NOT NULL,"
	" created_by TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,"
	" revoked_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE audit ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL,"
	" action TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL) STRICT;"
	"CREATE TABLE documents ("
	" tenant TEXT NOT NULL, instance TEXT NOT NULL, generation INTEGER NOT NULL,"
	" document TEXT NOT NULL, PRIMARY KEY (tenant, instance)) STRICT, WITHOUT "
	"ROWID;" OPERATIONS DELETED;

/*
 * From version 1, which knew no cancelled operations (a CHECK cannot be altered in place), and from
 * version 2, for which everybody might see what was deleted, and which knew of documents alone when
 * they expire (0: with the document).
 */
static const char upgrade_2[] =
	DELETED "ALTER TABLE operations ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;";
static const char upgrade_1[] = "DROP INDEX operations_instance;"
				"ALTER TABLE operations RENAME TO operations_1;" OPERATIONS
				"INSERT INTO operations SELECT *, 0 FROM operations_1;"
				"DROP TABLE operations_1;" DELETED;

struct db {
	char *path;
	sqlite3 *writer;
	pthread_mutex_t lock;
	pthread_key_t reader;
	bool reader_made;
};

int64_t db_now(void)
{
	return (int64_t)time(NULL);
}

static int connect_db(const char *path, bool writer, sqlite3 **ret_db)
{
	int flags = SQLITE_OPEN_NOMUTEX |
		    (writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);

	return sql_open(path, flags,
			writer ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				 "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
			       : "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;",
			ret_db);
}

static int read_pragma(sqlite3 *sql_db, const char *sql, int64_t *ret_value)
{
	sqlite3_stmt *statement;
	int result;

	result = sqlite3_prepare_v2(sql_db, sql, -1, &statement, NULL);
	if (result == SQLITE_OK) {
		result = sqlite3_step(statement);
		if (result == SQLITE_ROW)
			*ret_value = sqlite3_column_int64(statement, 0);
		sqlite3_finalize(statement);
	}
	return sql_errno(result);
}

/* Runs sql and notes the version, both or neither. */
static int write_schema(sqlite3 *writer, const char *sql)
{
	char pragmas[96];
	int err;

	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
		 APPLICATION_ID, DB_VERSION);
	err = sql_errno(sqlite3_exec(writer, "BEGIN IMMEDIATE", NULL, NULL, NULL));
	if (!err)
		err = sql_errno(sqlite3_exec(writer, sql, NULL, NULL, NULL));
	if (!err)
		err = sql_errno(sqlite3_exec(writer, pragmas, NULL, NULL, NULL));
	if (!err)
		err = sql_errno(sqlite3_exec(writer, "COMMIT", NULL, NULL, NULL));
	return err;
}

/*
 * A new file gets the schema, one of an earlier version is brought to this one; a file of another
 * program or a later version is refused, not touched.
 */
static int prepare_schema(const char *path, sqlite3 *writer, char **ret_why)
{
	int64_t version = -1, application = -1;
	int err;

	err = read_pragma(writer, "PRAGMA user_version", &version);
	if (!err)
		err = read_pragma(writer, "PRAGMA application_id", &application);
	if (err)
		goto unreadable;
	if (version == DB_VERSION && application == APPLICATION_ID)
		return 0;
	if (version == 1 && application == APPLICATION_ID)
		err = write_schema(writer, upgrade_1);
	else if (version == 2 && application == APPLICATION_ID)
		err = write_schema(writer, upgrade_2);
	else if (!version && !application)
		err = write_schema(writer, schema);
	else {
		if (asprintf(ret_why,
			     "%s has schema version %lld of application %#llx; this program knows "
			     "version %d: run the sluice-repod that wrote it, or restore a backup",
			     path, (long long)version, (unsigned long long)application,
			     DB_VERSION) < 0)
			*ret_why = NULL;
		return -EPROTO;
	}
	if (!err)
		return 0;
unreadable:
	if (asprintf(ret_why, "%s: %s; try \"sluice-repod --fsck\", or restore a backup", path,
		     sqlite3_errmsg(writer)) < 0)
		*ret_why = NULL;
	return err;
}

static void close_connection(void *arg)
{
	sqlite3 *sql_db = arg;
	sqlite3_stmt *statement;

	if (!sql_db)
		return;
	while ((statement = sqlite3_next_stmt(sql_db, NULL)))
		sqlite3_finalize(statement);
	sqlite3_close(sql_db);
}

int db_open(const char *path, struct db **ret_db, char **ret_why)
{
	struct db *db = calloc(1, sizeof(*db));
	int err = -ENOMEM;

	*ret_why = NULL;
	if (!db)
		return -ENOMEM;
	pthread_mutex_init(&db->lock, NULL);
	db->path = strdup(path);
	if (!db->path || pthread_key_create(&db->reader, close_connection))
		goto fail;
	db->reader_made = true;
	err = connect_db(path, true, &db->writer);
	if (err) {
		if (asprintf(ret_why, "%s: %s; restore a backup if this is not a matter of rights",
			     path,
			     err == -EUCLEAN ? "this is no database, or a damaged one"
					     : strerror(-err)) < 0)
			*ret_why = NULL;
		goto fail;
	}
	err = prepare_schema(path, db->writer, ret_why);
	if (err)
		goto fail;
	*ret_db = db;
	return 0;
fail:
	db_close(db);
	return err;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	if (db->reader_made) {
		/* Other threads' readers were closed by the key's destructor when they ended. */
		close_connection(pthread_getspecific(db->reader));
		pthread_setspecific(db->reader, NULL);
		pthread_key_delete(db->reader);
	}
	close_connection(db->writer);
	pthread_mutex_destroy(&db->lock);
	free(db->path);
	free(db);
}

sqlite3 *db_reader(struct db *db)
{
	sqlite3 *sql_db = pthread_getspecific(db->reader);

	if (sql_db)
		return sql_db;
	if (connect_db(db->path, false, &sql_db))
		return NULL;
	if (pthread_setspecific(db->reader, sql_db)) {
		sqlite3_close(sql_db);
		return NULL;
	}
	return sql_db;
}

sqlite3 *db_begin(struct db *db)
{
	int err;

	pthread_mutex_lock(&db->lock);
	err = sql_errno(sqlite3_exec(db->writer, "BEGIN IMMEDIATE", NULL, NULL, NULL));
	if (!err)
		return db->writer;
	pthread_mutex_unlock(&db->lock);
	errno = -err;
	return NULL;
}

int db_commit(struct db *db)
{
	int err;

	fault_point("commit");
	err = sql_errno(sqlite3_exec(db->writer, "COMMIT", NULL, NULL, NULL));
	if (err)
		sqlite3_exec(db->writer, "ROLLBACK", NULL, NULL, NULL);
	fault_point("committed");
	pthread_mutex_unlock(&db->lock);
	return err;
}

void db_rollback(struct db *db)
{
	sqlite3_exec(db->writer, "ROLLBACK", NULL, NULL, NULL);
	pthread_mutex_unlock(&db->lock);
}

/* The connection itself is the cache: a reset statement with the same text is reused. */
sqlite3_stmt *db_prepare(sqlite3 *sql_db, const char *sql)
{
	sqlite3_stmt *statement = NULL;

	while ((statement = sqlite3_next_stmt(sql_db, statement)))
		if (!sqlite3_stmt_busy(statement) && !strcmp(sqlite3_sql(statement), sql))
			return statement;
	if (sqlite3_prepare_v3(sql_db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL))
		return NULL;
	return statement;
}

void db_done(sqlite3_stmt *statement)
{
	if (!statement)
		return;
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

void db_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (text)
		sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

const char *db_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text ? (const char *)text : "";
}

int db_run(sqlite3_stmt *statement)
{
	int result = SQLITE_NOMEM;

	if (statement)
		result = sqlite3_step(statement);
	db_done(statement);
	return sql_errno(result);
}

bool db_ask(sqlite3 *sql_db, const char *sql, const char *first, const char *second)
{
	sqlite3_stmt *statement = sql_db ? db_prepare(sql_db, sql) : NULL;
	bool yes;

	if (!statement)
		return false;
	db_bind_text(statement, 1, first);
	db_bind_text(statement, 2, second);
	yes = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0);
	db_done(statement);
	return yes;
}

int db_audit(sqlite3 *writer, const char *who, const char *action, const char *subject,
	     const char *detail)
{
	sqlite3_stmt *statement = db_prepare(
		writer,
		"INSERT INTO audit (at, who, action, subject, detail) VALUES (?, ?, ?, ?, ?)");

	if (!statement)
		return -ENOMEM;
	sqlite3_bind_int64(statement, 1, db_now());
	db_bind_text(statement, 2, who);
	db_bind_text(statement, 3, action);
	db_bind_text(statement, 4, subject);
	db_bind_text(statement, 5, detail ? detail : "");
	return db_run(statement);
}

int db_audit_alone(struct db *db, const char *who, const char *action, const char *subject,
		   const char *detail)
{
	sqlite3 *writer = db_begin(db);
	int err;

	if (!writer)
		return -errno;
	err = db_audit(writer, who, action, subject, detail);
	if (err) {
		db_rollback(db);
		return err;
	}
	return db_commit(db);
}
