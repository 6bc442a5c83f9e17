/* SPDX-License-Identifier: BSD-2-Clause */
#include "instruct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/signed.h"
#include "../lib/digest.h"
#include "../lib/instruction.h"
#include "../lib/name.h"

static int no_memory(struct problem *problem)
{
	return problem_errno(problem, -ENOMEM, "instruction");
}

json_t *instruct_pending(sqlite3 *sql_db, const char *tenant, const char *instance)
{
	json_t *operations = json_array(), *packages;
	sqlite3_stmt *statement;
	json_int_t generation = 0;

	statement = db_prepare(sql_db, "SELECT generation FROM documents WHERE tenant = ?"
				       " AND instance = ?");
	db_bind_text(statement, 1, tenant);
	db_bind_text(statement, 2, instance);
	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		generation = sqlite3_column_int64(statement, 0);
	db_done(statement);
	statement =
		db_prepare(sql_db, "SELECT id, action, packages FROM operations WHERE tenant = ?"
				   " AND instance = ? AND state IN ('pending', 'running')"
				   " ORDER BY created_at, rowid");
	db_bind_text(statement, 1, tenant);
	db_bind_text(statement, 2, instance);
	while (statement && sqlite3_step(statement) == SQLITE_ROW) {
		packages = json_loads(db_text(statement, 2), 0, NULL);
		json_array_append_new(operations,
				      json_pack("{s:s, s:s, s:o}", "id", db_text(statement, 0),
						"action", db_text(statement, 1), "packages",
						packages ? packages : json_array()));
	}
	db_done(statement);
	return json_pack("{s:I, s:o}", "generation", generation, "operations", operations);
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

	statement = db_prepare(writer,
			       "INSERT OR IGNORE INTO operations (id, tenant, instance, action,"
			       " packages, created_by, generation, state, percent, message, log,"
			       " created_at, updated_at)"
			       " VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', 0, '', '', ?, ?)");
	if (!statement || !packages) {
		free(packages);
		return -ENOMEM;
	}
	for (int i = 0; i < 6; i++)
		db_bind_text(statement, i + 1, texts[i]);
	sqlite3_bind_int64(statement, 7, generation);
	sqlite3_bind_int64(statement, 8, db_now());
	sqlite3_bind_int64(statement, 9, db_now());
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

static char *read_key(struct store *store, const char *name)
{
	int fd = openat(store->dir, name, O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : calloc(1, 8192);

	if (text && read(fd, text, 8191) <= 0) {
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

/* Makes this order's document: what is unfinished, and the new operation. */
static int compose(struct store *store, const struct instruct_order *order, json_t *pending,
		   char ret_id[17], char **ret_document, struct problem *problem)
{
	int64_t generation = json_integer_value(json_object_get(pending, "generation")) + 1;
	json_t *operations = json_object_get(pending, "operations"), *operation;
	char *key = read_key(store, "instruct.key"), *payload;
	int err;

	if (!key)
		return problem_set(
			problem, 409, "no-key",
			"\"sluice-repo instruct-key create\" makes one, or sign with --key",
			"there is no key here that signs instructions");
	err = digest_random_hex(INSTRUCTION_ID_LEN / 2, ret_id);
	operation = json_pack("{s:s, s:s, s:O}", "id", ret_id, "action", order->action, "packages",
			      order->packages);
	if (err || !operation || !instruction_operation_valid(operation) ||
	    json_array_size(operations) >= INSTRUCTION_OPERATIONS_MAX) {
		json_decref(operation);
		free(key);
		return problem_set(
			problem, 400, "bad-operation",
			"install or remove PACKAGE[=VERSION]..., or upgrade; up to 64 unfinished",
			"the operation is not one an agent takes");
	}
	json_array_append_new(operations, operation);
	payload = instruction_payload(order->tenant, order->instance, generation,
				      db_now() + order->lifetime, operations);
	err = payload ? signed_make(key, payload, strlen(payload), ret_document) : -ENOMEM;
	explicit_bzero(key, strlen(key));
	free(key);
	free(payload);
	return err ? problem_errno(problem, err, "signing the instruction") : 0;
}

/* A document signed elsewhere: by a key we know, for this instance, the next generation. */
static int accept(struct store *store, const struct instruct_order *order, json_t *pending,
		  struct problem *problem)
{
	int64_t generation = json_integer_value(json_object_get(pending, "generation")) + 1;
	char *key = read_key(store, "instruct.pub"), *payload = NULL;
	json_t *json = NULL;
	size_t len;
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
	json_object_set(pending, "operations", json_object_get(json, "operations"));
	json_decref(json);
	return 0;
}

int instruct_add(struct db *db, struct store *store, const struct instruct_order *order,
		 int64_t *ret_generation, char ret_id[17], struct problem *problem)
{
	sqlite3 *writer = db_begin(db);
	json_t *pending = writer ? instruct_pending(writer, order->tenant, order->instance) : NULL;
	char *document = NULL;
	int64_t generation;
	int err;

	ret_id[0] = '\0';
	if (!writer)
		return problem_errno(problem, -errno, "instruction");
	if (!pending) {
		db_rollback(db);
		return no_memory(problem);
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
	if (err) {
		db_rollback(db);
	} else {
		err = db_commit(db);
		if (err)
			problem_errno(problem, err, "instruction");
	}
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

/* Copies text of an agent: bounded, control characters but newlines replaced. */
static void copy_message(char *out, size_t size, const char *text)
{
	size_t len = 0;

	for (; text && *text && len + 1 < size; text++)
		out[len++] = ((unsigned char)*text < 0x20 && *text != '\n') || *text == 0x7f
				     ? '?'
				     : *text;
	out[len] = '\0';
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
	copy_message(message, sizeof(message),
		     json_string_value(json_object_get(event, "message")));
	copy_message(log, sizeof(log), json_string_value(json_object_get(event, "log")));
	/* Another instance's operation, and one that has ended, are left as they are. */
	statement = db_prepare(writer, "UPDATE operations SET state = ?, percent = ?, message = ?,"
				       " log = ?, updated_at = ? WHERE id = ? AND tenant = ?"
				       " AND instance = ? AND state IN ('pending', 'running')");
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

	if (!json_is_array(events) || json_array_size(events) > INSTRUCT_EVENTS_MAX)
		return problem_set(problem, 400, "bad-events", NULL, "events: an array of up to %d",
				   INSTRUCT_EVENTS_MAX);
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
					    " created_at, updated_at FROM operations"
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
				"{s:s, s:s, s:s, s:I, s:s, s:o, s:s, s:I, s:s, s:s, s:s, s:I, s:I}",
				"id", db_text(statement, 0), "tenant", db_text(statement, 1),
				"instance", db_text(statement, 2), "generation",
				(json_int_t)sqlite3_column_int64(statement, 3), "action",
				db_text(statement, 4), "packages",
				packages ? packages : json_array(), "state", db_text(statement, 6),
				"percent", (json_int_t)sqlite3_column_int64(statement, 7),
				"message", db_text(statement, 8), "log", db_text(statement, 9),
				"created_by", db_text(statement, 10), "created_at",
				(json_int_t)sqlite3_column_int64(statement, 11), "updated_at",
				(json_int_t)sqlite3_column_int64(statement, 12)));
	}
	db_done(statement);
	return list;
}

static int write_key(struct store *store, const char *name, const char *text, mode_t mode)
{
	int fd, err = 0;

	unlinkat(store->dir, ".instruct", 0);
	fd = openat(store->dir, ".instruct", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = -EIO;
	if (!err)
		err = store_sync(fd, "instruct-key-sync");
	close(fd);
	if (!err && renameat(store->dir, ".instruct", store->dir, name))
		err = -errno;
	return err ? err : store_sync(store->dir, "instruct-dir-sync");
}

int instruct_key_create(struct store *store, struct problem *problem)
{
	char *private_pem, *public_pem;
	int err;

	if (!faccessat(store->dir, "instruct.key", F_OK, 0))
		return problem_set(problem, 409, "exists",
				   "agents would refuse what another key signs",
				   "there is a key already");
	err = signed_key_make(&private_pem, &public_pem);
	if (err)
		return problem_errno(problem, err, "key");
	err = write_key(store, "instruct.pub", public_pem, 0644);
	if (!err)
		err = write_key(store, "instruct.key", private_pem, 0600);
	explicit_bzero(private_pem, strlen(private_pem));
	free(private_pem);
	free(public_pem);
	return err ? problem_errno(problem, err, "key") : 0;
}

int instruct_key_trust(struct store *store, const char *public_pem, struct problem *problem)
{
	static const char probe[] = "{\"payload\":\"AAAA\",\"signature\":\""
				    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
				    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"}";
	char *payload;
	size_t len;
	int err;

	/* Nothing is signed by it; but -EINVAL says that it holds no key at all. */
	if (strlen(public_pem) > 4096 ||
	    signed_open(public_pem, probe, strlen(probe), &payload, &len) != -EKEYREJECTED)
		return problem_set(problem, 422, "bad-key",
				   "openssl pkey -pubout writes what is wanted",
				   "this is no Ed25519 public key in PEM");
	err = write_key(store, "instruct.pub", public_pem, 0644);
	return err ? problem_errno(problem, err, "key") : 0;
}
