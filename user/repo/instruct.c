/* SPDX-License-Identifier: BSD-2-Clause */
#include "instruct.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/digest.h"
#include "../lib/instruction.h"
#include "../lib/name.h"
#include "../lib/signed.h"

/* When a document expires; 0: not known. */
static int64_t document_expires(const char *document)
{
	json_t *payload = NULL;
	int64_t expires;
	char *text;
	size_t len;

	if (!signed_peek(document, strlen(document), &text, &len)) {
		payload = json_loadb(text, len, 0, NULL);
		free(text);
	}
	expires = json_integer_value(json_object_get(payload, "expires"));
	json_decref(payload);
	return expires;
}

json_t *instruct_pending(sqlite3 *sql_db, const char *tenant, const char *instance)
{
	json_t *operations = json_array(), *packages;
	sqlite3_stmt *statement;
	json_int_t generation = 0, own;
	int64_t expires = 0;

	statement = db_prepare(sql_db, "SELECT generation, document FROM documents"
				       " WHERE tenant = ? AND instance = ?");
	db_bind_text(statement, 1, tenant);
	db_bind_text(statement, 2, instance);
	if (statement && sqlite3_step(statement) == SQLITE_ROW) {
		generation = sqlite3_column_int64(statement, 0);
		expires = document_expires(db_text(statement, 1));
	}
	db_done(statement);
	/* Nothing that expired before it was begun: an agent would refuse it. */
	statement = db_prepare(sql_db, "SELECT id, action, packages, expires FROM operations"
				       " WHERE tenant = ? AND instance = ? AND (state = 'running'"
				       " OR (state = 'pending' AND (expires = 0 OR expires >= ?)))"
				       " ORDER BY created_at, rowid");
	db_bind_text(statement, 1, tenant);
	db_bind_text(statement, 2, instance);
	sqlite3_bind_int64(statement, 3, db_now() - INSTRUCTION_SLACK);
	while (statement && sqlite3_step(statement) == SQLITE_ROW) {
		packages = json_loads(db_text(statement, 2), 0, NULL);
		/* One from before each had its own expires with its document. */
		own = sqlite3_column_int64(statement, 3);
		json_array_append_new(operations,
				      json_pack("{s:s, s:s, s:o, s:I}", "id", db_text(statement, 0),
						"action", db_text(statement, 1), "packages",
						packages ? packages : json_array(), "expires",
						own ? own : (json_int_t)expires));
	}
	db_done(statement);
	return json_pack("{s:I, s:o}", "generation", generation, "operations", operations);
}

/*
 * What expired before it was begun goes into no document any more. Should an agent have begun it
 * after all, its word counts, as with what an operator cancelled.
 */
static int end_expired(sqlite3 *writer, const struct instruct_order *order)
{
	sqlite3_stmt *statement =
		db_prepare(writer, "UPDATE operations SET state = 'cancelled',"
				   " message = 'it expired before the VM began it', updated_at = ?"
				   " WHERE state = 'pending' AND tenant = ? AND instance = ?"
				   " AND expires BETWEEN 1 AND ?");

	if (!statement)
		return -ENOMEM;
	sqlite3_bind_int64(statement, 1, db_now());
	db_bind_text(statement, 2, order->tenant);
	db_bind_text(statement, 3, order->instance);
	sqlite3_bind_int64(statement, 4, db_now() - INSTRUCTION_SLACK - 1);
	return db_run(statement);
}

