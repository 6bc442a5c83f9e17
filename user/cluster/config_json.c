/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_json.h"

#include "config.h"

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

json_t *config_json_variables(const struct config *config, const struct config_node *node)
{
	static const char *const fixed[] = { "node", "address", "cluster", "control" };
	json_t *json = json_object();

	for (unsigned i = 0; i < config->variables_count; i++)
		set_text(json, config->variables[i].name, config->variables[i].value);
	for (unsigned i = 0; i < node->variables_count; i++)
		set_text(json, node->variables[i].name, node->variables[i].value);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		set_text(json, fixed[i], config_variable(config, node, fixed[i]));
	return json;
}

json_t *config_json_links(const struct config_node *node)
{
	json_t *links = json_array(), *link, *list;

	for (unsigned i = 0; i < node->network_count; i++) {
		const struct config_link *from = &node->network[i];

		link = json_object();
		set_text(link, "interface", from->interface);
		set_text(link, "parent", from->parent);
		set_text(link, "gateway", from->gateway);
		if (from->vlan)
			json_object_set_new(link, "vlan", json_integer(from->vlan));
		if (from->mtu)
			json_object_set_new(link, "mtu", json_integer(from->mtu));
		list = json_array();
		for (unsigned k = 0; k < from->addresses_count; k++)
			json_array_append_new(list, json_string(from->addresses[k]));
		json_object_set_new(link, "addresses", list);
		list = json_array();
		for (unsigned k = 0; k < from->routes_count; k++)
			json_array_append_new(list,
					      json_pack("{s:s, s:s}", "to", from->routes[k].to,
							"via", from->routes[k].via));
		json_object_set_new(link, "routes", list);
		json_array_append_new(links, link);
	}
	return links;
}

json_t *config_json_stores(const struct config_node *node)
{
	json_t *stores = json_array(), *store;

	for (unsigned i = 0; i < node->storage_count; i++) {
		const struct config_store *from = &node->storage[i];

		store = json_object();
		set_text(store, "path", from->path);
		set_text(store, "device", from->device);
		set_text(store, "fs", from->fs);
		set_text(store, "group", from->group);
		set_text(store, "volume", from->volume);
		set_text(store, "size", from->size);
		set_text(store, "owner", from->owner);
		set_text(store, "mode", from->mode);
		json_array_append_new(stores, store);
	}
	return stores;
}
