/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_check.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../lib/conf_impl.h"
#include "../lib/desired.h"
#include "../lib/subnet.h"
#include "config.h"

#define INTERFACE_MAX 15
#define NAME_TEXT_MAX 63

struct check {
	struct conf_doc *doc;
	struct conf_report *report;
};

__attribute__((format(printf, 3, 4))) static void complain(struct check *check, const char *path,
							   const char *format, ...)
{
	size_t line, column;
	va_list args;

	conf_doc_find(check->doc, path, &line, &column);
	va_start(args, format);
	conf_report_vat(check->report, line, column, format, args);
	va_end(args);
}

bool config_name_valid(const char *text)
{
	size_t len = strlen(text);

	/* A letter first: no node can bear an address as its name. */
	return len && len <= NAME_TEXT_MAX && islower((unsigned char)*text) &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && text[len - 1] != '-';
}

static bool interface_valid(const char *text)
{
	size_t len = strlen(text);

	return len && len <= INTERFACE_MAX && isalnum((unsigned char)*text) &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       len;
}

static bool address_valid(const char *text)
{
	struct subnet subnet;

	return !strchr(text, '/') && !subnet_parse(text, &subnet);
}

/* Absolute, without "." or ".." or empty parts; it goes into fstab as it is. */
static bool path_valid(const char *text)
{
	if (*text != '/' || strcspn(text, " \t\n\\\"'#") != strlen(text) || strlen(text) > 255)
		return false;
	for (const char *at = text; (at = strchr(at, '/')); at++)
		if (at[1] == '/' || (!at[1] && at != text) ||
		    (at[1] == '.' &&
		     (!at[2] || at[2] == '/' || (at[2] == '.' && (!at[3] || at[3] == '/')))))
			return false;
	return true;
}

static bool word_valid(const char *text, const char *more)
{
	size_t len = strlen(text);

	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr(more, *c))
			return false;
	return len && len <= NAME_TEXT_MAX && isalnum((unsigned char)*text);
}

static void check_routes(struct check *check, const struct config_link *link, const char *path)
{
	struct subnet subnet;
	char at[160];

	for (unsigned i = 0; i < link->routes_count; i++) {
		snprintf(at, sizeof(at), "%s.routes[%u]", path, i);
		if (subnet_parse(link->routes[i].to, &subnet) || !strchr(link->routes[i].to, '/') ||
		    !subnet_is_network(&subnet))
			complain(check, at, "'%s' is no network; write one like 10.2.0.0/16",
				 link->routes[i].to);
		if (!address_valid(link->routes[i].via))
			complain(check, at, "'%s' is no address of a router", link->routes[i].via);
	}
}

static void check_link(struct check *check, const struct config_link *link, const char *path)
{
	struct subnet subnet;
	char at[160];

	snprintf(at, sizeof(at), "%s.interface", path);
	if (!interface_valid(link->interface))
		complain(check, at, "'%s' is no name of an interface; at most %d characters",
			 link->interface, INTERFACE_MAX);
	if (!link->vlan != !link->parent)
		complain(check, at, "a VLAN has both vlan and parent; the other one is missing");
	if (link->vlan > 4094)
		complain(check, at, "vlan is %u; write 1 to 4094", link->vlan);
	if (link->parent && !interface_valid(link->parent))
		complain(check, at, "'%s' is no name of an interface", link->parent);
	if (link->mtu && link->mtu < 576)
		complain(check, at, "mtu is %u; write 576 to 65535", link->mtu);
	if (link->gateway && !address_valid(link->gateway))
		complain(check, at, "'%s' is no address of a router", link->gateway);
	for (unsigned i = 0; i < link->addresses_count; i++) {
		snprintf(at, sizeof(at), "%s.addresses[%u]", path, i);
		if (subnet_parse(link->addresses[i], &subnet) || !strchr(link->addresses[i], '/'))
			complain(check, at,
				 "'%s' is no address with a prefix; write one like "
				 "10.2.0.11/16",
				 link->addresses[i]);
	}
	check_routes(check, link, path);
}

static void check_store(struct check *check, const struct config_store *store, const char *path)
{
	if (!path_valid(store->path) || !strcmp(store->path, "/"))
		complain(check, path, "'%s' is no directory to mount on; write an absolute path",
			 store->path);
	if (store->device && (!path_valid(store->device) || strncmp(store->device, "/dev/", 5)))
		complain(check, path, "'%s' is no device; write one like /dev/vdb", store->device);
	if (store->device && !store->fs)
		complain(check, path, "a device needs fs: ext4 or xfs");
	if (!store->device && (store->fs || store->group || store->volume || store->size))
		complain(check, path, "fs and the volume's keys need a device");
	if (store->fs && strcmp(store->fs, "ext4") && strcmp(store->fs, "xfs"))
		complain(check, path, "fs is '%s'; write ext4 or xfs", store->fs);
	if (!store->group != !store->volume)
		complain(check, path, "a logical volume has both group and volume");
	if ((store->group && !word_valid(store->group, "_-.")) ||
	    (store->volume && !word_valid(store->volume, "_-.")))
		complain(check, path, "the names of group and volume have letters, digits and _-.");
	if (store->size && (!store->group || !word_valid(store->size, "%")))
		complain(check, path, "size is of a logical volume, like 20G or 100%%FREE");
	if (store->owner && !word_valid(store->owner, "_-.:"))
		complain(check, path, "owner is '%s'; write user or user:group", store->owner);
	if (store->mode &&
	    (strlen(store->mode) != 4 || strspn(store->mode, "01234567") != strlen(store->mode)))
		complain(check, path, "mode is '%s'; write four octal digits in quotes",
			 store->mode);
}

