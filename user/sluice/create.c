/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice tenant create|delete and gateway create|delete: gateways that sluiced builds. Lists are
 * given with commas; what an address or a network is, sluiced checks.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "render.h"

#define LIST_MAX 512

static struct {
	const char *subnet, *gateway, *router, *netns, *into, *bridge, *interface_name, *dns;
	uint32_t vlan;
	bool no_dhcp, forward;
} tenant;

static struct {
	const char *netns, *link, *veth, *bridge, *address, *route;
} gateway;

static struct {
	const char *netns;
} doomed;

/* clang-format off */
static const struct opt tenant_options[] = {
	{ .kind = OPT_TEXT, .name = "subnet", .value = "CIDR", .offset = offsetof(typeof(tenant), subnet),
	  .help = "the tenant network, e.g. 192.168.0.0/24" },
	{ .kind = OPT_TEXT, .name = "gateway", .value = "IP", .offset = offsetof(typeof(tenant), gateway),
	  .help = "the gateway's address in it; its first one if not given" },
	{ .kind = OPT_TEXT, .name = "router", .value = "IP", .offset = offsetof(typeof(tenant), router),
	  .help = "where VMs' default route goes; none if not given" },
	{ .kind = OPT_FLAG, .name = "forward", .offset = offsetof(typeof(tenant), forward),
	  .help = "let the gateway forward packets" },
	{ .kind = OPT_TEXT, .name = "netns", .value = "NAME", .offset = offsetof(typeof(tenant), netns),
	  .help = "the namespace to make; default \"tenant-NAME\"" },
	{ .kind = OPT_TEXT, .name = "into", .value = "NS", .offset = offsetof(typeof(tenant), into),
	  .help = "namespace of the link's other end; default: sluiced's" },
	{ .kind = OPT_TEXT, .name = "bridge", .value = "BR", .offset = offsetof(typeof(tenant), bridge),
	  .help = "bridge there to put it on" },
	{ .kind = OPT_TEXT, .name = "interface-name", .value = "IF", .offset = offsetof(typeof(tenant), interface_name),
	  .help = "its name; default \"sl-NAME\"" },
	{ .kind = OPT_NUMBER, .name = "vlan", .value = "ID", .least = 1, .most = 4094, .offset = offsetof(typeof(tenant), vlan),
	  .help = "802.1Q tag of the VMs' packets" },
	{ .kind = OPT_TEXT, .name = "dns", .value = "IP,...", .offset = offsetof(typeof(tenant), dns),
	  .help = "name servers that DHCP tells" },
	{ .kind = OPT_FLAG, .name = "no-dhcp", .offset = offsetof(typeof(tenant), no_dhcp),
	  .help = "start no DHCP server" },
};

static const struct opt gateway_options[] = {
	{ .kind = OPT_TEXT, .name = "netns", .value = "NAME", .offset = offsetof(typeof(gateway), netns),
	  .help = "the namespace to make; default \"sluice-gateway\"" },
	{ .kind = OPT_TEXT, .name = "link", .value = "IF", .offset = offsetof(typeof(gateway), link),
	  .help = "interface of sluiced's namespace to move into it" },
	{ .kind = OPT_TEXT, .name = "veth", .value = "IF", .offset = offsetof(typeof(gateway), veth),
	  .help = "or: name of the end of a new veth pair that stays outside" },
	{ .kind = OPT_TEXT, .name = "bridge", .value = "BR", .offset = offsetof(typeof(gateway), bridge),
	  .help = "bridge to put that end on" },
	{ .kind = OPT_TEXT, .name = "address", .value = "CIDR", .offset = offsetof(typeof(gateway), address),
	  .help = "the gateway's address, e.g. 10.77.0.1/24" },
	{ .kind = OPT_TEXT, .name = "route", .value = "NET=VIA,...", .offset = offsetof(typeof(gateway), route),
	  .help = "routes; NET may be \"default\"" },
};

static const struct opt delete_options[] = {
	{ .kind = OPT_TEXT, .name = "netns", .value = "NAME", .offset = offsetof(typeof(doomed), netns),
	  .help = "its namespace; default \"sluice-gateway\"" },
};
/* clang-format on */

static void put_text(json_t *object, const char *key, const char *value)
{
	if (value)
		json_object_set_new(object, key, json_string(value));
}

/* Calls put for each part between commas; false: a part is empty or the list too long. */
static bool split(const char *list, bool (*put)(json_t *array, char *part), json_t *array)
{
	char text[LIST_MAX], *rest = text, *part;

	if (strlen(list) >= sizeof(text))
		return false;
	strcpy(text, list);
	while ((part = strsep(&rest, ",")))
		if (!*part || !put(array, part))
			return false;
	return true;
}

static bool put_address(json_t *array, char *part)
{
	return !json_array_append_new(array, json_string(part));
}

