/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/digest.h"
#include "../lib/fault.h"
#include "../lib/signed.h"
#include "swarm.h"

#define VALID_SECONDS  (30 * 86400) /* a node that was off for long is to be told anew */
#define GENERATION_MAX (INT64_MAX / 2)

static json_t *make_item(const struct entry *entry)
{
	bool remove = !strcmp(entry->action, "remove");
	json_t *item = json_pack("{s:O, s:s, s:s, s:b, s:b, s:b}", "id",
				 json_object_get(entry->plan, "id"), "name", entry->name, "action",
				 remove ? "uninstall" : "install", "stage", entry->stage, "go",
				 entry->go, "redo", !strcmp(entry->action, "repair"));
	json_t *links = json_object_get(entry->plan, "links");
	json_t *stores = json_object_get(entry->plan, "stores");

	if (links)
		json_object_set(item, "links", links);
	if (stores)
		json_object_set(item, "stores", stores);
	return item;
}

static json_t *make_payload(const struct schedule *schedule, const struct member *member,
			    int64_t generation)
{
	const char *manifest = json_string_value(
		json_object_get(json_object_get(schedule->plan, "bundle"), "manifest"));
	json_t *items = json_array(), *payload, *swarm;

	for (size_t i = 0; i < member->count; i++)
		json_array_append_new(items, make_item(&member->entries[i]));
	payload =
		json_pack("{s:i, s:s, s:s, s:I, s:I, s:s, s:s, s:O, s:o}", "version", 1, "cluster",
			  schedule->config->cluster, "node", member->name, "generation",
			  (json_int_t)generation, "expires", (json_int_t)time(NULL) + VALID_SECONDS,
			  "run", schedule->run, "manifest", manifest, "variables",
			  json_object_get(member->plan, "variables"), "items", items);
	swarm = swarm_document(schedule, member);
	if (swarm)
		json_object_set_new(payload, "swarm", swarm);
	return payload;
}

int documents_write(struct schedule *schedule, struct member *member)
{
	struct state *state = &schedule->cluster->state;
	char *text = NULL, *document = NULL;
	uint8_t digest[DIGEST_SIZE];
	int64_t generation = 0;
	json_t *payload, *parsed;
	int err;

	/* A database that was restored may be behind its nodes, who take nothing older. */
	err = state_number(state, &generation,
			   "SELECT max(generation, followed) FROM nodes WHERE name = ?", "s",
			   member->name);
	if (err)
		return err;
	if (generation >= GENERATION_MAX)
		return -ERANGE;
	payload = make_payload(schedule, member, ++generation);
	text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
	json_decref(payload);
	/* What an agent would refuse is not sent: too many items, variables it cannot take. */
	parsed = text ? desired_parse(text, strlen(text)) : NULL;
	if (!parsed)
		err = -EMSGSIZE;
	json_decref(parsed);
	if (!err)
		err = signed_make(schedule->control_key, text, strlen(text), &document);
	if (!err)
		err = digest_bytes(document, strlen(document), digest);
	fault_point("document");
	if (!err)
		err = state_run(state, NULL,
				"UPDATE nodes SET generation = ?, document = ? WHERE name = ?",
				"iss", generation, document, member->name);
	if (!err)
		name_hex(digest, sizeof(digest), member->digest);
	fault_point("document-written");
	free(text);
	free(document);
	return err;
}
