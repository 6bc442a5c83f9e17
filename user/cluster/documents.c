/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nodes' documents: written from a plan that is carried out, signed, kept in table nodes; and
 * written anew without a machine that is shut out.
 */
#include "documents.h"

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

/* A database that was restored may be behind its nodes, who take nothing older. */
static int next_generation(struct state *state, const char *node, int64_t *ret_generation)
{
	int err = state_number(state, ret_generation,
			       "SELECT max(generation, followed) + 1 FROM nodes WHERE name = ?",
			       "s", node);

	return !err && *ret_generation > GENERATION_MAX ? -ERANGE : err;
}

/* Signs and keeps it. Within a transaction. */
static int keep(struct state *state, const char *key, const char *node, const json_t *payload,
		int64_t generation)
{
	char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL, *document = NULL;
	json_t *parsed = text ? desired_parse(text, strlen(text)) : NULL;
	/* What an agent would refuse is not sent: too many items, variables it cannot take. */
	int err = parsed ? 0 : -EMSGSIZE;

	json_decref(parsed);
	if (!err)
		err = signed_make(key, text, strlen(text), &document);
	fault_point("document");
	if (!err)
		err = state_run(state, NULL,
				"UPDATE nodes SET generation = ?, document = ? WHERE name = ?",
				"iss", generation, document, node);
	free(text);
	free(document);
	return err;
}

int documents_write(struct schedule *schedule, struct member *member)
{
	struct state *state = &schedule->cluster->state;
	json_t *payload = NULL;
	int64_t generation = 0;
	/* One transaction, so that no machine is named that is shut out meanwhile. */
	int err = state_begin(state);

	if (err)
		return err;
	err = next_generation(state, member->name, &generation);
	if (!err)
		payload = make_payload(schedule, member, generation);
	if (!err)
		err = keep(state, schedule->control_key, member->name, payload, generation);
	json_decref(payload);
	err = state_end(state, err);
	member->told |= !err;
	fault_point("document-written");
	return err;
}

char *documents_refusal(struct state *state, const char *node)
{
	char *refused = state_text(state, "SELECT document FROM agents WHERE node = ?", "s", node);
	char *given =
		refused && *refused
			? state_text(state, "SELECT document FROM nodes WHERE name = ?", "s", node)
			: NULL;
	char digest[NAME_DIGEST_LEN + 1] = "", *why = NULL;
	uint8_t bytes[DIGEST_SIZE];

	if (given && !digest_bytes(given, strlen(given), bytes))
		name_hex(bytes, sizeof(bytes), digest);
	if (*digest && !strcmp(digest, refused))
		why = state_text(state, "SELECT why FROM agents WHERE node = ? AND document = ?",
				 "ss", node, digest);
	free(refused);
	free(given);
	return why;
}

/* ---- a machine is shut out ---- */

/* True: it was among the peers. */
static bool remove_peer(json_t *payload, const char *name)
{
	json_t *peers = json_object_get(json_object_get(payload, "swarm"), "peers"), *peer;
	size_t i;

	json_array_foreach (peers, i, peer)
		if (!strcmp(json_string_value(json_object_get(peer, "name")), name))
			return !json_array_remove(peers, i);
	return false;
}

static int write_without(struct state *state, const char *key, const char *public,
			 const json_t *row, const char *name)
{
	const char *node = json_string_value(json_object_get(row, "name"));
	const char *document = json_string_value(json_object_get(row, "document"));
	json_t *payload = NULL;
	int64_t generation;
	char *text = NULL;
	size_t len;
	int err = 0;

	/* What another key signed, or another version wrote, no agent follows either. */
	if (!signed_open(public, document, strlen(document), &text, &len))
		payload = desired_parse(text, len);
	if (payload && remove_peer(payload, name)) {
		err = next_generation(state, node, &generation);
		if (!err)
			err = json_object_set_new(payload, "generation", json_integer(generation))
				      ? -ENOMEM
				      : keep(state, key, node, payload, generation);
	}
	json_decref(payload);
	free(text);
	return err;
}

int documents_shut_out(struct cluster *cluster, const char *name)
{
	char *key = cluster_read(cluster, "control.key");
	char *public = cluster_read(cluster, "control.pub");
	json_t *rows = NULL, *row;
	size_t i;
	int err = key && public ? 0 : -ENOENT;

	if (!err)
		err = state_run(&cluster->state, &rows,
				"SELECT name, document FROM nodes WHERE name != ? AND"
				" document != ''",
				"s", name);
	json_array_foreach (rows, i, row)
		if (!err)
			err = write_without(&cluster->state, key, public, row, name);
	json_decref(rows);
	free(public);
	free(key);
	return err;
}
