/* SPDX-License-Identifier: BSD-2-Clause */
#include "api.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fsck.h"

#define LOG_LIMIT_MAX  10000
#define TOKEN_LIFE_MAX (10LL * 366 * 86400)

static void add_count(sqlite3 *reader, json_t *object, const char *key, const char *sql)
{
	sqlite3_stmt *statement = reader ? db_prepare(reader, sql) : NULL;

	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		json_object_set_new(object, key, json_integer(sqlite3_column_int64(statement, 0)));
	db_done(statement);
}

void api_status(struct request *request)
{
	sqlite3 *reader = db_reader(request->repod->db);
	json_t *status = json_object();
	uint64_t available = 0;

	store_space(request->repod->store, 0, &available);
	json_object_set_new(status, "version", json_string(SLUICE_VERSION));
	json_object_set_new(status, "available", json_integer((json_int_t)available));
	add_count(reader, status, "packages", "SELECT count(*) FROM packages");
	add_count(
		reader, status, "bytes",
		"SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT sha256, size FROM packages)");
	add_count(reader, status, "uploads", "SELECT count(*) FROM uploads");
	json_object_set_new(status, "uploads_bytes",
			    json_integer(upload_held_bytes(reader, request->repod->store, NULL)));
	json_object_set_new(
		status, "uploads_refused",
		json_integer((json_int_t)atomic_load(&request->repod->uploads_refused)));
	reply_json(request, 200, status);
}

/* Newest first; "before" an id, to page through. */
void api_log(struct request *request)
{
	const char *before = request_argument(request, "before");
	const char *limit = request_argument(request, "limit");
	sqlite3 *reader = db_reader(request->repod->db);
	sqlite3_stmt *statement;
	uint64_t last = INT64_MAX, count = 100;
	json_t *entries = json_array();

	statement =
		reader ? db_prepare(reader, "SELECT id, at, who, action, subject, detail FROM audit"
					    " WHERE id < ? ORDER BY id DESC LIMIT ?")
		       : NULL;
	if ((before && name_number(before, INT64_MAX, &last)) ||
	    (limit && name_number(limit, LOG_LIMIT_MAX, &count)))
		problem_set(&request->problem, 400, "bad-argument", NULL,
			    "before or limit is wrong (limit is up to %d)", LOG_LIMIT_MAX);
	else if (!statement)
		problem_errno(&request->problem, -5, "log");
	if (request->problem.status) {
		json_decref(entries);
		reply_problem(request);
		return;
	}
	sqlite3_bind_int64(statement, 1, (int64_t)last);
	sqlite3_bind_int64(statement, 2, (int64_t)count);
	while (sqlite3_step(statement) == SQLITE_ROW)
		json_array_append_new(
			entries,
			json_pack("{s:I, s:I, s:s, s:s, s:s, s:s}", "id",
				  (json_int_t)sqlite3_column_int64(statement, 0), "at",
				  (json_int_t)sqlite3_column_int64(statement, 1), "who",
				  db_text(statement, 2), "action", db_text(statement, 3), "subject",
				  db_text(statement, 4), "detail", db_text(statement, 5)));
	db_done(statement);
	reply_json(request, 200, json_pack("{s:o}", "entries", entries));
}

void api_tokens_list(struct request *request)
{
	json_t *tokens = token_list(db_reader(request->repod->db));

	reply_json(request, 200, tokens ? json_pack("{s:o}", "tokens", tokens) : NULL);
}

void api_tokens_create(struct request *request)
{
	static const struct request_member members[] = { { "name", JSON_STRING },
							 { "role", JSON_STRING },
							 { "lifetime", JSON_INTEGER } };
	json_t *body = REQUEST_JSON(request, members);
	const char *name = json_string_value(json_object_get(body, "name"));
	const char *role_text = json_string_value(json_object_get(body, "role"));
	json_int_t lifetime = json_integer_value(json_object_get(body, "lifetime"));
	char text[TOKEN_TEXT_MAX];
	enum role role = ROLE_NONE;

	if (request->problem.status)
		goto out;
	if (!name || !name_tenant_valid(name) || strlen(name) > TOKEN_NAME_MAX || !role_text ||
	    role_parse(role_text, &role) || lifetime < 0 || lifetime > TOKEN_LIFE_MAX)
		problem_set(
			&request->problem, 400, "bad-argument",
			"name: letters, digits and ._-; role: reader, uploader, admin; lifetime: "
			"seconds, or 0",
			"name, role or lifetime is missing or wrong");
	else
		token_create(request->repod->db, request->who.name, name, role, lifetime, text,
			     &request->problem);
out:
	if (request->problem.status)
		reply_problem(request);
	else
		reply_json(request, 201,
			   json_pack("{s:s, s:s, s:s}", "token", text, "name", name, "role",
				     role_name(role)));
	json_decref(body);
}

void api_tokens_revoke(struct request *request)
{
	struct repod *repod = request->repod;

	if (token_revoke(repod->db, request->who.name, request->rest, &request->problem)) {
		reply_problem(request);
		return;
	}
	/* What it had begun holds nobody's space any longer. */
	upload_sweep(repod->db, repod->store, repod->settings->limits.upload_expiry, false);
	reply_json(request, 200, json_object());
}

void api_fsck(struct request *request)
{
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
	static const struct request_member members[] = { { "repair", JSON_TRUE } };
	json_t *body = REQUEST_JSON(request, members), *report = NULL;
	bool repair = json_is_true(json_object_get(body, "repair"));

	if (!request->problem.status && pthread_mutex_trylock(&one_at_a_time)) {
		problem_set(&request->problem, 409, "busy", "try again when it has ended",
			    "another fsck is running");
	} else if (!request->problem.status) {
		report = fsck_run(request->repod->db, request->repod->store, request->who.name,
				  repair, &request->problem);
		pthread_mutex_unlock(&one_at_a_time);
	}
	json_decref(body);
	if (report)
		reply_json(request, 200, report);
	else
		reply_problem(request);
}