static int insert_operation(sqlite3 *writer, const struct instruct_order *order, int64_t generation,
			    const json_t *operation)
{
	char *packages = json_dumps(json_object_get(operation, "packages"), JSON_COMPACT);
	const char *const texts[] = { json_string_value(json_object_get(operation, "id")),
				      order->tenant,
				      order->instance,
				      json_string_value(json_object_get(operation, "action")),
				      packages,
				      order->who };
	sqlite3_stmt *statement;
	int err;

	/* One that is there already stays, but for when it expires if that was not known. */
	statement = db_prepare(writer,
			       "INSERT INTO operations (id, tenant, instance, action, packages,"
			       " created_by, generation, state, percent, message, log, created_at,"
			       " updated_at, expires)"
			       " VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', 0, '', '', ?, ?, ?)"
			       " ON CONFLICT (id) DO UPDATE SET expires = excluded.expires"
			       " WHERE operations.expires = 0");
	if (!statement || !packages) {
		free(packages);
		return -ENOMEM;
	}
	for (int i = 0; i < 6; i++)
		db_bind_text(statement, i + 1, texts[i]);
	sqlite3_bind_int64(statement, 7, generation);
	sqlite3_bind_int64(statement, 8, db_now());
	sqlite3_bind_int64(statement, 9, db_now());
	sqlite3_bind_int64(statement, 10,
			   json_integer_value(json_object_get(operation, "expires")));
	err = db_run(statement);
	free(packages);
	return err;
}

static int store_document(sqlite3 *writer, const struct instruct_order *order, int64_t generation,
			  const char *document, const json_t *operations)
{
	sqlite3_stmt *statement = db_prepare(writer, "INSERT OR REPLACE INTO documents VALUES"
						     " (?, ?, ?, ?)");
	char subject[NAME_TENANT_MAX + INSTRUCTION_INSTANCE_MAX + 4], detail[40];
	const json_t *operation;
	size_t i;
	int err;

	if (!statement)
		return -ENOMEM;
	db_bind_text(statement, 1, order->tenant);
	db_bind_text(statement, 2, order->instance);
	sqlite3_bind_int64(statement, 3, generation);
	db_bind_text(statement, 4, document);
	err = db_run(statement);
	json_array_foreach (operations, i, operation)
		if (!err)
			err = insert_operation(writer, order, generation, operation);
	snprintf(subject, sizeof(subject), "%s/%s", order->tenant, order->instance);
	snprintf(detail, sizeof(detail), "generation %lld", (long long)generation);
	return err ? err : db_audit(writer, order->who, "instruct", subject, detail);
}

/* Signs the next generation's document here. */
static int sign_pending(struct store *store, const struct instruct_order *order,
			const json_t *pending, char **ret_document, struct problem *problem)
{
	int64_t generation = json_integer_value(json_object_get(pending, "generation")) + 1;
	char *key = instruct_key_secret(store), *payload;
	int err;

	if (!key)
		return problem_set(
			problem, 409, "no-key",
			"\"sluice-repo instruct-key create\" makes one, or sign with --key",
			"there is no key here that signs instructions");
	payload = instruction_payload(order->tenant, order->instance, generation,
				      db_now() + order->lifetime,
				      json_object_get(pending, "operations"));
	err = payload ? signed_make(key, payload, strlen(payload), ret_document) : -ENOMEM;
	explicit_bzero(key, strlen(key));
	free(key);
	free(payload);
	return err ? problem_errno(problem, err, "signing the instruction") : 0;
}

/* Makes this order's document: what is unfinished, and the new operation. */
static int compose(struct store *store, const struct instruct_order *order, json_t *pending,
		   char ret_id[17], char **ret_document, struct problem *problem)
{
	json_t *operations = json_object_get(pending, "operations"), *operation;
	int err = digest_random_hex(INSTRUCTION_ID_LEN / 2, ret_id);

	operation =
		json_pack("{s:s, s:s, s:O, s:I}", "id", ret_id, "action", order->action, "packages",
			  order->packages, "expires", (json_int_t)(db_now() + order->lifetime));
	if (err || !operation || !instruction_operation_valid(operation) ||
	    json_array_size(operations) >= INSTRUCTION_OPERATIONS_MAX) {
		json_decref(operation);
		return problem_set(
			problem, 400, "bad-operation",
			"install or remove PACKAGE[=VERSION]..., or upgrade; up to 64 unfinished",
			"the operation is not one an agent takes");
	}
	json_array_append_new(operations, operation);
	return sign_pending(store, order, pending, ret_document, problem);
}

