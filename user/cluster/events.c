/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What nodes report. A node may be somebody else's by now: it writes of itself alone, of runs that
 * there are, and so much of each that the database cannot be filled with what it invents.
 */
#include "events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fault.h"
#include "swarm.h"

#define EVENTS_MAX  1000
#define SESSION_LEN 16
#define MESSAGE_MAX 1000
#define LOG_MAX	    8192

#define NODE_ITEMS_MAX	 (2 * DESIRED_ITEMS_MAX) /* with those of bundles before */
#define ITEM_EVENTS_MAX	 200
#define ITEM_SOURCES_MAX (2 * DESIRED_PEERS_MAX)

/* The words of an item's life. */
static bool is_state(const char *word)
{
	static const char *const words[] = { "sending",	   "staged",	 "verified",
					     "installing", "configured", "healthy",
					     "failed",	   "removing",	 "removed" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i], word))
			return true;
	return false;
}

static const char *text(const json_t *event, const char *key)
{
	const char *value = json_string_value(json_object_get(event, key));

	return value ? value : "";
}

static int64_t number(const json_t *event, const char *key)
{
	return (int64_t)json_integer_value(json_object_get(event, key));
}

static bool valid(const json_t *event)
{
	return desired_name_valid(text(event, "item")) &&
	       name_hex_valid(text(event, "id"), DESIRED_ID_LEN) &&
	       name_hex_valid(text(event, "run"), DESIRED_RUN_LEN) &&
	       is_state(text(event, "state")) && number(event, "seq") > 0 &&
	       number(event, "percent") >= 0 && number(event, "percent") <= 100 &&
	       strlen(text(event, "message")) <= MESSAGE_MAX &&
	       strlen(text(event, "log")) <= LOG_MAX && swarm_valid(event);
}

/* Is there room for this item of the node, or is it there already? */
static bool item_fits(struct state *state, const char *node, const char *item)
{
	int64_t fits = 0;

	state_number(state, &fits,
		     "SELECT EXISTS (SELECT 1 FROM items WHERE node = ? AND name = ?) OR"
		     " (SELECT count(*) FROM items WHERE node = ?) < ?",
		     "sssi", node, item, node, (int64_t)NODE_ITEMS_MAX);
	return fits;
}

/* Of a run that there is, and not endlessly: both are true of what an agent reports. */
static bool belongs(struct state *state, const char *node, const json_t *event)
{
	const char *run = text(event, "run"), *item = text(event, "item");
	int64_t known = 0, events = 0, sources = 0;

	state_number(state, &known, "SELECT count(*) FROM runs WHERE id = ?", "s", run);
	if (known)
		state_number(state, &events,
			     "SELECT count(*) FROM events WHERE run = ? AND node = ? AND item = ?",
			     "sss", run, node, item);
	if (known && json_object_get(event, "sources"))
		state_number(state, &sources,
			     "SELECT count(*) FROM sources WHERE run = ? AND node = ? AND item = ?",
			     "sss", run, node, item);
	return known && events < ITEM_EVENTS_MAX && sources < ITEM_SOURCES_MAX;
}

static int take(struct state *state, const char *node, const json_t *event)
{
	int64_t now = state_now(), ago = number(event, "ago");
	int err;

	if (!item_fits(state, node, text(event, "item")))
		return 0;
	err = state_run(state, NULL,
			"INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
			" ON CONFLICT (node, name) DO UPDATE SET id = excluded.id,"
			" run = excluded.run, state = excluded.state, percent = excluded.percent,"
			" bytes = max(bytes * (id = excluded.id), excluded.bytes),"
			" rate = excluded.rate, message = excluded.message, log = excluded.log,"
			" at = excluded.at",
			"sssssiiissi", node, text(event, "item"), text(event, "id"),
			text(event, "run"), text(event, "state"), number(event, "percent"),
			number(event, "bytes"), number(event, "rate"), text(event, "message"),
			text(event, "log"), now);
	if (err || !belongs(state, node, event))
		return err;
	/* When it was here, by this machine's clock, less how long ago it was there: nodes' clocks
	 * differ, a duration does not, unless a clock was set meanwhile. */
	if (ago < 0)
		ago = 0;
	err = state_run(state, NULL,
			"INSERT INTO events (run, node, item, state, at) SELECT ?, ?, ?, ?, ?"
			" WHERE ? NOT IN (SELECT state FROM events WHERE run = ? AND"
			" node = ? AND item = ? ORDER BY id DESC LIMIT 1)",
			"ssssissss", text(event, "run"), node, text(event, "item"),
			text(event, "state"), now - ago, text(event, "state"), text(event, "run"),
			node, text(event, "item"));
	return err ? err : swarm_take(state, node, event);
}