static bool put_route(json_t *array, char *part)
{
	char *via = strchr(part, '=');

	if (!via)
		return false;
	*via++ = '\0';
	return !json_array_append_new(array, json_pack("{s:s, s:s}", "to", part, "via", via));
}

static bool put_list(json_t *object, const char *key, const char *list,
		     bool (*put)(json_t *array, char *part))
{
	json_t *array;

	if (!list)
		return true;
	array = json_array();
	json_object_set_new(object, key, array);
	return split(list, put, array);
}

static enum status refuse(json_t *arguments, const char *command, const char *what)
{
	json_decref(arguments);
	fprintf(stderr, "sluice %s: %s; try 'sluice help %s'\n", command, what, command);
	return STATUS_USAGE;
}

static enum status run_tenant_create(const struct common *common, char **arguments, int count)
{
	json_t *object = json_object(), *data;
	enum status status;

	if (!tenant.subnet)
		return refuse(object, "tenant create", "--subnet is missing");
	put_text(object, "name", arguments[0]);
	put_text(object, "subnet", tenant.subnet);
	put_text(object, "gateway", tenant.gateway);
	put_text(object, "router", tenant.router);
	put_text(object, "netns", tenant.netns);
	put_text(object, "into", tenant.into);
	put_text(object, "bridge", tenant.bridge);
	put_text(object, "interface_name", tenant.interface_name);
	if (tenant.vlan)
		json_object_set_new(object, "vlan", json_integer(tenant.vlan));
	if (tenant.no_dhcp)
		json_object_set_new(object, "dhcp", json_false());
	if (tenant.forward)
		json_object_set_new(object, "forward", json_true());
	if (!put_list(object, "dns", tenant.dns, put_address))
		return refuse(object, "tenant create", "--dns is no list of addresses");
	status = client_call(common, "tenant.create", object, &data);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(data);
	else
		printf("%s: created, %s to %s in %s\n", arguments[0], json_text(data, "state"),
		       json_text(data, "interface"), json_text(data, "netns"));
	json_decref(data);
	return STATUS_OK;
}

static enum status run_gateway_create(const struct common *common, char **arguments, int count)
{
	json_t *object = json_object(), *data;
	enum status status;

	if (!gateway.address)
		return refuse(object, "gateway create", "--address is missing");
	if (!gateway.link == !gateway.veth)
		return refuse(object, "gateway create", "give either --link or --veth");
	put_text(object, "netns", gateway.netns);
	put_text(object, "link", gateway.link);
	put_text(object, "veth", gateway.veth);
	put_text(object, "bridge", gateway.bridge);
	put_text(object, "address", gateway.address);
	if (!put_list(object, "routes", gateway.route, put_route))
		return refuse(object, "gateway create", "--route is no list of NET=VIA");
	status = client_call(common, "gateway.create", object, &data);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(data);
	else
		printf("%s: created; reach services from it with \"management: {netns: %s}\" in "
		       "sluice.yaml, and reload\n",
		       json_text(data, "netns"), json_text(data, "netns"));
	json_decref(data);
	return STATUS_OK;
}

static enum status run_delete(const struct common *common, const char *command, const char *key,
			      const char *name)
{
	json_t *object = json_object(), *data;
	enum status status;

	put_text(object, key, name);
	status = client_call(common, command, object, &data);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(data);
	else
		printf("%s: deleted\n", name ? name : "sluice-gateway");
	json_decref(data);
	return STATUS_OK;
}

static enum status run_tenant_delete(const struct common *common, char **arguments, int count)
{
	return run_delete(common, "tenant.delete", "name", arguments[0]);
}

static enum status run_gateway_delete(const struct common *common, char **arguments, int count)
{
	return run_delete(common, "gateway.delete", "netns", doomed.netns);
}

const struct command command_tenant_create = {
	.name = "tenant create",
	.arguments = "NAME",
	.summary = "Build a tenant gateway, with DHCP, and serve it",
	.options = tenant_options,
	.options_count = sizeof(tenant_options) / sizeof(tenant_options[0]),
	.target = &tenant,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_tenant_create,
};

const struct command command_tenant_delete = {
	.name = "tenant delete",
	.arguments = "NAME",
	.summary = "Take away what 'tenant create' built",
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_tenant_delete,
};

const struct command command_gateway_create = {
	.name = "gateway create",
	.summary = "Build the management gateway",
	.options = gateway_options,
	.options_count = sizeof(gateway_options) / sizeof(gateway_options[0]),
	.target = &gateway,
	.run = run_gateway_create,
};

const struct command command_gateway_delete = {
	.name = "gateway delete",
	.summary = "Take away what 'gateway create' built",
	.options = delete_options,
	.options_count = sizeof(delete_options) / sizeof(delete_options[0]),
	.target = &doomed,
	.run = run_gateway_delete,
};