/* A document signed elsewhere: by a key we know, for this instance, the next generation. */
static int accept(struct store *store, const struct instruct_order *order, json_t *pending,
		  struct problem *problem)
{
	int64_t generation = json_integer_value(json_object_get(pending, "generation")) + 1;
	char *key = instruct_key_public(store), *payload = NULL;
	json_t *json = NULL, *operation;
	size_t len, i;
	int err;

	err = key ? signed_open(key, order->document, strlen(order->document), &payload, &len)
		  : -EKEYREJECTED;
	free(key);
	if (!err)
		json = instruction_parse(payload, len);
	free(payload);
	if (err || !json)
		return problem_set(problem, 422, "bad-document",
				   "\"sluice-repo instruct-key trust\" makes a signer known",
				   "the document is damaged, or nobody known signed it");
	if (json_integer_value(json_object_get(json, "generation")) != generation ||
	    strcmp(json_string_value(json_object_get(json, "tenant")), order->tenant) != 0 ||
	    strcmp(json_string_value(json_object_get(json, "instance")), order->instance) != 0) {
		json_decref(json);
		return problem_set(problem, 409, "generation",
				   "read what is pending, then sign again",
				   "the document is not generation %lld of this instance",
				   (long long)generation);
	}
	json_array_foreach (json_object_get(json, "operations"), i, operation)
		if (!json_object_get(operation, "expires"))
			json_object_set(operation, "expires", json_object_get(json, "expires"));
	json_object_set(pending, "operations", json_object_get(json, "operations"));
	json_decref(json);
	return 0;
}

/* Commits unless err says that something was wrong, which the problem has by then. */
static int end_transaction(struct db *db, int err, struct problem *problem)
{
	if (err) {
		db_rollback(db);
		return err;
	}
	err = db_commit(db);
	return err ? problem_errno(problem, err, "instruction") : 0;
}

int instruct_add(struct db *db, struct store *store, const struct instruct_order *order,
		 int64_t *ret_generation, char ret_id[17], struct problem *problem)
{
	sqlite3 *writer = db_begin(db);
	char *document = NULL;
	json_t *pending;
	int64_t generation;
	int err;

	ret_id[0] = '\0';
	if (!writer)
		return problem_errno(problem, -errno, "instruction");
	err = end_expired(writer, order);
	pending = err ? NULL : instruct_pending(writer, order->tenant, order->instance);
	if (!pending) {
		db_rollback(db);
		return problem_errno(problem, err ? err : -ENOMEM, "instruction");
	}
	generation = json_integer_value(json_object_get(pending, "generation")) + 1;
	if (order->document)
		err = accept(store, order, pending, problem);
	else
		err = compose(store, order, pending, ret_id, &document, problem);
	if (!err) {
		err = store_document(writer, order, generation,
				     order->document ? order->document : document,
				     json_object_get(pending, "operations"));
		if (err)
			problem_errno(problem, err, "instruction");
	}
	err = end_transaction(db, err, problem);
	*ret_generation = generation;
	free(document);
	json_decref(pending);
	return err ? -1 : 0;
}

/* Whose operation is it, and may it be cancelled? Fills the order's tenant and instance. */
static int find_cancelled(sqlite3 *writer, const char *id, bool force, struct instruct_order *order,
			  struct problem *problem)
{
	sqlite3_stmt *statement =
		db_prepare(writer, "SELECT tenant, instance, state FROM operations"
				   " WHERE id = ?");
	char state[16] = "";
	int err = 0;