/*
 * The last event that was taken. A journal that was lost or went back, with its machine, counts
 * anew: what another process of the agent reports first is taken whatever its number.
 */
static int last_known(struct state *state, const char *node, const char *session, int64_t first,
		      int64_t *ret_known)
{
	char *before = state_text(state, "SELECT session FROM agents WHERE node = ?", "s", node);
	bool same = before && !strcmp(before, session);
	int err = state_number(state, ret_known, "SELECT events FROM nodes WHERE name = ?", "s",
			       node);

	free(before);
	if (err || same)
		return err;
	if (first && first <= *ret_known)
		*ret_known = first - 1;
	return state_run(state, NULL,
			 "INSERT INTO agents VALUES (?, ?, '', '', 0, 0) ON CONFLICT (node)"
			 " DO UPDATE SET session = excluded.session",
			 "ss", node, session);
}

int events_take(struct state *state, const char *node, const json_t *json)
{
	const json_t *list = json_object_get(json, "events"), *event;
	const char *session = text(json, "session");
	int64_t known = 0, last;
	size_t i;
	int err;

	if (!json_is_array(list) || json_array_size(list) > EVENTS_MAX)
		return -EBADMSG;
	if (*session && !name_hex_valid(session, SESSION_LEN))
		return -EBADMSG;
	json_array_foreach (list, i, event)
		if (!valid(event))
			return -EBADMSG;
	err = state_begin(state);
	if (err)
		return err;
	err = last_known(state, node, session, number(json_array_get(list, 0), "seq"), &known);
	last = known;
	json_array_foreach (list, i, event) {
		if (err || number(event, "seq") <= known)
			continue;
		err = take(state, node, event);
		last = number(event, "seq") > last ? number(event, "seq") : last;
	}
	if (!err)
		err = state_run(state, NULL, "UPDATE nodes SET events = ? WHERE name = ?", "is",
				last, node);
	fault_point("events");
	err = state_end(state, err);
	fault_point("events-taken");
	return err;
}

int events_reconcile(struct state *state, const char *node, const json_t *facts)
{
	json_t *items = json_object_get(facts, "items"), *item;
	int64_t known = 0;
	const char *name;
	int err = state_number(state, &known, "SELECT events FROM nodes WHERE name = ?", "s", node);

	/* Events overtook these facts, or are on their way and say more. Else the journal is right,
	 * also of a reason that was never heard here, or was forgotten. */
	if (err || known > number(facts, "seq"))
		return err;
	json_object_foreach (items, name, item)
		if (!err && desired_name_valid(name) && is_state(text(item, "state")) &&
		    name_hex_valid(text(item, "id"), DESIRED_ID_LEN) &&
		    name_hex_valid(text(item, "run"), DESIRED_RUN_LEN) &&
		    strlen(text(item, "why")) <= MESSAGE_MAX && item_fits(state, node, name))
			err = state_run(state, NULL,
					"INSERT INTO items VALUES (?, ?, ?, ?, ?, 0, 0, 0, ?, '',"
					" ?) ON CONFLICT (node, name) DO UPDATE SET"
					" id = excluded.id, run = excluded.run,"
					" state = excluded.state, message = excluded.message WHERE"
					" state != excluded.state OR run != excluded.run OR"
					" (message = '' AND excluded.message != '')",
					"ssssssi", node, name, text(item, "id"), text(item, "run"),
					text(item, "state"), text(item, "why"), state_now());
	return err;
}
