/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice tenant attach|detach|list: which tenant gateways are served. "tenant show" has
 * its own file.
 */
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "client.h"
#include "counters.h"
#include "render.h"
#include "tenant.h"

#define NETNS_DIR "/run/netns"

static struct {
	const char *netns, *interface, *l3_interface, *bridge, *fail, *guard;
	struct opt_numbers ports;
	bool no_ipv6;
} attach;

static const char *const bridge_words[] = { "fd", "stream", NULL };
static const char *const fail_words[] = { "pass", "drop", NULL };
static const char *const guard_words[] = { "auto", "tc", "xdp-native", "xdp-generic", NULL };

/* clang-format off */
static const struct opt attach_options[] = {
	{ .kind = OPT_TEXT, .name = "netns", .value = "NS", .offset = offsetof(typeof(attach), netns),
	  .help = "the gateway's namespace: name, path or pid" },
	{ .kind = OPT_TEXT, .name = "interface", .value = "IF", .offset = offsetof(typeof(attach), interface),
	  .help = "where the VMs' packets arrive" },
	{ .kind = OPT_TEXT, .name = "l3-interface", .value = "IF", .offset = offsetof(typeof(attach), l3_interface),
	  .help = "where the address lives; found if not given" },
	{ .kind = OPT_WORD, .name = "bridge", .value = "HOW", .words = bridge_words, .offset = offsetof(typeof(attach), bridge),
	  .help = "how bytes cross" },
	{ .kind = OPT_WORD, .name = "fail", .value = "POLICY", .words = fail_words, .offset = offsetof(typeof(attach), fail),
	  .help = "packets while no relay listens" },
	{ .kind = OPT_WORD, .name = "guard", .value = "MODE", .words = guard_words, .offset = offsetof(typeof(attach), guard),
	  .help = "where the guard runs" },
	{ .kind = OPT_NUMBERS, .name = "port", .value = "N", .least = 1, .most = 65535, .offset = offsetof(typeof(attach), ports),
	  .help = "a port to open; may be repeated" },
	{ .kind = OPT_FLAG, .name = "no-ipv6", .offset = offsetof(typeof(attach), no_ipv6),
	  .help = "do not answer on fe80::a9fe:a9fe" },
};
/* clang-format on */

static void put_text(json_t *object, const char *key, const char *value)
{
	if (value)
		json_object_set_new(object, key, json_string(value));
}

/* A number is a pid, as docs/control.md wants it; everything else a name or a path. */
static void put_netns(json_t *object, const char *netns)
{
	uint32_t pid;

	if (!opt_number(netns, 1, INT32_MAX, &pid))
		json_object_set_new(object, "netns", json_integer(pid));
	else
		put_text(object, "netns", netns);
}

static json_t *attach_arguments(const char *name)
{
	json_t *object = json_object(), *ports;

	put_text(object, "name", name);
	put_netns(object, attach.netns);
	put_text(object, "interface", attach.interface);
	put_text(object, "l3_interface", attach.l3_interface);
	put_text(object, "bridge", attach.bridge);
	put_text(object, "fail", attach.fail);
	put_text(object, "guard", attach.guard);
	if (attach.ports.count) {
		ports = json_array();
		for (unsigned i = 0; i < attach.ports.count; i++)
			json_array_append_new(ports, json_integer(attach.ports.list[i]));
		json_object_set_new(object, "ports", ports);
	}
	if (attach.no_ipv6)
		json_object_set_new(object, "ipv6", json_false());
	return object;
}

/* Attached is not yet served: a conflict waits, a failure does not. */
static enum status say_attached(const struct common *common, const char *name, const json_t *tenant)
{
	const char *state = json_text(tenant, "state");
	/* Another daemon may have a tenant of that name. */
	const char *option = common->socket ? " --socket " : common->instance ? " --instance " : "";
	const char *whose = common->socket ? common->socket : common->instance;

	if (!strcmp(state, "attached")) {
		printf("%s: attached to %s in %s\n", name, json_text(tenant, "interface"),
		       json_text(tenant, "netns"));
		return STATUS_OK;
	}
	fprintf(stderr, "sluice: tenant %s is in state %s: %s\n", name, state,
		json_text(tenant, "reason"));
	if (!strcmp(state, "conflict")) {
		fprintf(stderr, "  its traffic goes on untouched; sluice takes over when the "
				"other one leaves\n");
		return STATUS_OK;
	}
	fprintf(stderr, "  correct that and attach again, or: sluice%s%s tenant detach %s\n",
		option, whose ? whose : "", name);
	return STATUS_FAILED;
}

static bool is_ambiguous(const char *netns)
{
	char path[sizeof(NETNS_DIR) + 16];
	uint32_t pid;

	if (opt_number(netns, 1, INT32_MAX, &pid))
		return false;
	snprintf(path, sizeof(path), NETNS_DIR "/%s", netns);
	return !access(path, F_OK);
}

