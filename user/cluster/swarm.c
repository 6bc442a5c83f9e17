/* SPDX-License-Identifier: BSD-2-Clause */
#include "swarm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/desired.h"
#include "../lib/piece.h"

/* Of bytes, pieces and failures: what a node claims, in all of a run's rows, still has a sum. */
#define NUMBER_MOST ((int64_t)1 << 50)

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static int64_t number(const json_t *object, const char *key)
{
	return (int64_t)json_integer_value(json_object_get(object, key));
}

/* ---- the document ---- */

static bool takes_part(const struct member *member)
{
	return !member->failed && member->count;
}

/* NULL: no certificate is known of it. */
static json_t *make_peer(const struct schedule *schedule, const struct member *member)
{
	char *key = state_text(&schedule->cluster->state,
			       "SELECT fingerprint FROM nodes WHERE name = ?", "s", member->name);
	json_t *peer = key ? json_pack("{s:s, s:s, s:s}", "name", member->name, "address",
				       text(member->plan, "address"), "key", key)
			   : NULL;

	free(key);
	return peer;
}

json_t *swarm_document(const struct schedule *schedule, const struct member *member)
{
	size_t count = 0, self = 0, at = 0;
	json_t *peers, *peer, *swarm;

	if (schedule->mode != CONFIG_SWARM)
		return NULL;
	for (size_t i = 0; i < schedule->count; i++) {
		if (&schedule->members[i] == member)
			self = count;
		count += takes_part(&schedule->members[i]);
	}
	peers = json_array();
	for (size_t i = 0; i < schedule->count; i++) {
		if (!takes_part(&schedule->members[i]))
			continue;
		if (at != self && (count <= DESIRED_PEERS_MAX + 1 || piece_near(self, at, count))) {
			peer = make_peer(schedule, &schedule->members[i]);
			if (peer)
				json_array_append_new(peers, peer);
		}
		at++;
	}
	swarm = json_pack("{s:s, s:i, s:o}", "address", text(member->plan, "address"), "port",
			  (int)schedule->config->peer_port, "peers", peers);
	/* Agents of before this key take a document without it. */
	if (schedule->config->peer_trust != DESIRED_TRUST)
		json_object_set_new(swarm, "trust", json_integer(schedule->config->peer_trust));
	return swarm;
}

/* ---- what nodes tell ---- */

static bool source_valid(const json_t *source)
{
	static const char *const numbers[] = { "bytes", "pieces", "wrong", "failed" };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!json_is_integer(json_object_get(source, numbers[i])) ||
		    number(source, numbers[i]) < 0 || number(source, numbers[i]) > NUMBER_MOST)
			return false;
	return config_name_valid(text(source, "peer")) && strlen(text(source, "why")) <= 250;
}

bool swarm_valid(const json_t *event)
{
	const json_t *list = json_object_get(event, "sources"), *source;
	size_t i;

	if (list && (!json_is_array(list) || json_array_size(list) > DESIRED_PEERS_MAX + 2))
		return false;
	json_array_foreach (list, i, source)
		if (!source_valid(source))
			return false;
	return true;
}

int swarm_take(struct state *state, const char *node, const json_t *event)
{
	const json_t *source;
	size_t i;
	int err = 0;

	json_array_foreach (json_object_get(event, "sources"), i, source)
		if (!err)
			err = state_run(
				state, NULL,
				"INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
				" ON CONFLICT (run, node, item, peer) DO UPDATE SET"
				" bytes = min(?10, bytes + excluded.bytes),"
				" pieces = min(?10, pieces + excluded.pieces),"
				" wrong = min(?10, wrong + excluded.wrong),"
				" failed = min(?10, failed + excluded.failed),"
				" why = CASE excluded.why WHEN '' THEN why ELSE excluded.why END",
				"ssssiiiisi", text(event, "run"), node, text(event, "item"),
				text(source, "peer"), number(source, "bytes"),
				number(source, "pieces"), number(source, "wrong"),
				number(source, "failed"), text(source, "why"), NUMBER_MOST);
	return err;
}

json_t *swarm_sources(struct state *state, const char *run, const char *node)
{
	json_t *rows = NULL;

	state_run(state, &rows,
		  "SELECT peer, sum(bytes) AS bytes, sum(pieces) AS pieces, sum(wrong) AS wrong,"
		  " sum(failed) AS failed, max(why) AS why FROM sources WHERE node = ? AND"
		  " run = coalesce(?, (SELECT id FROM runs ORDER BY started DESC LIMIT 1))"
		  " GROUP BY peer ORDER BY peer != '" SWARM_CONTROL "', peer",
		  "ss", node, run);
	return rows ? rows : json_array();
}

json_t *swarm_sources_of_run(struct state *state, const char *run)
{
	json_t *rows = NULL;

	state_run(state, &rows,
		  "SELECT node, item, peer, bytes, pieces, wrong, failed, why FROM sources"
		  " WHERE run = ? ORDER BY node, item, peer != '" SWARM_CONTROL "', peer",
		  "s", run);
	return rows ? rows : json_array();
}

static void show_trouble(const json_t *source)
{
	bool wrong = number(source, "wrong") > 0;

	if (wrong || number(source, "failed") > 0)
		printf("      %s %s %lld times%s%s\n", text(source, "peer"),
		       wrong ? "sent wrong pieces" : "did not deliver",
		       (long long)number(source, wrong ? "wrong" : "failed"),
		       *text(source, "why") ? ": " : "", text(source, "why"));
	else if (*text(source, "why"))
		printf("      %s: %s\n", text(source, "peer"), text(source, "why"));
}

void swarm_show(const json_t *sources)
{
	const json_t *source;
	bool any = false;
	size_t i;

	json_array_foreach (sources, i, source) {
		if (!number(source, "bytes"))
			continue;
		printf("%s%s %.1f MiB", any ? ", " : "    from ", text(source, "peer"),
		       (double)number(source, "bytes") / 1048576);
		any = true;
	}
	if (any)
		putchar('\n');
	json_array_foreach (sources, i, source)
		show_trouble(source);
}
