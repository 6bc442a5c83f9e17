/* SPDX-License-Identifier: BSD-2-Clause */
#include "desired.h"

#include <string.h>

#include "name.h"
#include "subnet.h"

#define NODE_MAX 63

bool desired_name_valid(const char *name)
{
	return !strcmp(name, DESIRED_NETWORK) || !strcmp(name, DESIRED_STORAGE) ||
	       name_package_valid(name);
}

static bool plain(const char *text, size_t most)
{
	size_t len = strlen(text);

	if (!len || len > most)
		return false;
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	return true;
}

static bool name_valid(const char *text)
{
	return text && plain(text, NODE_MAX) &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(text);
}

/* Texts without control characters, whole numbers, and lists of such, not too deep. */
static bool scheme_valid(const json_t *json, unsigned depth)
{
	const json_t *value;
	const char *key;
	size_t i;

	if (json_is_string(json))
		return plain(json_string_value(json), 255) &&
		       strlen(json_string_value(json)) == json_string_length(json);
	if (json_is_integer(json))
		return json_integer_value(json) >= 0 && json_integer_value(json) <= UINT16_MAX;
	if (!depth || json_array_size(json) > DESIRED_SCHEME_MAX ||
	    json_object_size(json) > DESIRED_SCHEME_MAX)
		return false;
	if (json_is_array(json)) {
		json_array_foreach (json, i, value)
			if (!scheme_valid(value, depth - 1))
				return false;
		return true;
	}
	if (!json_is_object(json))
		return false;
	json_object_foreach ((json_t *)json, key, value)
		if (!scheme_valid(value, depth - 1))
			return false;
	return true;
}

/* A scheme is a list of objects that each have the text which says what they are about. */
static bool schemes_valid(const json_t *list, const char *key)
{
	const json_t *entry;
	size_t i;

	if (!json_is_array(list) || !json_array_size(list) || !scheme_valid(list, 5))
		return false;
	json_array_foreach (list, i, entry)
		if (!json_is_string(json_object_get(entry, key)))
			return false;
	return true;
}

static bool item_valid(const json_t *item)
{
	static const char *const flags[] = { "stage", "go", "redo" };
	const char *id = json_string_value(json_object_get(item, "id"));
	const char *name = json_string_value(json_object_get(item, "name"));
	const char *action = json_string_value(json_object_get(item, "action"));

	if (!id || !name_hex_valid(id, DESIRED_ID_LEN) || !name || !desired_name_valid(name) ||
	    !action || (strcmp(action, "install") != 0 && strcmp(action, "uninstall") != 0))
		return false;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!json_is_boolean(json_object_get(item, flags[i])))
			return false;
	if (!strcmp(action, "uninstall"))
		return json_object_size(item) == 6;
	if (!strcmp(name, DESIRED_NETWORK))
		return json_object_size(item) == 7 &&
		       schemes_valid(json_object_get(item, "links"), "interface");
	if (!strcmp(name, DESIRED_STORAGE))
		return json_object_size(item) == 7 &&
		       schemes_valid(json_object_get(item, "stores"), "path");
	return json_object_size(item) == 6;
}

static bool items_valid(const json_t *items)
{
	const json_t *item, *other;
	size_t i, k;

	if (!json_is_array(items) || json_array_size(items) > DESIRED_ITEMS_MAX)
		return false;
	json_array_foreach (items, i, item) {
		if (!item_valid(item))
			return false;
		for (k = 0; k < i; k++) {
			other = json_array_get(items, k);
			if (json_equal(json_object_get(other, "name"),
				       json_object_get(item, "name")))
				return false;
		}
	}
	return true;
}

static bool variables_valid(json_t *variables)
{
	const json_t *value;
	const char *key;

	if (!json_is_object(variables) || json_object_size(variables) > DESIRED_VARIABLES_MAX)
		return false;
	json_object_foreach (variables, key, value)
		/* It becomes a name of an environment variable. */
		if (!json_is_string(value) ||
		    strspn(key,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
			    strlen(key) ||
		    !*key || strlen(key) > NODE_MAX ||
		    strlen(json_string_value(value)) != json_string_length(value))
			return false;
	return true;
}

static bool address_valid(const json_t *json)
{
	const char *text = json_string_value(json);
	struct subnet subnet;

	return text && !strchr(text, '/') && !subnet_parse(text, &subnet);
}

static bool peer_valid(const json_t *peer)
{
	const char *key = json_string_value(json_object_get(peer, "key"));

	return json_object_size(peer) == 3 &&
	       name_valid(json_string_value(json_object_get(peer, "name"))) && key &&
	       name_hex_valid(key, NAME_DIGEST_LEN) &&
	       address_valid(json_object_get(peer, "address"));
}

static bool trust_valid(const json_t *trust)
{
	return json_is_integer(trust) && json_integer_value(trust) >= DESIRED_TRUST_LEAST &&
	       json_integer_value(trust) <= DESIRED_TRUST_MOST;
}

static bool swarm_valid(const json_t *swarm)
{
	const json_t *peers = json_object_get(swarm, "peers"), *peer;
	const json_t *trust = json_object_get(swarm, "trust");
	json_int_t port = json_integer_value(json_object_get(swarm, "port"));
	size_t i;

	if (json_object_size(swarm) != (trust ? 4 : 3) || (trust && !trust_valid(trust)) ||
	    !address_valid(json_object_get(swarm, "address")) || port < 1 || port > UINT16_MAX ||
	    !json_is_array(peers) || json_array_size(peers) > DESIRED_PEERS_MAX)
		return false;
	json_array_foreach (peers, i, peer)
		if (!peer_valid(peer))
			return false;
	return true;
}

json_t *desired_parse(const char *payload, size_t len)
{
	json_t *json = json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL);
	const char *manifest = json_string_value(json_object_get(json, "manifest"));
	const char *run = json_string_value(json_object_get(json, "run"));
	const json_t *swarm = json_object_get(json, "swarm");

	if (json_object_size(json) == (swarm ? 10 : 9) && (!swarm || swarm_valid(swarm)) &&
	    json_integer_value(json_object_get(json, "version")) == 1 &&
	    name_valid(json_string_value(json_object_get(json, "cluster"))) &&
	    name_valid(json_string_value(json_object_get(json, "node"))) &&
	    json_integer_value(json_object_get(json, "generation")) > 0 &&
	    json_integer_value(json_object_get(json, "expires")) > 0 && run &&
	    name_hex_valid(run, DESIRED_RUN_LEN) && manifest &&
	    (!*manifest || name_hex_valid(manifest, NAME_DIGEST_LEN)) &&
	    variables_valid(json_object_get(json, "variables")) &&
	    items_valid(json_object_get(json, "items")))
		return json;
	json_decref(json);
	return NULL;
}
