/* SPDX-License-Identifier: BSD-2-Clause */
#include "token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "../lib/digest.h"
#include "../lib/name.h"

static const char *const role_names[] = {
	[ROLE_NONE] = "none",
	[ROLE_READER] = "reader",
	[ROLE_UPLOADER] = "uploader",
	[ROLE_ADMIN] = "admin",
};
_Static_assert(sizeof(role_names) / sizeof(role_names[0]) == ROLES, "role_names");

const char *role_name(enum role role)
{
	return role_names[role];
}

int role_parse(const char *text, enum role *ret_role)
{
	for (enum role role = ROLE_READER; role < ROLES; role++)
		if (!strcmp(text, role_names[role])) {
			*ret_role = role;
			return 0;
		}
	return -EINVAL;
}

int token_create(struct db *db, const char *who, const char *name, enum role role, int64_t lifetime,
		 char ret_text[TOKEN_TEXT_MAX], struct problem *problem)
{
	char id[TOKEN_ID_LEN + 1], secret[TOKEN_SECRET_LEN + 1], detail[96];
	uint8_t hash[DIGEST_SIZE];
	sqlite3_stmt *statement;
	sqlite3 *writer;
	int err;

	err = digest_random_hex(TOKEN_ID_LEN / 2, id);
	if (!err)
		err = digest_random_hex(TOKEN_SECRET_LEN / 2, secret);
	if (!err)
		err = digest_bytes(secret, TOKEN_SECRET_LEN, hash);
	if (err)
		return problem_errno(problem, err, "token");
	writer = db_begin(db);
	if (!writer)
		return problem_errno(problem, -errno, "token");
	statement = db_prepare(writer, "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, 0)");
	if (statement) {
		db_bind_text(statement, 1, id);
		db_bind_text(statement, 2, name);
		db_bind_text(statement, 3, role_name(role));
		sqlite3_bind_blob(statement, 4, hash, sizeof(hash), SQLITE_TRANSIENT);
		db_bind_text(statement, 5, who);
		sqlite3_bind_int64(statement, 6, db_now());
		sqlite3_bind_int64(statement, 7, lifetime ? db_now() + lifetime : 0);
	}
	err = db_run(statement);
	snprintf(detail, sizeof(detail), "%s %s", id, role_name(role));
	if (!err)
		err = db_audit(writer, who, "token-create", name, detail);
	if (err)
		db_rollback(db);
	else
		err = db_commit(db);
	if (!err)
		snprintf(ret_text, TOKEN_TEXT_MAX, "slr_%s_%s", id, secret);
	OPENSSL_cleanse(secret, sizeof(secret));
	return err ? problem_errno(problem, err, "token") : 0;
}

int token_revoke(struct db *db, const char *who, const char *id, struct problem *problem)
{
	sqlite3 *writer = db_begin(db);
	sqlite3_stmt *statement;
	int err;

	if (!writer)
		return problem_errno(problem, -errno, "token");
	statement = db_prepare(writer, "UPDATE tokens SET revoked_at = ?2"
				       " WHERE id = ?1 AND revoked_at = 0");
	db_bind_text(statement, 1, id);
	sqlite3_bind_int64(statement, 2, db_now());
	err = db_run(statement);
	if (!err && !sqlite3_changes(writer)) {
		db_rollback(db);
		return problem_set(problem, 404, "not-found",
				   "\"sluice-repo token list\" shows the ids",
				   "no valid token has the id %s", id);
	}
	if (!err)
		err = db_audit(writer, who, "token-revoke", id, NULL);
	if (err)
		db_rollback(db);
	else
		err = db_commit(db);
	return err ? problem_errno(problem, err, "token") : 0;
}

int token_check(sqlite3 *reader, const char *text, enum role *ret_role,
		char ret_name[TOKEN_NAME_MAX + 1])
{
	char id[TOKEN_ID_LEN + 1];
	uint8_t hash[DIGEST_SIZE], stored[DIGEST_SIZE] = { 0 };
	sqlite3_stmt *statement;
	const char *secret;
	enum role role = ROLE_NONE;
	bool valid = false;

	if (!reader || strnlen(text, TOKEN_TEXT_MAX) != TOKEN_TEXT_MAX - 1 ||
	    memcmp(text, "slr_", 4) != 0 || text[4 + TOKEN_ID_LEN] != '_')
		return -EACCES;
	memcpy(id, text + 4, TOKEN_ID_LEN);
	id[TOKEN_ID_LEN] = '\0';
	secret = text + 4 + TOKEN_ID_LEN + 1;
	if (!name_hex_valid(id, TOKEN_ID_LEN) || digest_bytes(secret, TOKEN_SECRET_LEN, hash))
		return -EACCES;
	statement =
		db_prepare(reader, "SELECT name, role, hash FROM tokens WHERE id = ?"
				   " AND revoked_at = 0 AND (expires_at = 0 OR expires_at > ?)");
	if (!statement)
		return -EACCES;
	db_bind_text(statement, 1, id);
	sqlite3_bind_int64(statement, 2, db_now());
	if (sqlite3_step(statement) == SQLITE_ROW &&
	    sqlite3_column_bytes(statement, 2) == DIGEST_SIZE) {
		memcpy(stored, sqlite3_column_blob(statement, 2), DIGEST_SIZE);
		snprintf(ret_name, TOKEN_NAME_MAX + 1, "%s", db_text(statement, 0));
		valid = role_parse(db_text(statement, 1), &role) == 0;
	}
	db_done(statement);
	if (!digest_equal(hash, stored) || !valid)
		return -EACCES;
	*ret_role = role;
	return 0;
}

json_t *token_list(sqlite3 *reader)
{
	sqlite3_stmt *statement = NULL;
	json_t *list = json_array();

	if (reader)
		statement = db_prepare(reader, "SELECT id, name, role, created_by, created_at,"
					       " expires_at, revoked_at FROM tokens"
					       " ORDER BY created_at, id");
	if (!statement || !list) {
		json_decref(list);
		return NULL;
	}
	while (sqlite3_step(statement) == SQLITE_ROW)
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "id",
				  db_text(statement, 0), "name", db_text(statement, 1), "role",
				  db_text(statement, 2), "created_by", db_text(statement, 3),
				  "created_at", (json_int_t)sqlite3_column_int64(statement, 4),
				  "expires_at", (json_int_t)sqlite3_column_int64(statement, 5),
				  "revoked_at", (json_int_t)sqlite3_column_int64(statement, 6)));
	db_done(statement);
	return list;
}
