/* SPDX-License-Identifier: BSD-2-Clause */
/* Plans that take away: everything, or what one run added, the latest first. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "plan_impl.h"

struct removal {
	const json_t *run_plan, *last_plan;
};

/* Was the item added by that run? run_plan NULL: whatever is there. */
static bool added_by(const json_t *run_plan, const char *node, const char *item)
{
	const json_t *planned_node, *entry;
	const char *action;
	size_t i, k;

	json_array_foreach (json_object_get(run_plan, "nodes"), i, planned_node) {
		if (strcmp(json_string_value(json_object_get(planned_node, "name")), node) != 0)
			continue;
		json_array_foreach (json_object_get(planned_node, "items"), k, entry) {
			action = json_string_value(json_object_get(entry, "action"));
			if (!strcmp(json_string_value(json_object_get(entry, "name")), item))
				return !strcmp(action, "install");
		}
	}
	return !run_plan;
}

/* Where an item stood in the last apply's plan of a node: what came later goes first. */
static int place_in(const json_t *plan, const char *node, const char *item)
{
	const json_t *planned_node, *entry;
	size_t i, k;

	json_array_foreach (json_object_get(plan, "nodes"), i, planned_node) {
		if (strcmp(json_string_value(json_object_get(planned_node, "name")), node) != 0)
			continue;
		json_array_foreach (json_object_get(planned_node, "items"), k, entry)
			if (!strcmp(json_string_value(json_object_get(entry, "name")), item))
				return (int)k;
	}
	return INT_MAX;
}

static void add_removal(const struct removal *removal, json_t *json, const json_t *row)
{
	json_t *items = json_object_get(json, "items"), *entry;
	const char *node = json_string_value(json_object_get(json, "name"));
	const char *name = json_string_value(json_object_get(row, "name"));
	int place = place_in(removal->last_plan, node, name);
	size_t at = 0;

	if (!added_by(removal->run_plan, node, name))
		return;
	while ((entry = json_array_get(items, at)) &&
	       place_in(removal->last_plan, node,
			json_string_value(json_object_get(entry, "name"))) > place)
		at++;
	json_array_insert_new(items, at,
			      json_pack("{s:s, s:O, s:s, s:s, s:i}", "name", name, "id",
					json_object_get(row, "id"), "role", "software", "action",
					"remove", "bytes", 0));
}

static json_t *removal_node(struct planning *planning, const struct config_node *node,
			    const struct removal *removal)
{
	json_t *facts, *json = planning_node(planning, node, &facts), *rows = NULL, *row;
	size_t i;

	if (json && !state_run(&planning->cluster->state, &rows,
			       "SELECT name, id FROM items WHERE node = ? AND state != 'removed'",
			       "s", node->name))
		json_array_foreach (rows, i, row)
			add_removal(removal, json, row);
	json_decref(rows);
	json_decref(facts);
	return json;
}

json_t *plan_removal(struct cluster *cluster, const struct config *config, const json_t *run_plan,
		     const json_t *last_plan, const struct plan_options *options)
{
	const struct removal removal = { run_plan, last_plan };
	struct planning planning = { cluster, config, NULL, NULL, options, 0, NULL };
	json_t *plan, *nodes = json_array();
	char *manifest = state_meta(&cluster->state, "manifest");

	if (plan_refresh(cluster, options->wait, &planning.since)) {
		cluster_complain("cluster.db: %s", state_why(&cluster->state));
		json_decref(nodes);
		free(manifest);
		return NULL;
	}
	for (unsigned i = 0; i < config->nodes_count; i++)
		if (planning_wants(&planning, &config->nodes[i]))
			json_array_append_new(nodes,
					      removal_node(&planning, &config->nodes[i], &removal));
	plan = json_pack("{s:{s:s, s:i, s:s}, s:[], s:o}", "bundle", "name", "", "version", 0,
			 "manifest", manifest ? manifest : "", "problems", "nodes", nodes);
	planning_count(plan);
	free(manifest);
	return plan;
}
