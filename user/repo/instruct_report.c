/* SPDX-License-Identifier: BSD-2-Clause */
/* What became of operations: what agents report, and what operators read. */
#include "instruct.h"

#include <errno.h>
#include <string.h>

#include "../lib/instruction.h"
#include "../lib/name.h"
#include "../lib/text.h"

/* Cut in the middle of a character it could not be listed any more: JSON is UTF-8. */
static void copy_member(char *out, size_t size, const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	text_copy(out, size, text ? text : "", true);
}

static int take_event(sqlite3 *writer, const char *tenant, const char *instance,
		      const json_t *event)
{
	const char *id = json_string_value(json_object_get(event, "operation"));
	const char *state = json_string_value(json_object_get(event, "state"));
	json_int_t percent = json_integer_value(json_object_get(event, "percent"));
	char message[INSTRUCT_MESSAGE_MAX + 1], log[INSTRUCT_LOG_MAX + 1];
	sqlite3_stmt *statement;

	if (!id || !name_hex_valid(id, INSTRUCTION_ID_LEN) || !state || percent < 0 ||
	    percent > 100 ||
	    (strcmp(state, "running") && strcmp(state, "done") && strcmp(state, "failed")))
		return -EINVAL;
	copy_member(message, sizeof(message), event, "message");
	copy_member(log, sizeof(log), event, "log");
	/*
	 * Another instance's operation, and one that has ended, are left as they are. One that was
	 * cancelled while an agent was at it ends as that agent says; "running" would put it into
	 * the next document again, and whoever has the VM could undo an operator's word.
	 */
	statement = db_prepare(writer, "UPDATE operations SET state = ?, percent = ?, message = ?,"
				       " log = ?, updated_at = ? WHERE id = ? AND tenant = ?"
				       " AND instance = ? AND (state IN ('pending',"
				       " 'running') OR (state = 'cancelled'"
				       " AND ?1 != 'running'))");
	if (!statement)
		return -ENOMEM;
	db_bind_text(statement, 1, state);
	sqlite3_bind_int64(statement, 2, percent);
	db_bind_text(statement, 3, message);
	db_bind_text(statement, 4, log);
	sqlite3_bind_int64(statement, 5, db_now());
	db_bind_text(statement, 6, id);
	db_bind_text(statement, 7, tenant);
	db_bind_text(statement, 8, instance);
	return db_run(statement);
}

int instruct_events(struct db *db, const char *tenant, const char *instance, const json_t *events,
		    struct problem *problem)
{
	sqlite3 *writer;
	const json_t *event;
	size_t i;
	int err = 0;

	if (!json_is_array(events) || json_array_size(events) > INSTRUCTION_EVENTS_MAX)
		return problem_set(problem, 400, "bad-events", NULL, "events: an array of up to %d",
				   INSTRUCTION_EVENTS_MAX);
	writer = db_begin(db);
	if (!writer)
		return problem_errno(problem, -errno, "events");
	json_array_foreach (events, i, event)
		if (!err)
			err = take_event(writer, tenant, instance, event);
	if (err)
		db_rollback(db);
	else
		err = db_commit(db);
	if (err == -EINVAL)
		return problem_set(problem, 400, "bad-events", NULL, "an event is wrong");
	return err ? problem_errno(problem, err, "events") : 0;
}

json_t *instruct_list(sqlite3 *reader, const char *tenant, const char *instance, int64_t limit)
{
	sqlite3_stmt *statement;
	json_t *list = json_array(), *packages;

	statement =
		reader ? db_prepare(reader, "SELECT id, tenant, instance, generation, action,"
					    " packages, state, percent, message, log, created_by,"
					    " created_at, updated_at, expires FROM operations"
					    " WHERE (?1 IS NULL OR tenant = ?1)"
					    " AND (?2 IS NULL OR instance = ?2)"
					    " ORDER BY rowid DESC LIMIT ?3")
		       : NULL;
	if (!statement || !list) {
		json_decref(list);
		return NULL;
	}
	db_bind_text(statement, 1, tenant);
	db_bind_text(statement, 2, instance);
	sqlite3_bind_int64(statement, 3, limit);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		packages = json_loads(db_text(statement, 5), 0, NULL);
		json_array_append_new(
			list,
			json_pack(
				"{s:s, s:s, s:s, s:I, s:s, s:o, s:s, s:I, s:s, s:s, s:s, s:I, s:I, "
				"s:I}",
				"id", db_text(statement, 0), "tenant", db_text(statement, 1),
				"instance", db_text(statement, 2), "generation",
				(json_int_t)sqlite3_column_int64(statement, 3), "action",
				db_text(statement, 4), "packages",
				packages ? packages : json_array(), "state", db_text(statement, 6),
				"percent", (json_int_t)sqlite3_column_int64(statement, 7),
				"message", db_text(statement, 8), "log", db_text(statement, 9),
				"created_by", db_text(statement, 10), "created_at",
				(json_int_t)sqlite3_column_int64(statement, 11), "updated_at",
				(json_int_t)sqlite3_column_int64(statement, 12), "expires",
				(json_int_t)sqlite3_column_int64(statement, 13)));
	}
	db_done(statement);
	return list;
}

json_t *instruct_report(sqlite3 *reader, const char *tenant)
{
	static const char *const counts[] = { "pending", "running", "done", "failed", "cancelled" };
	sqlite3_stmt *statement;
	json_t *list = json_array(), *row;

	statement = reader ? db_prepare(reader,
					"SELECT tenant, instance, max(generation),"
					" sum(state = 'pending'), sum(state = 'running'),"
					" sum(state = 'done'), sum(state = 'failed'),"
					" sum(state = 'cancelled'), max(updated_at) FROM operations"
					" WHERE (?1 IS NULL OR tenant = ?1)"
					" GROUP BY tenant, instance ORDER BY tenant, instance")
			   : NULL;
	if (!statement || !list) {
		json_decref(list);
		return NULL;
	}
	db_bind_text(statement, 1, tenant);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		row = json_pack("{s:s, s:s, s:I, s:I}", "tenant", db_text(statement, 0), "instance",
				db_text(statement, 1), "generation",
				(json_int_t)sqlite3_column_int64(statement, 2), "changed_at",
				(json_int_t)sqlite3_column_int64(statement, 8));
		for (int i = 0; i < 5; i++)
			json_object_set_new(row, counts[i],
					    json_integer(sqlite3_column_int64(statement, 3 + i)));
		json_array_append_new(list, row);
	}
	db_done(statement);
	return list;
}
