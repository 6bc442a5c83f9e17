/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each item added to this machine, in the journal before it is added: so that it can be taken
 * away again, newest first, also by an agent that knows nothing else of it.
 */
#include "cluster_journal.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/sql.h"

static int insert(struct node *node, const char *sql, const char *item, const char *kind,
		  const char *name, const void *value, size_t len)
{
	sqlite3_stmt *statement = NULL;
	int result;

	pthread_mutex_lock(&node->lock);
	result = sqlite3_prepare_v2(node->db, sql, -1, &statement, NULL);
	if (result == SQLITE_OK) {
		sqlite3_bind_text(statement, 1, item, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 2, kind, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 3, name, -1, SQLITE_STATIC);
		if (value)
			sqlite3_bind_blob64(statement, 4, value, len, SQLITE_STATIC);
		result = sqlite3_step(statement);
	}
	sqlite3_finalize(statement);
	pthread_mutex_unlock(&node->lock);
	return sql_errno(result);
}

/* What was there before the first time is what must come back. */
int journal_add(struct node *node, const char *item, const char *kind, const char *name,
		const void *value, size_t len)
{
	return insert(node,
		      "INSERT OR IGNORE INTO added (item, kind, name, value) VALUES (?, ?, ?, ?)",
		      item, kind, name, value, len);
}

int journal_put(struct node *node, const char *item, const char *kind, const char *name,
		const void *value, size_t len)
{
	return insert(node,
		      "INSERT OR REPLACE INTO added (item, kind, name, value) VALUES (?, ?, ?, ?)",
		      item, kind, name, value, len);
}

bool journal_has(struct node *node, const char *item, const char *kind, const char *name)
{
	char *found = NULL;

	pthread_mutex_lock(&node->lock);
	journal_run(node, &found, "SELECT id FROM added WHERE item = ? AND kind = ? AND name = ?",
		    3, item, kind, name);
	pthread_mutex_unlock(&node->lock);
	free(found);
	return found;
}

struct entry {
	char *name;
	void *value;
	size_t len;
};

/* The newest entry, copied, so that the lock is not held while it is undone. */
static bool last_entry(struct node *node, const char *item, const char *kind, int64_t below,
		       int64_t *ret_id, struct entry *ret_entry)
{
	sqlite3_stmt *statement = NULL;
	bool found = false;

	pthread_mutex_lock(&node->lock);
	sqlite3_prepare_v2(node->db,
			   "SELECT id, name, value FROM added WHERE item = ? AND kind = ? AND"
			   " id < ? ORDER BY id DESC LIMIT 1",
			   -1, &statement, NULL);
	sqlite3_bind_text(statement, 1, item, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, below);
	if (statement && sqlite3_step(statement) == SQLITE_ROW) {
		const void *value = sqlite3_column_blob(statement, 2);

		*ret_id = sqlite3_column_int64(statement, 0);
		ret_entry->name = strdup((const char *)sqlite3_column_text(statement, 1));
		ret_entry->len = (size_t)sqlite3_column_bytes(statement, 2);
		ret_entry->value = value ? malloc(ret_entry->len + 1) : NULL;
		if (ret_entry->value)
			memcpy(ret_entry->value, value, ret_entry->len);
		found = ret_entry->name && (!value || ret_entry->value);
	}
	sqlite3_finalize(statement);
	pthread_mutex_unlock(&node->lock);
	return found;
}

int journal_undo(struct node *node, const char *item, const char *kind, journal_each *each,
		 void *arg)
{
	int64_t id = INT64_MAX;
	struct entry entry = { 0 };
	int err = 0;

	while (!err && last_entry(node, item, kind, id, &id, &entry)) {
		err = each(node, entry.name, entry.value, entry.len, arg);
		free(entry.name);
		free(entry.value);
	}
	return err;
}

int journal_drop(struct node *node, const char *item, const char *kind)
{
	int err;

	pthread_mutex_lock(&node->lock);
	err = journal_run(node, NULL, "DELETE FROM added WHERE item = ? AND kind = ?", 2, item,
			  kind);
	pthread_mutex_unlock(&node->lock);
	return err;
}
