/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments become a record (created.h): checked, with defaults filled in. created.c believes it.
 */
#include "control_create.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../gate/dhcp.h"
#include "../gate/netns.h"
#include "../lib/subnet.h"
#include "control_reply.h"
#include "control_report.h"
#include "created.h"
#include "generation.h"
#include "tenants.h"

#define INNER	      "gw0"
#define GATEWAY_NETNS "sluice-gateway"
#define VLAN_MAX      4094
#define PREFIX_LEAST  8 /* of a tenant's subnet */
#define PREFIX_MOST   30

const char *const control_create_tenant_keys[] = {
	"name",		  "subnet", "gateway", "router", "netns",   "into", "bridge",
	"interface_name", "vlan",   "dns",     "dhcp",	 "forward", NULL,
};
const char *const control_create_gateway_keys[] = { "netns",   "link",	 "veth", "bridge",
						    "address", "routes", NULL };
const char *const control_delete_gateway_keys[] = { "netns", NULL };

/* What is wrong, for people; NULL: nothing. The buffer is for one reply at a time. */
struct problem {
	char text[256];
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct problem *problem, const char *format,
							...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(problem->text, sizeof(problem->text), format, args);
	va_end(args);
	return false;
}

static bool netns_valid(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX &&
	       strncmp(name, "pid:", 4);
}

/* Copies a name of a namespace or interface, if it is given and good. */
static bool copy_name(json_t *arguments, const char *key, bool (*valid)(const char *name),
		      json_t *record, const char *record_key, struct problem *problem)
{
	const char *bad = NULL, *name = control_text(arguments, key, &bad);

	if (bad || (name && !valid(name)))
		return wrong(problem, "%s is wrong", key);
	if (name)
		json_object_set_new(record, record_key, json_string(name));
	return true;
}

static bool copy_bool(json_t *arguments, const char *key, bool preset, json_t *record,
		      struct problem *problem)
{
	json_t *value = json_object_get(arguments, key);

	if (value && !json_is_boolean(value))
		return wrong(problem, "%s is neither true nor false", key);
	json_object_set_new(record, key, json_boolean(value ? json_is_true(value) : preset));
	return true;
}

/* An address, without a prefix, of the subnet if one is given. false and a problem, or *ret. */
static bool read_address(json_t *arguments, const char *key, const struct subnet *net,
			 struct subnet *ret, struct problem *problem)
{
	const char *bad = NULL, *text = control_text(arguments, key, &bad);
	struct subnet first, last;

	if (!text)
		return bad ? wrong(problem, "%s is no text", key) : true;
	if (strchr(text, '/') || subnet_parse(text, ret) || ret->family != AF_INET)
		return wrong(problem, "%s is no IPv4 address", key);
	first = subnet_nth(net, 0);
	last = subnet_nth(net, -1);
	if (!subnet_has(net, ret) || !memcmp(ret->ip, first.ip, 4) || !memcmp(ret->ip, last.ip, 4))
		return wrong(problem, "%s is no host's address in the subnet", key);
	return true;
}

static void put_subnet(json_t *record, const char *key, const struct subnet *subnet)
{
	char text[SUBNET_TEXT_MAX];

	subnet_text(subnet, text);
	json_object_set_new(record, key, json_string(text));
}

static bool read_addresses(json_t *arguments, json_t *record, struct problem *problem)
{
	const char *bad = NULL, *text = control_text(arguments, "subnet", &bad);
	struct subnet net, gateway, router = { 0 };

	if (!text || subnet_parse(text, &net) || net.family != AF_INET ||
	    !subnet_is_network(&net) || net.prefix < PREFIX_LEAST || net.prefix > PREFIX_MOST)
		return wrong(problem, "subnet is missing or is no IPv4 network of /%d to /%d",
			     PREFIX_LEAST, PREFIX_MOST);
	gateway = subnet_nth(&net, 1);
	if (!read_address(arguments, "gateway", &net, &gateway, problem) ||
	    !read_address(arguments, "router", &net, &router, problem))
		return false;
	gateway.prefix = net.prefix;
	put_subnet(record, "address", &gateway);
	if (router.family)
		put_subnet(record, "router", &router);
	return true;
}

