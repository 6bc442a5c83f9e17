/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice tenant show: everything about one tenant, every counter that is not zero with
 * what it means.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "counters.h"
#include "render.h"

static void fact(struct table *table, const char *name, enum tint tint, const char *value)
{
	table_cell(table, TINT_DIM, "%s", name);
	table_cell(table, tint, "%s", value);
}

static void join_ports(const json_t *ports, char *ret, size_t cap)
{
	json_t *port;
	size_t i, len = 0;

	*ret = '\0';
	json_array_foreach (ports, i, port)
		if (len < cap)
			len += (size_t)snprintf(ret + len, cap - len, "%s%lld", i ? ", " : "",
						(long long)json_integer_value(port));
}

static void show_facts(const json_t *tenant)
{
	const json_t *guard = json_object_get(tenant, "guard");
	const char *state = json_text(tenant, "state");
	struct table table = { 0 };
	char text[256];

	table_column(&table, NULL, false);
	table_column(&table, NULL, false);
	fact(&table, "state", tint_of_state(state), state);
	if (strcmp(json_text(tenant, "reason"), "-"))
		fact(&table, "reason", TINT_WARN, json_text(tenant, "reason"));
	snprintf(text, sizeof(text), "%s (cookie %llu)", json_text(tenant, "netns"),
		 (unsigned long long)json_number(tenant, "netns_cookie"));
	fact(&table, "netns", TINT_NONE, text);
	snprintf(text, sizeof(text), "%s (index %llu)", json_text(tenant, "interface"),
		 (unsigned long long)json_number(tenant, "ifindex"));
	fact(&table, "interface", TINT_NONE, text);
	snprintf(text, sizeof(text), "%s (index %llu)", json_text(tenant, "l3_interface"),
		 (unsigned long long)json_number(tenant, "l3_ifindex"));
	fact(&table, "address on", TINT_NONE, text);
	join_ports(json_object_get(tenant, "ports"), text, sizeof(text));
	fact(&table, "ports", TINT_NONE, text);
	fact(&table, "ipv6", TINT_NONE, json_flag(tenant, "ipv6") ? "yes" : "no");
	fact(&table, "bridge", TINT_NONE, json_text(tenant, "bridge"));
	fact(&table, "fail", TINT_NONE, json_text(tenant, "fail"));
	snprintf(text, sizeof(text), "%s, active %s, XDP raised %llu and lowered %llu times",
		 json_text(guard, "mode"), json_text(guard, "active"),
		 (unsigned long long)json_number(guard, "raised"),
		 (unsigned long long)json_number(guard, "lowered"));
	fact(&table, "guard", TINT_NONE, text);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)json_number(tenant, "id"));
	fact(&table, "map key", TINT_NONE, text);
	table_print(&table);
}

static void show_listeners(const json_t *listeners)
{
	struct table table = { 0 };
	json_t *listener;
	size_t i;

	render_heading("Listeners");
	table_column(&table, "FAMILY", false);
	table_column(&table, "PORT", true);
	table_column(&table, "WORKER", true);
	table_column(&table, "SOCKET COOKIE", true);
	json_array_foreach (listeners, i, listener) {
		table_cell(&table, TINT_NONE, "IPv%llu",
			   (unsigned long long)json_number(listener, "family"));
		table_cell(&table, TINT_NONE, "%llu",
			   (unsigned long long)json_number(listener, "port"));
		table_cell(&table, TINT_NONE, "%llu",
			   (unsigned long long)json_number(listener, "worker"));
		table_cell(&table, TINT_NONE, "%llu",
			   (unsigned long long)json_number(listener, "socket_cookie"));
	}
	table_print(&table);
}

static const struct counter *find_counter(const struct counter *counters, size_t count,
					  const char *field)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(counters[i].field, field))
			return &counters[i];
	return NULL;
}

/* The daemon's order; a field this program does not know is shown without words. */
static void show_counters(const char *title, json_t *object, const struct counter *counters,
			  size_t count)
{
	struct table table = { 0 };
	const struct counter *known;
	char human[HUMAN_MAX];
	const char *field;
	json_t *value;

	table_column(&table, NULL, true);
	table_column(&table, NULL, true);
	table_column(&table, NULL, false);
	table_column(&table, NULL, false);
	json_object_foreach (object, field, value) {
		uint64_t number = json_number(object, field);

		if (!number)
			continue;
		known = find_counter(counters, count, field);
		table_cell(&table, known && known->drop ? TINT_WARN : TINT_NONE, "%llu",
			   (unsigned long long)number);
		table_cell(
			&table, TINT_DIM, "%s",
			!strncmp(field, "bytes", 5) && number >= 1024	? human_bytes(number, human)
			: number >= 10000 && strncmp(field, "bytes", 5) ? human_count(number, human)
									: "");
		table_cell(&table, TINT_NONE, "%s", field);
		table_cell(&table, TINT_DIM, "%s", known ? known->text : "");
	}
	render_heading(title);
	if (table.cells_count)
		table_print(&table);
	else
		puts("  nothing yet");
}

static enum status run_show(const struct common *common, char **arguments, int count)
{
	enum status status;
	json_t *tenant;

	status = client_call(common, "tenant.show", json_pack("{s:s}", "name", arguments[0]),
			     &tenant);
	if (status != STATUS_OK)
		return status;
	if (common->json) {
		render_json(tenant);
	} else {
		render_tinted(TINT_BOLD, json_text(tenant, "name"));
		putchar('\n');
		show_facts(tenant);
		show_listeners(json_object_get(tenant, "listeners"));
		show_counters("Packets for the metadata address",
			      json_object_get(tenant, "verdicts"), verdict_counters,
			      verdict_counters_count);
		show_counters("Relay", json_object_get(tenant, "relay"), relay_counters,
			      relay_counters_count);
	}
	json_decref(tenant);
	return STATUS_OK;
}

const struct command command_tenant_show = {
	.name = "tenant show",
	.arguments = "NAME",
	.summary = "Show everything about one tenant",
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_show,
};