static enum status run_attach(const struct common *common, char **arguments, int count)
{
	enum status status;
	json_t *tenant;

	if (!attach.netns || !attach.interface) {
		fprintf(stderr,
			"sluice tenant attach: --%s is missing; try 'sluice help tenant attach'\n",
			attach.netns ? "interface" : "netns");
		return STATUS_USAGE;
	}
	if (is_ambiguous(attach.netns)) {
		fprintf(stderr,
			"sluice tenant attach: %1$s is the name of a namespace and may be a pid; "
			"say --netns " NETNS_DIR "/%1$s or /proc/%1$s/ns/net\n",
			attach.netns);
		return STATUS_USAGE;
	}
	status = client_call(common, "tenant.attach", attach_arguments(arguments[0]), &tenant);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(tenant);
	status = common->json && strcmp(json_text(tenant, "state"), "failed")
			 ? STATUS_OK
			 : say_attached(common, arguments[0], tenant);
	json_decref(tenant);
	return status;
}

static enum status run_detach(const struct common *common, char **arguments, int count)
{
	enum status status;
	json_t *data;

	status = client_call(common, "tenant.detach", json_pack("{s:s}", "name", arguments[0]),
			     &data);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(data);
	else
		printf("%s: detached\n", arguments[0]);
	json_decref(data);
	return STATUS_OK;
}

static void add_row(struct table *table, const json_t *tenant)
{
	const char *state = json_text(tenant, "state");
	const json_t *guard = json_object_get(tenant, "guard");
	char human[HUMAN_MAX], drops[128];
	const json_t *verdicts = json_object_get(tenant, "verdicts");
	const json_t *relay = json_object_get(tenant, "relay");
	uint64_t dropped = verdicts_dropped(verdicts);

	table_cell(table, TINT_BOLD, "%s", json_text(tenant, "name"));
	table_cell(table, tint_of_state(state), "%s", state);
	table_cell(table, TINT_NONE, "%s/%s", json_text(tenant, "netns"),
		   json_text(tenant, "interface"));
	/* XDP on an interface that may choose means it is under fire now. */
	table_cell(table,
		   strncmp(json_text(guard, "active"), "xdp", 3) ||
				   strcmp(json_text(guard, "mode"), "auto")
			   ? TINT_NONE
			   : TINT_WARN,
		   "%s", json_text(guard, "active"));
	table_cell(table, TINT_NONE, "%s", human_count(verdicts_steered(verdicts), human));
	table_cell(table, dropped ? TINT_WARN : TINT_NONE, "%s", human_count(dropped, human));
	table_cell(table, TINT_NONE, "%s", human_count(json_number(relay, "requests"), human));
	table_cell(table, TINT_NONE, "%s",
		   human_bytes(json_number(relay, "bytes_to_client"), human));
	verdicts_top_drops(verdicts, drops, sizeof(drops));
	table_cell(table, TINT_DIM, "%s", drops);
}

void tenant_table(const json_t *tenants)
{
	struct table table = { 0 };
	json_t *tenant;
	size_t i;

	table_column(&table, "NAME", false);
	table_column(&table, "STATE", false);
	table_column(&table, "NETNS/INTERFACE", false);
	table_column(&table, "GUARD", false);
	table_column(&table, "STEERED", true);
	table_column(&table, "DROPPED", true);
	table_column(&table, "REQUESTS", true);
	table_column(&table, "SENT", true);
	table_column(&table, "MOST DROPPED FOR", false);
	json_array_foreach (tenants, i, tenant)
		add_row(&table, tenant);
	table_print(&table);
}

static enum status run_list(const struct common *common, char **arguments, int count)
{
	enum status status;
	json_t *tenants;

	status = client_call(common, "tenant.list", NULL, &tenants);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(tenants);
	else if (!json_array_size(tenants))
		printf("no tenant is attached; attach one with: sluice tenant attach NAME --netns "
		       "NS --interface IF\n");
	else
		tenant_table(tenants);
	json_decref(tenants);
	return STATUS_OK;
}

const struct command command_tenant_attach = {
	.name = "tenant attach",
	.arguments = "NAME",
	.summary = "Serve the metadata address in a tenant gateway",
	.options = attach_options,
	.options_count = sizeof(attach_options) / sizeof(attach_options[0]),
	.target = &attach,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_attach,
};

const struct command command_tenant_detach = {
	.name = "tenant detach",
	.arguments = "NAME",
	.summary = "Leave a tenant gateway as it was found",
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_detach,
};

const struct command command_tenant_list = {
	.name = "tenant list",
	.summary = "List the tenants with their state and totals",
	.run = run_list,
};