static bool read_dns(json_t *arguments, json_t *record, struct problem *problem)
{
	json_t *list = json_object_get(arguments, "dns"), *entry;
	size_t i;

	if (!list)
		return true;
	if (!json_is_array(list) || json_array_size(list) > DHCP_DNS_MAX)
		return wrong(problem, "dns is no list of at most %d addresses", DHCP_DNS_MAX);
	json_array_foreach (list, i, entry) {
		const char *text = json_string_value(entry);
		struct subnet address;

		if (!text || strchr(text, '/') || subnet_parse(text, &address) ||
		    address.family != AF_INET)
			return wrong(problem, "dns has an entry that is no IPv4 address");
	}
	json_object_set(record, "dns", list);
	return true;
}

/* FNV-1a: a long name still gives one interface name. */
static uint32_t hash(const char *text)
{
	uint32_t value = 2166136261u;

	for (; *text; text++)
		value = (value ^ (uint8_t)*text) * 16777619u;
	return value;
}

static void preset_outer(json_t *record, const char *name)
{
	char outer[IFNAMSIZ];

	if (json_object_get(record, "outer"))
		return;
	if (strlen(name) + 3 < sizeof(outer))
		snprintf(outer, sizeof(outer), "sl-%.12s", name);
	else
		snprintf(outer, sizeof(outer), "sl-%08x", hash(name));
	json_object_set_new(record, "outer", json_string(outer));
}

static bool read_tenant(json_t *arguments, json_t *record, struct problem *problem)
{
	const char *bad = NULL, *name = control_text(arguments, "name", &bad);
	json_t *vlan = json_object_get(arguments, "vlan");
	char netns[NAME_MAX];

	if (!name || !want_name_valid(name))
		return wrong(problem,
			     "name is no name of up to 63 letters, digits, '.', '_' and '-'");
	snprintf(netns, sizeof(netns), "tenant-%s", name);
	json_object_set_new(record, "kind", json_string("tenant"));
	json_object_set_new(record, "name", json_string(name));
	json_object_set_new(record, "netns", json_string(netns));
	json_object_set_new(record, "inner", json_string(INNER));
	if (vlan && (!json_is_integer(vlan) || json_integer_value(vlan) < 1 ||
		     json_integer_value(vlan) > VLAN_MAX))
		return wrong(problem, "vlan is no number from 1 to %d", VLAN_MAX);
	if (vlan)
		json_object_set(record, "vlan", vlan);
	if (!copy_name(arguments, "netns", netns_valid, record, "netns", problem) ||
	    !copy_name(arguments, "into", netns_valid, record, "into", problem) ||
	    !copy_name(arguments, "bridge", control_interface_valid, record, "bridge", problem) ||
	    !copy_name(arguments, "interface_name", control_interface_valid, record, "outer",
		       problem) ||
	    !copy_bool(arguments, "forward", false, record, problem) ||
	    !copy_bool(arguments, "dhcp", true, record, problem))
		return false;
	preset_outer(record, name);
	return read_addresses(arguments, record, problem) && read_dns(arguments, record, problem);
}

static bool read_routes(json_t *arguments, json_t *record, const struct subnet *address,
			struct problem *problem)
{
	json_t *list = json_object_get(arguments, "routes"), *entry, *routes = json_array();
	size_t i;

	json_object_set_new(record, "routes", routes);
	if (list && (!json_is_array(list) || json_array_size(list) > CREATE_ROUTES_MAX))
		return wrong(problem, "routes is no list of at most %d", CREATE_ROUTES_MAX);
	json_array_foreach (list, i, entry) {
		const char *to = json_string_value(json_object_get(entry, "to"));
		const char *via = json_string_value(json_object_get(entry, "via"));
		struct subnet net, hop;
		json_t *route;

		if (to && !strcmp(to, "default"))
			to = address->family == AF_INET ? "0.0.0.0/0" : "::/0";
		if (json_object_size(entry) != 2 || !to || !via || subnet_parse(to, &net) ||
		    !subnet_is_network(&net) || strchr(via, '/') || subnet_parse(via, &hop) ||
		    net.family != hop.family)
			return wrong(problem, "a route needs 'to', a network or 'default', and "
					      "'via', an address");
		route = json_object();
		put_subnet(route, "to", &net);
		put_subnet(route, "via", &hop);
		json_array_append_new(routes, route);
	}
	return true;
}

