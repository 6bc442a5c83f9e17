/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the network was before a scheme was set by "ip", kept in the journal before anything is
 * changed: "network-try" while a scheme is tried, "network" once it holds. There "was" stays what
 * was before the first scheme. So one that is taken back or taken away, also by an agent that was
 * killed in between, leaves links, addresses, routes and MTU as they were.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_journal.h"
#include "cluster_network_ip.h"

#define TRY  "network-try"
#define HELD "network"

/* What is left of a trial's record and the journal does not take: it must not be undone twice. */
static json_t *unwritten;

/* Was this of the record said in another boot? */
static bool is_older(const json_t *record, const char *key)
{
	char boot[40];

	boot_id(boot, sizeof(boot));
	return *ip_text(record, key) && strcmp(ip_text(record, key), boot) != 0;
}

static void mark_boot(json_t *record, const char *key)
{
	char boot[40];

	boot_id(boot, sizeof(boot));
	json_object_set_new(record, key, json_string(boot));
}

/* An empty one when there is none. What an undone one left is of its boot: the network is made anew
 * by the next. */
static json_t *read_record(struct node *node, const char *key)
{
	char *value = journal_get(node, key);
	json_t *record = value && *value ? json_loads(value, 0, NULL) : NULL;

	free(value);
	if (unwritten && !strcmp(key, TRY)) {
		json_decref(record);
		record = json_deep_copy(unwritten);
	}
	if (is_older(record, "boot")) {
		json_decref(record);
		record = NULL;
	}
	return record ? record : json_pack("{s:{}}", "links");
}

static int write_record(struct node *node, const char *key, const json_t *record)
{
	char *value = record ? json_dumps(record, JSON_COMPACT) : strdup("");
	int err = value ? journal_set(node, key, value) : -ENOMEM;

	free(value);
	if (!err && !strcmp(key, TRY)) {
		json_decref(unwritten);
		unwritten = NULL;
	}
	return err;
}

/* link NULL: only how it is. */
static int keep_link(json_t *links, const char *interface, const json_t *link)
{
	json_t *entry = json_object_get(links, interface), *was;

	if (!entry) {
		was = ip_link(interface);
		/* What is there and cannot be read must not be taken for new, and deleted. */
		if (!was && if_nametoindex(interface))
			return -EIO;
		entry = json_pack("{s:o*, s:[]}", "was", was, "sets");
		json_object_set_new(links, interface, entry);
	}
	if (link && !ip_listed(json_object_get(entry, "sets"), link))
		json_array_append(json_object_get(entry, "sets"), (json_t *)link);
	return 0;
}

static int keep_all(json_t *record, const json_t *held, const json_t *links)
{
	json_t *into = json_object_get(record, "links"), *entry, *routes, *route;
	const char *interface;
	const json_t *link;
	size_t i;
	int err = 0;

	json_object_foreach (json_object_get(held, "links"), interface, entry)
		err = err ? err : keep_link(into, interface, NULL);
	json_array_foreach (links, i, link) {
		if (!err && *ip_text(link, "parent"))
			err = keep_link(into, ip_text(link, "parent"), NULL);
		if (!err)
			err = keep_link(into, ip_text(link, "interface"), link);
	}
	routes = json_object_get(record, "routes");
	if (err || (routes && !json_object_get(record, "missing")))
		return err;
	routes = routes ? json_incref(routes) : ip_routes();
	if (!routes)
		return -EIO;
	/* Of a scheme that could not be taken back as a whole. */
	json_array_foreach (json_object_get(record, "missing"), i, route)
		if (!ip_listed(routes, route))
			json_array_append(routes, route);
	json_object_del(record, "missing");
	json_object_del(record, "boot");
	return json_object_set_new(record, "routes", routes);
}

/* A try that was cut short knows better what was before than this one. */
static int keep(struct work *work, const json_t *held, const json_t *links)
{
	json_t *record = read_record(work->node, TRY);
	int err = keep_all(record, held, links);

	mark_boot(record, "kept");
	if (err)
		outcome_fail(&work->outcome, err,
			     "ip does not say how the network is; nothing was changed");
	else
		err = write_record(work->node, TRY, record);
	json_decref(record);
	return err;
}

