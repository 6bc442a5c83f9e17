/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal: DIR/journal.db, SQLite with synchronous=FULL. A state is written before what it
 * names is begun. What items added is in the same database (cluster_journal_added.c).
 */
#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fault.h"
#include "../lib/sql.h"
#include "cluster_journal.h"

#define EVENTS_BATCH 200
#define ROOM_FILE    "journal.room"
#define ROOM_SIZE    (512 * 1024)

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS items (name TEXT PRIMARY KEY, id TEXT NOT NULL,"
	" run TEXT NOT NULL, state TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	" at INTEGER NOT NULL, event TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS added (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" item TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value BLOB,"
	" UNIQUE (item, kind, name));"
	"CREATE TABLE IF NOT EXISTS reasons (name TEXT PRIMARY KEY, why TEXT NOT NULL);";

/* What make_room() gives back. Without it a full disk is said by other ways, if less exactly. */
static void keep_room(struct node *node)
{
	char path[CLUSTER_PATH_MAX];
	int fd;

	node_path(node, ROOM_FILE, path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (posix_fallocate(fd, 0, ROOM_SIZE))
		unlink(path);
	close(fd);
}

int journal_open(struct node *node)
{
	char path[CLUSTER_PATH_MAX];
	int err;

	node_path(node, "journal.db", path);
	err = sql_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
		       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", &node->db);
	if (!err)
		err = sql_errno(sqlite3_exec(node->db, schema, NULL, NULL, NULL));
	if (!err)
		keep_room(node);
	return err;
}

int journal_run(struct node *node, char **ret, const char *sql, unsigned count, ...)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(node->db, sql, -1, &statement, NULL);
	va_list args;

	va_start(args, count);
	for (unsigned i = 1; result == SQLITE_OK && i <= count; i++)
		sqlite3_bind_text(statement, (int)i, va_arg(args, const char *), -1,
				  SQLITE_TRANSIENT);
	va_end(args);
	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	if (ret && result == SQLITE_ROW && sqlite3_column_text(statement, 0))
		*ret = strdup((const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return sql_errno(result);
}

char *journal_get(struct node *node, const char *key)
{
	char *value = NULL;

	pthread_mutex_lock(&node->lock);
	journal_run(node, &value, "SELECT value FROM meta WHERE key = ?", 1, key);
	pthread_mutex_unlock(&node->lock);
	return value;
}

int journal_set(struct node *node, const char *key, const char *value)
{
	int err;

	pthread_mutex_lock(&node->lock);
	err = journal_run(node, NULL, "INSERT OR REPLACE INTO meta VALUES (?, ?)", 2, key, value);
	pthread_mutex_unlock(&node->lock);
	return err;
}

int64_t journal_number(struct node *node, const char *key)
{
	char *text = journal_get(node, key);
	int64_t number = text ? strtoll(text, NULL, 10) : 0;

	free(text);
	return number;
}

bool journal_item(struct node *node, const char *name, struct journal_item *ret_item)
{
	char *id = NULL, *run_id = NULL, *state = NULL;

	pthread_mutex_lock(&node->lock);
	journal_run(node, &id, "SELECT id FROM items WHERE name = ?", 1, name);
	journal_run(node, &run_id, "SELECT run FROM items WHERE name = ?", 1, name);
	journal_run(node, &state, "SELECT state FROM items WHERE name = ?", 1, name);
	pthread_mutex_unlock(&node->lock);
	memset(ret_item, 0, sizeof(*ret_item));
	if (id && run_id && state) {
		snprintf(ret_item->id, sizeof(ret_item->id), "%s", id);
		snprintf(ret_item->run, sizeof(ret_item->run), "%s", run_id);
		snprintf(ret_item->state, sizeof(ret_item->state), "%s", state);
	}
	free(id);
	free(run_id);
	free(state);
	return *ret_item->id;
}

static char *make_event(const json_t *item, const char *state, unsigned percent, uint64_t bytes,
			uint64_t rate, const struct outcome *outcome)
{
	json_t *json = json_pack(
		"{s:O, s:O, s:O, s:s, s:i, s:I, s:I}", "item", json_object_get(item, "name"), "id",
		json_object_get(item, "id"), "run", json_object_get(item, "run"), "state", state,
		"percent", (int)percent, "bytes", (json_int_t)bytes, "rate", (json_int_t)rate);
	char *text;

	if (json && outcome && *outcome->why)
		json_object_set_new(json, "message", json_string(outcome->why));
	if (json && outcome && !strcmp(state, "failed") && *outcome->log)
		json_object_set_new(json, "log", json_string(outcome->log));
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}

/* With the lock held. */
static int add_event(struct node *node, const char *event)
{
	char at[24];

	snprintf(at, sizeof(at), "%lld", (long long)clock_ms(CLOCK_REALTIME));
	return journal_run(node, NULL,
			   "INSERT INTO events (at, event) VALUES (CAST(? AS INTEGER), ?)", 2, at,
			   event);
}

/* With the lock held: ends a transaction. */
static int finish(struct node *node, int err)
{
	if (!err)
		err = journal_run(node, NULL, "COMMIT", 0);
	if (err)
		journal_run(node, NULL, "ROLLBACK", 0);
	return err;
}

/* With the lock held. why, of a failure: a control machine that lost the event asks for it again.
 */
static int move(struct node *node, const json_t *item, const char *state, const char *event,
		const char *why)
{
	const char *name = json_string_value(json_object_get(item, "name"));
	int err = journal_run(node, NULL, "BEGIN IMMEDIATE", 0);

	if (!err)
		err = journal_run(node, NULL, "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", 4,
				  name, json_string_value(json_object_get(item, "id")),
				  json_string_value(json_object_get(item, "run")), state);
	if (!err)
		err = why ? journal_run(node, NULL, "INSERT OR REPLACE INTO reasons VALUES (?, ?)",
					2, name, why)
			  : journal_run(node, NULL, "DELETE FROM reasons WHERE name = ?", 1, name);
	if (!err)
		err = add_event(node, event);
	return finish(node, err);
}

/* That the disk is full must be written too: a little of it is kept for that. */
static bool make_room(struct node *node)
{
	char path[CLUSTER_PATH_MAX];

	node_path(node, ROOM_FILE, path);
	return !unlink(path);
}

int journal_move(struct node *node, const json_t *item, const char *state, unsigned percent,
		 uint64_t bytes, uint64_t rate, const struct outcome *outcome)
{
	char *event = make_event(item, state, percent, bytes, rate, outcome), step[32];
	const char *why = outcome && !strcmp(state, "failed") ? outcome->why : NULL;
	int err = -ENOMEM;

	snprintf(step, sizeof(step), "move-%s", state);
	fault_point(step);
	pthread_mutex_lock(&node->lock);
	if (event)
		err = move(node, item, state, event, why);
	if (err && event && make_room(node))
		err = move(node, item, state, event, why);
	node->trouble = err;
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
	free(event);
	snprintf(step, sizeof(step), "moved-%s", state);
	fault_point(step);
	return err;
}

void journal_complain(struct node *node, const json_t *item, const char *state, unsigned percent,
		      const struct outcome *outcome)
{
	char *event = make_event(item, state, percent, 0, 0, outcome);

	pthread_mutex_lock(&node->lock);
	if (event)
		add_event(node, event);
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
	free(event);
}

void journal_tell(struct node *node, const json_t *item, const char *state, unsigned percent,
		  uint64_t bytes, uint64_t rate)
{
	journal_tell_sources(node, item, state, percent, bytes, rate, NULL);
}

/* Takes both. */
static char *add_sources(char *event, json_t *sources)
{
	json_t *json = event && sources ? json_loads(event, 0, NULL) : NULL;

	if (!json) {
		json_decref(sources);
		return event;
	}
	free(event);
	json_object_set_new(json, "sources", sources);
	event = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return event;
}

void journal_tell_sources(struct node *node, const json_t *item, const char *state,
			  unsigned percent, uint64_t bytes, uint64_t rate, json_t *sources)
{
	char *event = add_sources(make_event(item, state, percent, bytes, rate, NULL), sources);

	pthread_mutex_lock(&node->lock);
	if (event)
		add_event(node, event);
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
	free(event);
}

json_t *journal_items(struct node *node, int64_t *ret_seq)
{
	sqlite3_stmt *statement = NULL;
	json_t *items = json_object();
	char *seq = NULL;

	pthread_mutex_lock(&node->lock);
	journal_run(node, &seq,
		    "SELECT CASE WHEN EXISTS (SELECT 1 FROM events) THEN -1 ELSE max(seq) END FROM"
		    " sqlite_sequence WHERE name = 'events'",
		    0);
	*ret_seq = seq ? strtoll(seq, NULL, 10) : 0;
	free(seq);
	sqlite3_prepare_v2(node->db,
			   "SELECT name, id, run, state, why FROM items LEFT JOIN reasons"
			   " USING (name)",
			   -1, &statement, NULL);
	while (statement && sqlite3_step(statement) == SQLITE_ROW)
		json_object_set_new(items, (const char *)sqlite3_column_text(statement, 0),
				    json_pack("{s:s, s:s, s:s, s:s*}", "id",
					      sqlite3_column_text(statement, 1), "run",
					      sqlite3_column_text(statement, 2), "state",
					      sqlite3_column_text(statement, 3), "why",
					      sqlite3_column_text(statement, 4)));
	sqlite3_finalize(statement);
	pthread_mutex_unlock(&node->lock);
	return items;
}

json_t *journal_document(struct node *node)
{
	char *text = journal_get(node, "document");
	json_t *json = text ? desired_parse(text, strlen(text)) : NULL, *item;
	size_t i;

	free(text);
	/* Items carry their run: events and the journal name it. */
	json_array_foreach (json_object_get(json, "items"), i, item)
		json_object_set(item, "run", json_object_get(json, "run"));
	return json;
}

static int follow(struct node *node, const char *const values[3])
{
	static const char *const names[] = { "document", "generation", "digest" };
	int err = journal_run(node, NULL, "BEGIN IMMEDIATE", 0);

	for (unsigned i = 0; i < 3 && !err; i++)
		err = journal_run(node, NULL, "INSERT OR REPLACE INTO meta VALUES (?, ?)", 2,
				  names[i], values[i]);
	return finish(node, err);
}

int journal_follow(struct node *node, const char *payload, const char *digest, int64_t generation)
{
	char number[24];
	const char *const values[] = { payload, number, digest };
	int err;

	snprintf(number, sizeof(number), "%lld", (long long)generation);
	pthread_mutex_lock(&node->lock);
	err = follow(node, values);
	if (err && make_room(node))
		err = follow(node, values);
	node->trouble = err;
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
	return err;
}

json_t *journal_events(struct node *node, int64_t *ret_last)
{
	json_t *list = json_array(), *event;
	sqlite3_stmt *statement = NULL;

	pthread_mutex_lock(&node->lock);
	sqlite3_prepare_v2(node->db, "SELECT seq, at, event FROM events ORDER BY seq LIMIT ?", -1,
			   &statement, NULL);
	sqlite3_bind_int(statement, 1, EVENTS_BATCH);
	while (statement && sqlite3_step(statement) == SQLITE_ROW) {
		*ret_last = sqlite3_column_int64(statement, 0);
		event = json_loads((const char *)sqlite3_column_text(statement, 2), 0, NULL);
		json_object_set_new(event, "seq", json_integer(*ret_last));
		json_object_set_new(event, "ago",
				    json_integer(clock_ms(CLOCK_REALTIME) -
						 sqlite3_column_int64(statement, 1)));
		json_array_append_new(list, event);
	}
	sqlite3_finalize(statement);
	pthread_mutex_unlock(&node->lock);
	if (json_array_size(list))
		return json_pack("{s:s, s:o}", "session", node->session, "events", list);
	json_decref(list);
	return NULL;
}

void journal_told(struct node *node, int64_t last)
{
	char number[24];

	snprintf(number, sizeof(number), "%lld", (long long)last);
	pthread_mutex_lock(&node->lock);
	journal_run(node, NULL, "DELETE FROM events WHERE seq <= CAST(? AS INTEGER)", 1, number);
	pthread_mutex_unlock(&node->lock);
}
