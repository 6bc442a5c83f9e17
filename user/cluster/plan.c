/* SPDX-License-Identifier: BSD-2-Clause */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/digest.h"
#include "config_json.h"
#include "plan_impl.h"
#include "runs.h"

/* ---- identities ---- */

struct lookup {
	const struct planning *planning;
	const struct config_node *node;
	const struct bundle_item *item;
};

static const char *find_variable(const char *name, void *arg)
{
	const struct lookup *lookup = arg;
	const char *value = config_variable(lookup->planning->config, lookup->node, name);

	for (size_t i = 0; !value && i < lookup->item->variables_count; i++)
		if (!strcmp(lookup->item->variables[i].name, name))
			value = lookup->item->variables[i].value;
	return value;
}

static int hash_json(const json_t *json, char ret_id[DESIRED_ID_LEN + 1])
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	uint8_t digest[DIGEST_SIZE];
	int err = text ? digest_bytes(text, strlen(text), digest) : -ENOMEM;

	if (!err)
		name_hex(digest, DESIRED_ID_LEN / 2, ret_id);
	free(text);
	return err;
}

/* Everything that decides what installing the item on this node does. */
static int make_id(struct lookup *lookup, char ret_id[DESIRED_ID_LEN + 1])
{
	json_t *all = json_object(), *variables = json_object(), *item;
	size_t i;
	int err;

	json_array_foreach (json_object_get(lookup->planning->manifest_json, "items"), i, item)
		if (!strcmp(json_string_value(json_object_get(item, "name")), lookup->item->name))
			json_object_set(all, "item", item);
	for (i = 0; i < lookup->item->variables_count; i++) {
		const char *name = lookup->item->variables[i].name;
		const char *value = find_variable(name, lookup);

		json_object_set_new(variables, name, json_string(value ? value : ""));
	}
	json_object_set_new(all, "variables", variables);
	err = hash_json(all, ret_id);
	json_decref(all);
	return err;
}

/* Templates and variables, before anything is touched. */
static void check_templates(json_t *node, struct lookup *lookup)
{
	struct bundle_error error;
	char *text;

	for (size_t i = 0; i < lookup->item->variables_count; i++)
		if (!find_variable(lookup->item->variables[i].name, lookup))
			plan_problem(node,
				     "%s: the variable %s has no value; give it one in the "
				     "cluster file",
				     lookup->item->name, lookup->item->variables[i].name);
	for (size_t i = 0; i < lookup->item->configs_count; i++) {
		const struct bundle_config *config = &lookup->item->configs[i];

		if (bundle_expand(config->text, find_variable, lookup, &text, &error))
			plan_problem(node, "%s: %s: %s", lookup->item->name, config->path,
				     error.text);
		else
			free(text);
	}
}

/* ---- what is wanted on a node ---- */

