/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Roles and the tokens that carry them. A token is "slr_" + id + "_" + secret; the
 * database holds the SHA-256 of the secret (256 random bits need no slow hash), compared
 * in constant time.
 */
#ifndef REPO_TOKEN_H
#define REPO_TOKEN_H

#include <jansson.h>
#include <stdint.h>

#include "db.h"
#include "problem.h"

/* Each role may do what the ones before it may. */
enum role { ROLE_NONE, ROLE_READER, ROLE_UPLOADER, ROLE_ADMIN, ROLES };

const char *role_name(enum role role);
/* "reader", "uploader", "admin"; 0 or -EINVAL. */
int role_parse(const char *text, enum role *ret_role);

#define TOKEN_ID_LEN	 12
#define TOKEN_SECRET_LEN 64
#define TOKEN_TEXT_MAX	 (4 + TOKEN_ID_LEN + 1 + TOKEN_SECRET_LEN + 1)
#define TOKEN_NAME_MAX	 63

/* lifetime in seconds, 0: does not expire. 0 or -1 and *problem. */
int token_create(struct db *db, const char *who, const char *name, enum role role, int64_t lifetime,
		 char ret_text[TOKEN_TEXT_MAX], struct problem *problem);
int token_revoke(struct db *db, const char *who, const char *id, struct problem *problem);
/* 0 and what it grants; -EACCES when it is wrong, expired or revoked. */
int token_check(sqlite3 *reader, const char *text, enum role *ret_role,
		char ret_name[TOKEN_NAME_MAX + 1]);
/* All of them, without secrets; NULL on failure. */
json_t *token_list(sqlite3 *reader);

#endif
