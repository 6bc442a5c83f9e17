/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands against an item on a node, by what that node tells of itself. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../lib/desired.h"
#include "../lib/spawn.h"
#include "../lib/subnet.h"
#include "config.h"
#include "plan.h"

#define SKEW_MAX 300 /* seconds between clocks */

void plan_problem(json_t *object, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(json_object_get(object, "problems"), json_string(text));
}

void plan_check_node(json_t *node, const json_t *facts, int64_t facts_at)
{
	int64_t skew =
		(int64_t)json_integer_value(json_object_get(facts, "time")) - facts_at / 1000;

	if (skew > SKEW_MAX || skew < -SKEW_MAX)
		plan_problem(node,
			     "its clock is %lld s %s; set it: signatures and certificates "
			     "depend on it",
			     (long long)(skew < 0 ? -skew : skew), skew < 0 ? "behind" : "ahead");
}

static bool older(const char *a, const char *b)
{
	const char *const argv[] = { "dpkg", "--compare-versions", a, "lt", b, NULL };
	struct spawn spawn = { .argv = argv, .output = -1, .timeout = 10 };
	char *why = NULL;
	int err = spawn_run(&spawn, NULL, &why);

	free(why);
	return !err;
}

static bool is_held(const json_t *facts, const char *name)
{
	const json_t *held;
	size_t i;

	json_array_foreach (json_object_get(facts, "holds"), i, held)
		if (json_is_string(held) && !strcmp(json_string_value(held), name))
			return true;
	return false;
}

static void add_line(json_t *entry, const char *list, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add_line(json_t *entry, const char *list, const char *format, ...)
{
	json_t *lines = json_object_get(entry, list);
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!lines) {
		lines = json_array();
		json_object_set_new(entry, list, lines);
	}
	json_array_append_new(lines, json_string(text));
}

static void check_packages(json_t *node, json_t *entry, const struct bundle_item *item,
			   const json_t *facts, bool upgrade, uint64_t *ret_space)
{
	const json_t *installed = json_object_get(facts, "packages");

	for (size_t i = 0; i < item->packages_count; i++) {
		const struct bundle_package *package = &item->packages[i];
		const char *have = json_string_value(json_object_get(installed, package->name));
		bool up;

		if (have && !strcmp(have, package->version))
			continue;
		*ret_space += package->installed;
		if (!have) {
			add_line(entry, "new", "%s %s", package->name, package->version);
			continue;
		}
		up = older(have, package->version);
		add_line(entry, up ? "upgrade" : "downgrade", "%s %s -> %s", package->name, have,
			 package->version);
		if (!up)
			plan_problem(node,
				     "%s: %s %s is newer than the bundle's %s; nothing here "
				     "goes back",
				     item->name, package->name, have, package->version);
		else if (is_held(facts, package->name))
			plan_problem(node, "%s: %s is on hold at %s; release it: apt-mark unhold",
				     item->name, package->name, have);
		else if (!upgrade)
			plan_problem(node,
				     "%s: %s is there in version %s, the bundle has %s; allow "
				     "it: --upgrade",
				     item->name, package->name, have, package->version);
	}
}

static void check_system(json_t *node, const struct bundle_item *item, const json_t *facts)
{
	const char *os = json_string_value(json_object_get(facts, "os"));
	const char *architecture = json_string_value(json_object_get(facts, "architecture"));
	const struct bundle_needs *needs = &item->needs;
	bool found = !needs->os.count;

	for (size_t i = 0; i < needs->os.count; i++)
		found |= os && !strcmp(needs->os.words[i], os);
	if (!found)
		plan_problem(node, "%s is for %s; this machine runs %s", item->name,
			     needs->os.words[0], os ? os : "something unknown");
	if (needs->architecture && architecture && strcmp(needs->architecture, architecture) != 0)
		plan_problem(node, "%s is for %s; this machine is %s", item->name,
			     needs->architecture, architecture);
	if (needs->memory > (uint64_t)json_integer_value(json_object_get(facts, "memory")))
		plan_problem(node, "%s needs %llu MiB of memory", item->name,
			     (unsigned long long)(needs->memory >> 20));
}