static bool in_list(char **list, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

static bool wanted(const struct planning *planning, const struct config_node *node,
		   const char *name)
{
	const struct config *config = planning->config;

	return (node->components_count
			? in_list(node->components, node->components_count, name)
			: in_list(config->components, config->components_count, name)) ||
	       (node->software_count ? in_list(node->software, node->software_count, name)
				     : in_list(config->software, config->software_count, name));
}

static void check_list(const struct planning *planning, json_t *node, char **list, unsigned count,
		       enum bundle_role role)
{
	for (unsigned i = 0; i < count; i++) {
		const struct bundle_item *item = bundle_manifest_item(planning->manifest, list[i]);

		if (!item)
			plan_problem(node, "the bundle has no item '%s'", list[i]);
		else if (item->role != role)
			plan_problem(node, "'%s' is %s in the bundle, and listed as %s", list[i],
				     bundle_role_name(item->role), bundle_role_name(role));
	}
}

static void check_lists(const struct planning *planning, const struct config_node *node,
			json_t *json)
{
	const struct config *config = planning->config;

	if (node->components_count)
		check_list(planning, json, node->components, node->components_count,
			   BUNDLE_COMPONENT);
	else
		check_list(planning, json, config->components, config->components_count,
			   BUNDLE_COMPONENT);
	if (node->software_count)
		check_list(planning, json, node->software, node->software_count, BUNDLE_SOFTWARE);
	else
		check_list(planning, json, config->software, config->software_count,
			   BUNDLE_SOFTWARE);
}

static void check_relations(const struct planning *planning, const struct config_node *node,
			    json_t *json, const struct bundle_item *item)
{
	for (size_t i = 0; i < item->needs.requires.count; i++)
		if (!wanted(planning, node, item->needs.requires.words[i]))
			plan_problem(json, "%s requires %s, which is not wanted here", item->name,
				     item->needs.requires.words[i]);
	for (size_t i = 0; i < item->needs.conflicts.count; i++)
		if (wanted(planning, node, item->needs.conflicts.words[i]))
			plan_problem(json, "%s and %s cannot be on the same machine", item->name,
				     item->needs.conflicts.words[i]);
}

/* ---- entries ---- */

static bool packages_as_they_were(const struct bundle_item *item, const json_t *facts)
{
	const json_t *installed = json_object_get(facts, "packages");

	for (size_t i = 0; i < item->packages_count; i++)
		if (!json_object_get(installed, item->packages[i].name))
			return false;
	return true;
}

static const char *choose_action(const json_t *facts, const char *name, const char *id,
				 const struct bundle_item *item)
{
	const json_t *known = json_object_get(json_object_get(facts, "items"), name);
	const char *state = json_string_value(json_object_get(known, "state"));
	const char *have = json_string_value(json_object_get(known, "id"));

	if (!state || !have || !strcmp(state, "removed"))
		return "install";
	if (strcmp(have, id) != 0)
		return "change";
	if (strcmp(state, "healthy") != 0)
		return "install";
	return item && !packages_as_they_were(item, facts) ? "repair" : "keep";
}

static void add_entry(struct planning *planning, const struct config_node *node, json_t *json,
		      const struct bundle_item *item, const json_t *facts)
{
	struct lookup lookup = { planning, node, item };
	struct bundle_blob *blobs = NULL;
	char id[DESIRED_ID_LEN + 1] = "";
	uint64_t bytes = 0;
	json_t *entry;
	size_t count = 0;

	if (make_id(&lookup, id) || bundle_item_blobs(planning->manifest, item, &blobs, &count))
		return;
	for (size_t i = 0; i < count; i++)
		bytes += blobs[i].size;
	free(blobs);
	entry = json_pack("{s:s, s:s, s:s, s:s, s:I}", "name", item->name, "id", id, "role",
			  bundle_role_name(item->role), "action",
			  choose_action(facts, item->name, id, item), "bytes", (json_int_t)bytes);
	check_templates(json, &lookup);
	check_relations(planning, node, json, item);
	plan_check_places(json, entry, item, node, facts);
	if (facts)
		plan_check_item(json, entry, item, facts, planning->options->upgrade);
	json_array_append_new(json_object_get(json, "items"), entry);
}

/* Takes scheme. */
static void add_scheme(json_t *json, const json_t *facts, const char *name, const char *key,
		       json_t *scheme)
{
	char id[DESIRED_ID_LEN + 1];
	json_t *entry = NULL;

	if (json_array_size(scheme) && !hash_json(scheme, id))
		entry = json_pack("{s:s, s:s, s:s, s:s, s:i, s:O}", "name", name, "id", id, "role",
				  "scheme", "action", choose_action(facts, name, id, NULL), "bytes",
				  0, key, scheme);
	if (entry)
		json_array_append_new(json_object_get(json, "items"), entry);
	json_decref(scheme);
}

static bool planned(const json_t *items, const char *name)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (items, i, entry)
		if (!strcmp(json_string_value(json_object_get(entry, "name")), name))
			return true;
	return false;
}

/* What is there and not wanted any more goes first. */
static void add_removals(json_t *json, const json_t *facts)
{
	json_t *items = json_object_get(json, "items"), *known;
	const char *name, *state;

	json_object_foreach (json_object_get(facts, "items"), name, known) {
		state = json_string_value(json_object_get(known, "state"));
		if (!state || !strcmp(state, "removed") || planned(items, name))
			continue;
		json_array_insert_new(items, 0,
				      json_pack("{s:s, s:O, s:s, s:s, s:i}", "name", name, "id",
						json_object_get(known, "id"), "role", "software",
						"action", "remove", "bytes", 0));
	}
}

/* The database's row of a node; NULL: not enrolled. */
static json_t *node_row(struct cluster *cluster, const char *name)
{
	json_t *rows = NULL, *row;

	if (state_run(&cluster->state, &rows,
		      "SELECT polled, facts, facts_at, address FROM nodes WHERE name = ?", "s",
		      name))
		return NULL;
	row = json_incref(json_array_get(rows, 0));
	json_decref(rows);
	return row;
}