/* What the scheme before set and this one does not. */
static int remove_stale(const json_t *held, const json_t *links, struct outcome *outcome)
{
	const json_t *routes = json_object_get(held, "routes"), *link;
	const char *interface;
	json_t *entry;
	int err = 0;

	json_object_foreach (json_object_get(held, "links"), interface, entry) {
		link = ip_find(links, interface);
		if (link)
			err = err ? err : ip_reduce(interface, entry, routes, link, outcome);
		else if (!err && !ip_is_parent(links, interface))
			err = ip_put_back(interface, entry, routes, outcome);
	}
	return err;
}

int network_ip_apply(struct work *work, const json_t *links)
{
	json_t *held = read_record(work->node, HELD);
	int err = keep(work, held, links);

	if (!err)
		err = remove_stale(held, links, &work->outcome);
	if (!err)
		err = ip_set_links(links, &work->outcome);
	json_decref(held);
	return err;
}

/* With the lock held. record NULL: what holds stays as it is. */
static int end_trial(struct node *node, const char *record)
{
	static const char set[] = "INSERT OR REPLACE INTO meta VALUES (?, ?)";
	int err = journal_run(node, NULL, "BEGIN IMMEDIATE", 0);

	if (!err && record)
		err = journal_run(node, NULL, set, 2, HELD, record);
	if (!err)
		err = journal_run(node, NULL, set, 2, TRY, "");
	if (!err)
		err = journal_run(node, NULL, "DELETE FROM added WHERE item = ? AND kind = ?", 2,
				  DESIRED_NETWORK, NETWORK_KEPT);
	if (!err)
		err = journal_run(node, NULL, "COMMIT", 0);
	if (err)
		journal_run(node, NULL, "ROLLBACK", 0);
	return err;
}

int network_ip_hold(struct node *node, const json_t *links)
{
	json_t *held = read_record(node, HELD), *tried = read_record(node, TRY), *entry, *before;
	json_t *record = json_pack(
		"{s:{}, s:O}", "links", "routes",
		json_object_get(json_object_get(held, "routes") ? held : tried, "routes"));
	const char *interface;
	char *value = NULL;
	int err = 0;

	json_object_foreach (json_object_get(tried, "links"), interface, entry) {
		const json_t *link = ip_find(links, interface);

		if (!link && !ip_is_parent(links, interface))
			continue;
		before = json_object_get(json_object_get(held, "links"), interface);
		if (before && json_object_get(before, "was"))
			json_object_set(entry, "was", json_object_get(before, "was"));
		else if (before)
			json_object_del(entry, "was");
		json_array_clear(json_object_get(entry, "sets"));
		if (link)
			json_array_append(json_object_get(entry, "sets"), (json_t *)link);
		json_object_set(json_object_get(record, "links"), interface, entry);
	}
	if (json_object_size(json_object_get(tried, "links"))) {
		value = json_dumps(record, JSON_COMPACT);
		err = value ? 0 : -ENOMEM;
	}
	pthread_mutex_lock(&node->lock);
	err = err ? err : end_trial(node, value);
	pthread_mutex_unlock(&node->lock);
	free(value);
	json_decref(record);
	json_decref(tried);
	json_decref(held);
	return err;
}

/* Undoes what is recorded under the key, and forgets what is undone. */
static int undo(struct node *node, const char *key, struct outcome *outcome)
{
	json_t *record = read_record(node, key);
	int err = ip_put_all_back(record, outcome), result;

	mark_boot(record, "boot");
	result = write_record(node, key, err ? record : NULL);
	if (result && !strcmp(key, TRY)) {
		json_decref(unwritten);
		unwritten = json_incref(record);
	}
	json_decref(record);
	return err ? err : result;
}

bool network_ip_tried(struct node *node)
{
	char *value = journal_get(node, TRY);
	bool tried = value && *value;

	free(value);
	return tried;
}

int network_ip_forget_older(struct node *node)
{
	json_t *record = read_record(node, TRY);
	bool older = is_older(record, "kept");

	json_decref(record);
	return older ? write_record(node, TRY, NULL) : 0;
}

int network_ip_take_back(struct node *node, struct outcome *outcome)
{
	return undo(node, TRY, outcome);
}

int network_ip_remove(struct node *node, struct outcome *outcome)
{
	int err = undo(node, TRY, outcome);

	return err ? err : undo(node, HELD, outcome);
}
