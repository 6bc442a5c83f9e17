/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions in the database: the one document each instance is to follow, and what
 * became of every operation. Adding one raises the instance's generation.
 */
#ifndef REPO_INSTRUCT_H
#define REPO_INSTRUCT_H

#include <jansson.h>
#include <stdint.h>

#include "db.h"
#include "problem.h"
#include "store.h"

#define INSTRUCT_EVENTS_MAX  32 /* of one request */
#define INSTRUCT_MESSAGE_MAX 300
#define INSTRUCT_LOG_MAX     4096 /* of an operation's log tail */
#define INSTRUCT_LIFE_MAX    (366 * 86400)

/* The key that signs when the operator's does not: STATE/instruct.key and instruct.pub. */
int instruct_key_create(struct store *store, struct problem *problem);
/* Public keys (PEM) that documents signed elsewhere are checked against. */
int instruct_key_trust(struct store *store, const char *public_pem, struct problem *problem);

struct instruct_order {
	const char *tenant, *instance, *who;
	const char *action; /* with packages: signed here */
	const json_t *packages;
	int64_t lifetime;     /* seconds the document is valid */
	const char *document; /* or: signed elsewhere */
};
/* 0 with the generation and the operation's id ("" for a foreign document), or -1. */
int instruct_add(struct db *db, struct store *store, const struct instruct_order *order,
		 int64_t *ret_generation, char ret_id[17], struct problem *problem);

/* The instance's document when it is newer than generation: text malloc'd and 1; 0; -errno. */
int instruct_desired(sqlite3 *reader, const char *tenant, const char *instance, int64_t generation,
		     char **ret_document);
/* Takes an agent's events. 0 or -1 and *problem. */
int instruct_events(struct db *db, const char *tenant, const char *instance, const json_t *events,
		    struct problem *problem);

/* {"generation": N, "operations": [unfinished ones]}: what the next document holds. */
json_t *instruct_pending(sqlite3 *reader, const char *tenant, const char *instance);
/* Operations with their states, newest first; tenant and instance may be NULL. */
json_t *instruct_list(sqlite3 *reader, const char *tenant, const char *instance, int64_t limit);

#endif