json_t *planning_node(struct planning *planning, const struct config_node *node, json_t **ret_facts)
{
	json_t *row = node_row(planning->cluster, node->name);
	const char *text = json_string_value(json_object_get(row, "facts"));
	bool here = json_integer_value(json_object_get(row, "polled")) >= planning->since;
	json_t *json = json_pack("{s:s, s:s, s:b, s:[], s:o, s:[]}", "name", node->name, "address",
				 node->address, "reachable", here, "problems", "variables",
				 config_json_variables(planning->config, node), "items");

	*ret_facts = text && *text ? json_loads(text, 0, NULL) : NULL;
	if (!row)
		plan_problem(json, "it is not enrolled: sluice-cluster enrol %s", node->name);
	else if ((!here || !*ret_facts) && !cluster_served(planning->config))
		plan_problem(json,
			     "its agent does not answer: nobody serves at %s port %u; start "
			     "sluice-cluster serve",
			     planning->config->control.address, planning->config->control.port);
	else if (!here || !*ret_facts)
		plan_problem(json, "its agent does not answer");
	else
		plan_check_node(json, *ret_facts,
				json_integer_value(json_object_get(row, "facts_at")));
	json_decref(row);
	return json;
}

static json_t *plan_node(struct planning *planning, const struct config_node *node)
{
	json_t *facts, *json = planning_node(planning, node, &facts);

	if (!json)
		return NULL;
	check_lists(planning, node, json);
	plan_check_address(json, node);
	add_scheme(json, facts, DESIRED_NETWORK, "links", config_json_links(node));
	add_scheme(json, facts, DESIRED_STORAGE, "stores", config_json_stores(node));
	for (size_t i = 0; i < planning->manifest->items_count; i++)
		if (wanted(planning, node, planning->manifest->items[i].name))
			add_entry(planning, node, json, &planning->manifest->items[i], facts);
	add_removals(json, facts);
	json_decref(facts);
	return json;
}

/* Was the node done in the last run? One that was cut short knows of none. */
static bool was_done(const json_t *last, const char *name)
{
	const json_t *nodes = json_object_get(last, "nodes"), *node;
	size_t i;

	json_array_foreach (nodes, i, node)
		if (!strcmp(json_string_value(json_object_get(node, "name")), name))
			return !strcmp(json_string_value(json_object_get(node, "state")), "done");
	return json_array_size(nodes) > 0;
}

bool planning_wants(const struct planning *planning, const struct config_node *node)
{
	const struct plan_options *options = planning->options;
	int64_t bad = 0;

	if (options->nodes_count && !in_list(options->nodes, options->nodes_count, node->name))
		return false;
	if (!options->failed_only || !was_done(planning->last, node->name))
		return true;
	state_number(&planning->cluster->state, &bad,
		     "SELECT count(*) FROM items WHERE node = ? AND state NOT IN"
		     " ('healthy', 'removed')",
		     "s", node->name);
	return bad > 0;
}

void planning_count(json_t *plan)
{
	json_t *nodes = json_object_get(plan, "nodes"), *node, *entry;
	json_int_t changes = 0;
	size_t i, k;

	json_array_foreach (nodes, i, node)
		json_array_foreach (json_object_get(node, "items"), k, entry)
			changes += strcmp(json_string_value(json_object_get(entry, "action")),
					  "keep") != 0;
	json_object_set_new(plan, "changes", json_integer(changes));
}

json_t *plan_make(struct cluster *cluster, const struct config *config, struct bundle *bundle,
		  const struct plan_options *options)
{
	struct planning planning = { cluster, config, bundle_manifest(bundle), NULL, options,
				     0,	      NULL };
	json_t *plan, *nodes = json_array();
	struct bundle_blob blob;
	const char *text = bundle_manifest_json(bundle, &blob);

	planning.manifest_json = json_loadb(text, blob.size, 0, NULL);
	if (!planning.manifest_json || plan_refresh(cluster, options->wait, &planning.since)) {
		cluster_complain("cluster.db: %s", state_why(&cluster->state));
		json_decref(nodes);
		return NULL;
	}
	if (options->failed_only)
		planning.last = runs_read(cluster, NULL, "install");
	for (unsigned i = 0; i < config->nodes_count; i++)
		if (planning_wants(&planning, &config->nodes[i]))
			json_array_append_new(nodes, plan_node(&planning, &config->nodes[i]));
	json_decref(planning.last);
	plan = json_pack("{s:{s:s, s:I, s:s}, s:[], s:o}", "bundle", "name",
			 planning.manifest->name, "version", (json_int_t)planning.manifest->version,
			 "manifest", blob.digest, "problems", "nodes", nodes);
	for (unsigned i = 0; i < options->nodes_count; i++)
		if (!config_node(config, options->nodes[i]))
			plan_problem(plan, "the cluster file has no node '%s'", options->nodes[i]);
	planning_count(plan);
	json_decref(planning.manifest_json);
	return plan;
}

size_t plan_problems(const json_t *plan)
{
	size_t count = json_array_size(json_object_get(plan, "problems")), i;
	const json_t *node;

	json_array_foreach (json_object_get(plan, "nodes"), i, node)
		count += json_array_size(json_object_get(node, "problems"));
	return count;
}