	db_bind_text(statement, 1, id);
	if (statement && sqlite3_step(statement) == SQLITE_ROW) {
		snprintf(order->room_tenant, sizeof(order->room_tenant), "%s",
			 db_text(statement, 0));
		snprintf(order->room_instance, sizeof(order->room_instance), "%s",
			 db_text(statement, 1));
		snprintf(state, sizeof(state), "%s", db_text(statement, 2));
	}
	db_done(statement);
	order->tenant = order->room_tenant;
	order->instance = order->room_instance;
	if (!*state)
		err = problem_set(problem, 404, "not-found",
				  "\"sluice-repo instructions\" lists operations",
				  "there is no operation %.16s", id);
	else if (!strcmp(state, "running") && !force)
		err = problem_set(
			problem, 409, "running",
			"it ends by itself; --force is for an agent that never comes back",
			"the agent has begun it");
	else if (strcmp(state, "pending") != 0 && strcmp(state, "running") != 0)
		err = problem_set(problem, 409, "ended", NULL, "it is %s already", state);
	return err;
}

/* What is pending without this operation; false when the document of somebody else still has it. */
static bool leave_out(json_t *pending, const char *id, bool foreign)
{
	json_t *operations = json_object_get(pending, "operations"), *operation;
	size_t i;

	json_array_foreach (operations, i, operation)
		if (!strcmp(json_string_value(json_object_get(operation, "id")), id)) {
			json_array_remove(operations, i);
			return !foreign;
		}
	return true;
}

static int mark_cancelled(sqlite3 *writer, const char *id, const char *who)
{
	sqlite3_stmt *statement = db_prepare(writer, "UPDATE operations SET state = 'cancelled',"
						     " message = 'by ' || ?, updated_at = ?"
						     " WHERE id = ?");

	if (!statement)
		return -ENOMEM;
	db_bind_text(statement, 1, who);
	sqlite3_bind_int64(statement, 2, db_now());
	db_bind_text(statement, 3, id);
	return db_run(statement);
}

int instruct_cancel(struct db *db, struct store *store, const char *id, bool force,
		    struct instruct_order *order, int64_t *ret_generation, struct problem *problem)
{
	sqlite3 *writer = db_begin(db);
	char *document = NULL;
	json_t *pending = NULL;
	int64_t generation = 0;
	int err;

	if (!writer)
		return problem_errno(problem, -errno, "instruction");
	err = find_cancelled(writer, id, force, order, problem);
	if (!err) {
		err = end_expired(writer, order);
		pending = err ? NULL : instruct_pending(writer, order->tenant, order->instance);
		if (!pending)
			err = problem_errno(problem, err ? err : -ENOMEM, "instruction");
	}
	generation = json_integer_value(json_object_get(pending, "generation")) + 1;
	if (!err && order->document)
		err = accept(store, order, pending, problem);
	if (!err && !leave_out(pending, id, order->document))
		err = problem_set(problem, 422, "bad-document", NULL,
				  "the document still holds the operation");
	if (!err && !order->document)
		err = sign_pending(store, order, pending, &document, problem);
	if (!err) {
		err = store_document(writer, order, generation,
				     order->document ? order->document : document,
				     json_object_get(pending, "operations"));
		if (!err)
			err = mark_cancelled(writer, id, order->who);
		if (err)
			problem_errno(problem, err, "instruction");
	}
	err = end_transaction(db, err, problem);
	*ret_generation = generation;
	free(document);
	json_decref(pending);
	return err ? -1 : 0;
}

int instruct_desired(sqlite3 *reader, const char *tenant, const char *instance, int64_t generation,
		     char **ret_document)
{
	sqlite3_stmt *statement;
	int found = 0;

	statement = reader ? db_prepare(reader, "SELECT document FROM documents WHERE tenant = ?"
						" AND instance = ? AND generation > ?")
			   : NULL;
	if (!statement)
		return -EIO;
	db_bind_text(statement, 1, tenant);
	db_bind_text(statement, 2, instance);
	sqlite3_bind_int64(statement, 3, generation);
	if (sqlite3_step(statement) == SQLITE_ROW) {
		*ret_document = strdup(db_text(statement, 0));
		found = *ret_document ? 1 : -ENOMEM;
	}
	db_done(statement);
	return found;
}