static bool read_gateway(json_t *arguments, json_t *record, struct problem *problem)
{
	const char *bad = NULL, *address = control_text(arguments, "address", &bad);
	struct subnet subnet;

	json_object_set_new(record, "kind", json_string("gateway"));
	json_object_set_new(record, "netns", json_string(GATEWAY_NETNS));
	if (!copy_name(arguments, "netns", netns_valid, record, "netns", problem) ||
	    !copy_name(arguments, "link", control_interface_valid, record, "move", problem) ||
	    !copy_name(arguments, "veth", control_interface_valid, record, "outer", problem) ||
	    !copy_name(arguments, "bridge", control_interface_valid, record, "bridge", problem))
		return false;
	if (!want_name_valid(json_string_value(json_object_get(record, "netns"))))
		return wrong(problem, "netns is wrong");
	json_object_set(record, "name", json_object_get(record, "netns"));
	if (!json_object_get(record, "move") == !json_object_get(record, "outer"))
		return wrong(problem, "give either link or veth");
	if (json_object_get(record, "move") && json_object_get(record, "bridge"))
		return wrong(problem, "bridge goes with veth only");
	if (json_object_get(record, "outer"))
		json_object_set_new(record, "inner", json_string(INNER));
	if (!address || !strchr(address, '/') || subnet_parse(address, &subnet))
		return wrong(problem, "address is missing or is no address with a prefix length");
	put_subnet(record, "address", &subnet);
	return read_routes(arguments, record, &subnet, problem);
}

static json_t *build(struct sluiced *sluiced, json_t *record)
{
	char why[CREATE_WHY_MAX] = "";
	int err = created_build(sluiced->created, record, why);

	if (!err)
		return NULL;
	if (!why[0])
		snprintf(why, sizeof(why), "%s", strerror(-err));
	switch (err) {
	case -EEXIST:
		return control_error("exists", "delete it first, or choose another name", "%s",
				     why);
	case -ENODEV:
		return control_error("not-found",
				     "namespaces: ip netns list; interfaces: ip -n NETNS link",
				     "%s", why);
	case -ENOENT:
		return control_error("not-found", "see the message", "%s", why);
	case -ENOSPC:
		return control_error("busy", "raise limits.tenants", "%s", why);
	default:
		return control_error("system", "see sluiced's log", "%s", why);
	}
}

static json_t *refuse(json_t *record, const struct problem *problem)
{
	json_decref(record);
	return control_error("usage", "see sluice(8)", "%s", problem->text);
}

json_t *control_create_tenant(struct sluiced *sluiced, json_t *arguments)
{
	json_t *record = json_object(), *failed;
	struct problem problem;
	struct tenant *tenant;

	if (!read_tenant(arguments, record, &problem))
		return refuse(record, &problem);
	failed = build(sluiced, record);
	if (failed)
		return failed;
	tenant = tenants_find(sluiced->tenants,
			      json_string_value(json_object_get(arguments, "name")));
	return control_data(tenant ? report_tenant(sluiced, tenant) : json_object());
}

json_t *control_create_gateway(struct sluiced *sluiced, json_t *arguments)
{
	json_t *record = json_object(), *failed;
	struct problem problem;
	const char *netns;

	if (!read_gateway(arguments, record, &problem))
		return refuse(record, &problem);
	json_incref(record);
	failed = build(sluiced, record);
	netns = json_string_value(json_object_get(record, "netns"));
	if (!failed)
		failed = control_data(json_pack("{s:s, s:O}", "netns", netns, "address",
						json_object_get(record, "address")));
	json_decref(record);
	return failed;
}

static json_t *take_away(struct sluiced *sluiced, const char *kind, const char *name)
{
	int err = created_remove(sluiced->created, kind, name);

	if (err == -ENOENT)
		return control_error("not-found", "only what was created can be deleted",
				     "no %s %.64s was created here", kind, name);
	if (err)
		return control_error("system", "see sluiced's log", "cannot delete %s %.64s: %s",
				     kind, name, strerror(-err));
	return control_data(json_object());
}

json_t *control_delete_tenant(struct sluiced *sluiced, json_t *arguments)
{
	const char *bad = NULL, *name = control_text(arguments, "name", &bad);

	if (!name)
		return control_error("usage", "give the tenant's name", "name is missing");
	return take_away(sluiced, "tenant", name);
}

json_t *control_delete_gateway(struct sluiced *sluiced, json_t *arguments)
{
	const char *used = sluiced->generation->conf->management.netns;
	const char *bad = NULL, *netns = control_text(arguments, "netns", &bad);

	if (bad)
		return control_error("usage", "give the gateway's namespace", "netns is wrong");
	if (!netns)
		netns = GATEWAY_NETNS;
	/* A namespace in use would live on without its name. */
	if (used && created_find(sluiced->created, "gateway", netns) &&
	    netns_inode(used) == netns_inode(netns))
		return control_error("conflict", "take it out of sluice.yaml, reload, delete",
				     "services are reached from %.64s (management.netns)", netns);
	return take_away(sluiced, "gateway", netns);
}
