/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions in the database: the one document each instance is to follow, and what
 * became of every operation. Adding one raises the instance's generation.
 */
#ifndef REPO_INSTRUCT_H
#define REPO_INSTRUCT_H

#include <jansson.h>
#include <stdint.h>

#include "../lib/instruction.h"
#include "../lib/name.h"
#include "db.h"
#include "problem.h"
#include "store.h"

#define INSTRUCT_MESSAGE_MAX 300
#define INSTRUCT_LOG_MAX     4096 /* of an operation's log tail */
#define INSTRUCT_LIFE_MAX    (366 * 86400)
#define INSTRUCT_LIFE	     (7 * 86400) /* unless somebody says otherwise */

/* The key that signs when the operator's does not: STATE/instruct.key. */
int instruct_key_create(struct store *store, struct problem *problem);
/*
 * Public keys (PEM) that documents signed elsewhere are checked against, beside our own: adds them,
 * or takes them back.
 */
int instruct_key_trust(struct store *store, const char *public_pem, struct problem *problem);
int instruct_key_distrust(struct store *store, const char *public_pem, struct problem *problem);
/* Malloc'd, or NULL: our secret key; all that may sign, our own first. */
char *instruct_key_secret(struct store *store);
char *instruct_key_public(struct store *store);

struct instruct_order {
	const char *tenant, *instance, *who;
	const char *action; /* with packages: signed here */
	const json_t *packages;
	int64_t lifetime;     /* seconds the operation is valid; the document at least as long */
	const char *document; /* or: signed elsewhere */
	/* Where tenant and instance of a cancelled operation are kept. */
	char room_tenant[NAME_TENANT_MAX + 1], room_instance[INSTRUCTION_INSTANCE_MAX + 1];
};
/* 0 with the generation and the operation's id ("" for a foreign document), or -1. */
int instruct_add(struct db *db, struct store *store, const struct instruct_order *order,
		 int64_t *ret_generation, char ret_id[17], struct problem *problem);

/*
 * Takes an operation out of what its instance is to do, with a document that is signed here or
 * brought along. One that an agent has begun only with force: should that agent still report,
 * its word counts. 0, or -1 and *problem.
 */
int instruct_cancel(struct db *db, struct store *store, const char *id, bool force,
		    struct instruct_order *order, int64_t *ret_generation, struct problem *problem);

/* The instance's document when it is newer than generation: text malloc'd and 1; 0; -errno. */
int instruct_desired(sqlite3 *reader, const char *tenant, const char *instance, int64_t generation,
		     char **ret_document);
/* Takes an agent's events. 0 or -1 and *problem. */
int instruct_events(struct db *db, const char *tenant, const char *instance, const json_t *events,
		    struct problem *problem);

/*
 * {"generation": N, "operations": [unfinished ones]}: what the next document holds, each with
 * "expires".
 */
json_t *instruct_pending(sqlite3 *reader, const char *tenant, const char *instance);
/* Operations with their states, newest first; tenant and instance may be NULL. */
json_t *instruct_list(sqlite3 *reader, const char *tenant, const char *instance, int64_t limit);
/*
 * How far each VM is: [{"tenant", "instance", "generation", "pending", "running", "done", "failed",
 * "cancelled", "changed_at"}], the counts being of its operations. tenant may be NULL.
 */
json_t *instruct_report(sqlite3 *reader, const char *tenant);

#endif