static void check_variables(struct check *check, const struct config_variable *list, unsigned count,
			    const char *path)
{
	char at[160];

	for (unsigned i = 0; i < count; i++) {
		snprintf(at, sizeof(at), "%s[%u].name", path, i);
		if (!word_valid(list[i].name, "_"))
			complain(check, at, "'%s' is no variable's name; letters, digits and _",
				 list[i].name);
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(list[k].name, list[i].name))
				complain(check, at, "variable '%s' is given twice", list[i].name);
	}
}

static void check_items(struct check *check, char **list, unsigned count, const char *path)
{
	char at[160];

	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(list[k], list[i])) {
				snprintf(at, sizeof(at), "%s[%u]", path, i);
				complain(check, at, "'%s' is listed twice", list[i]);
			}
}

static void check_node(struct check *check, const struct config *config, unsigned index)
{
	const struct config_node *node = &config->nodes[index];
	char at[128];

	snprintf(at, sizeof(at), "nodes[%u].name", index);
	if (!config_name_valid(node->name))
		complain(check, at,
			 "'%s' is no node's name; lower-case letters, digits and -, a "
			 "letter first",
			 node->name);
	for (unsigned i = 0; i < index; i++) {
		if (!strcmp(config->nodes[i].name, node->name))
			complain(check, at, "two nodes are called '%s'", node->name);
		if (!strcmp(config->nodes[i].address, node->address))
			complain(check, at, "%s and %s have the same address",
				 config->nodes[i].name, node->name);
	}
	snprintf(at, sizeof(at), "nodes[%u].address", index);
	if (!address_valid(node->address))
		complain(check, at, "'%s' is no address", node->address);
	for (unsigned i = 0; i < node->network_count; i++) {
		snprintf(at, sizeof(at), "nodes[%u].network[%u]", index, i);
		check_link(check, &node->network[i], at);
	}
	for (unsigned i = 0; i < node->storage_count; i++) {
		snprintf(at, sizeof(at), "nodes[%u].storage[%u].path", index, i);
		check_store(check, &node->storage[i], at);
	}
	snprintf(at, sizeof(at), "nodes[%u].components", index);
	check_items(check, node->components, node->components_count, at);
	snprintf(at, sizeof(at), "nodes[%u].software", index);
	check_items(check, node->software, node->software_count, at);
	snprintf(at, sizeof(at), "nodes[%u].variables", index);
	check_variables(check, node->variables, node->variables_count, at);
}

void config_check(const struct config *config, struct conf_doc *doc, struct conf_report *report)
{
	struct check check = { doc, report };

	if (!config_name_valid(config->cluster))
		complain(&check, "cluster",
			 "'%s' is no cluster's name; lower-case letters, digits "
			 "and -",
			 config->cluster);
	if (!address_valid(config->control.address))
		complain(&check, "control.address", "'%s' is no address", config->control.address);
	if (config->peer_port == config->control.port)
		complain(&check, "peer_port", "the control machine listens on port %u",
			 config->control.port);
	if (config->peer_trust < DESIRED_TRUST_LEAST || config->peer_trust > DESIRED_TRUST_MOST)
		complain(&check, "peer_trust", "peer_trust is %u s; write %d to %d",
			 config->peer_trust, DESIRED_TRUST_LEAST, DESIRED_TRUST_MOST);
	/* Who waits for less fails what is well: PAUSE_MOST of the agent. */
	if (config->deadline < CONFIG_DEADLINE_LEAST)
		complain(&check, "deadline",
			 "deadline is %u s; write %d or more: after a moment without a link "
			 "an agent is silent for up to 15 s",
			 config->deadline, CONFIG_DEADLINE_LEAST);
	if (config->step_deadline < CONFIG_STEP_DEADLINE_LEAST)
		complain(&check, "step_deadline",
			 "step_deadline is %u s; write %d or more: a step that is well may "
			 "say nothing for that long",
			 config->step_deadline, CONFIG_STEP_DEADLINE_LEAST);
	check_items(&check, config->components, config->components_count, "components");
	check_items(&check, config->software, config->software_count, "software");
	check_variables(&check, config->variables, config->variables_count, "variables");
	for (unsigned i = 0; i < config->nodes_count; i++)
		check_node(&check, config, i);
}