/* Has it been begun there, whatever came of it? */
static bool is_known(const json_t *facts, const char *name)
{
	const json_t *known = json_object_get(json_object_get(facts, "items"), name);
	const char *state = json_string_value(json_object_get(known, "state"));

	return state && strcmp(state, "removed") != 0;
}

/* Who listens there when it was begun may be the item itself. */
static void check_ports(json_t *node, const struct bundle_item *item, const json_t *facts)
{
	if (is_known(facts, item->name))
		return;
	for (size_t i = 0; i < item->needs.ports_count; i++) {
		const struct bundle_port *port = &item->needs.ports[i];
		const json_t *taken = json_object_get(json_object_get(facts, "ports"),
						      port->udp ? "udp" : "tcp"),
			     *value;
		size_t k;

		json_array_foreach (taken, k, value)
			if (json_integer_value(value) == port->port) {
				plan_problem(node, "%s needs port %u, which somebody else uses",
					     item->name, port->port);
				break;
			}
	}
}

static bool is_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return !strncmp(path, directory, len) && (!path[len] || path[len] == '/');
}

static bool is_kept(const json_t *node, const char *name)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(node, "items"), i, entry)
		if (!strcmp(json_string_value(json_object_get(entry, "name")), name))
			return !strcmp(json_string_value(json_object_get(entry, "action")), "keep");
	return false;
}

/* However they are written, and with whatever prefix. */
static bool same_address(struct subnet a, const struct subnet *b)
{
	a.prefix = a.family == AF_INET ? 32 : 128;
	return subnet_has(&a, b);
}

void plan_check_address(json_t *node, const struct config_node *config)
{
	const char *instead = NULL;
	struct subnet own, subnet;

	if (subnet_parse(config->address, &own))
		return;
	for (unsigned i = 0; i < config->network_count; i++)
		for (unsigned k = 0; k < config->network[i].addresses_count; k++) {
			const char *address = config->network[i].addresses[k];

			if (subnet_parse(address, &subnet) || !subnet_has(&subnet, &own))
				continue;
			if (same_address(subnet, &own))
				return;
			instead = address;
		}
	if (instead)
		add_line(node, "warnings",
			 "its network has %s, and not %s: at another address than that the "
			 "control machine refuses it, and the network is taken back",
			 instead, config->address);
}

void plan_check_places(json_t *node, const json_t *entry, const struct bundle_item *item,
		       const struct config_node *config, const json_t *facts)
{
	const char *target = item->target;
	bool hides = is_known(facts, item->name) && !is_known(facts, DESIRED_STORAGE);

	if (!target || (!strcmp(json_string_value(json_object_get(entry, "action")), "keep") &&
			is_kept(node, DESIRED_STORAGE)))
		return;
	for (unsigned i = 0; i < config->storage_count; i++) {
		const struct config_store *store = &config->storage[i];

		if (is_below(store->path, target))
			plan_problem(node,
				     "%s is replaced as a whole by %s: the storage at %s cannot be "
				     "in it",
				     target, item->name, store->path);
		else if (hides && store->device && is_below(target, store->path))
			plan_problem(node, "the storage at %s would hide %s, where %s is already",
				     store->path, target, item->name);
	}
}

void plan_check_item(json_t *node, json_t *entry, const struct bundle_item *item,
		     const json_t *facts, bool upgrade)
{
	const char *action = json_string_value(json_object_get(entry, "action"));
	uint64_t space = item->needs.space;
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(entry, "bytes"));
	uint64_t free_bytes = (uint64_t)json_integer_value(json_object_get(facts, "free"));

	check_system(node, item, facts);
	if (!strcmp(action, "keep"))
		return;
	check_packages(node, entry, item, facts, upgrade, &space);
	/* A tenth more: logs, indices, what unpacks beside what it replaces. */
	space = (space + bytes) / 10 * 11;
	if (space > free_bytes)
		plan_problem(node, "%s needs %llu MiB on /, %llu MiB are free", item->name,
			     (unsigned long long)(space >> 20),
			     (unsigned long long)(free_bytes >> 20));
	check_ports(node, item, facts);
}
