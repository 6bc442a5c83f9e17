/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice status: one page about daemon, workers, services and tenants. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "counters.h"
#include "render.h"
#include "tenant.h"

static void show_daemon(json_t *status)
{
	const json_t *management = json_object_get(status, "management");
	const char *netns = json_text(management, "netns");
	const char *source = json_text(management, "source");
	char up[HUMAN_MAX];

	render_tinted(TINT_BOLD, "sluiced");
	printf(" %s, instance %s, pid %llu, up %s, kernel %s\n", json_text(status, "version"),
	       json_text(status, "instance"), (unsigned long long)json_number(status, "pid"),
	       human_seconds(json_number(status, "uptime_s"), up), json_text(status, "kernel"));
	printf("services are reached from %s%s",
	       strcmp(netns, "-") ? "namespace " : "sluiced's own namespace",
	       strcmp(netns, "-") ? netns : "");
	if (strcmp(source, "-"))
		printf(", source %s", source);
	printf("; engine %s\n", json_text(status, "engine"));
}

/* One line when there is anything to say. */
static void show_bindings(const json_t *bindings)
{
	const char *problem = json_text(bindings, "problem");

	if (json_number(bindings, "in_force") || strcmp(json_text(bindings, "state"), "none"))
		printf("port bindings: %llu in force%s\n",
		       (unsigned long long)json_number(bindings, "in_force"),
		       json_flag(bindings, "changing") ? ", changing" : "");
	if (strcmp(problem, "-")) {
		render_tinted(TINT_BAD, "port bindings: ");
		printf("%s\n", problem);
	}
}

static void show_features(json_t *status)
{
	json_t *features = json_object_get(status, "features"), *value, *degraded, *line;
	const char *name;
	size_t i;

	if (json_object_size(features)) {
		printf("features:");
		json_object_foreach (features, name, value) {
			putchar(' ');
			render_tinted(json_is_true(value) ? TINT_GOOD : TINT_WARN,
				      json_is_true(value) ? "+" : "-");
			render_tinted(json_is_true(value) ? TINT_NONE : TINT_WARN, name);
		}
		putchar('\n');
	}
	degraded = json_object_get(status, "degraded");
	json_array_foreach (degraded, i, line) {
		render_tinted(TINT_WARN, "degraded: ");
		render_tinted(TINT_NONE, json_string_value(line) ? json_string_value(line) : "-");
		putchar('\n');
	}
}

static void show_workers(const json_t *workers)
{
	struct table table = { 0 };
	char human[HUMAN_MAX];
	json_t *worker;
	size_t i;

	render_heading("Workers");
	if (!json_array_size(workers)) {
		puts("  none: they start with the first tenant");
		return;
	}
	table_column(&table, "NO", true);
	table_column(&table, "ROLE", false);
	table_column(&table, "PID", true);
	table_column(&table, "GENERATION", true);
	table_column(&table, "STATE", false);
	table_column(&table, "CONNECTIONS", true);
	table_column(&table, "RESTARTS", true);
	json_array_foreach (workers, i, worker) {
		const char *state = json_text(worker, "state");
		uint64_t restarts = json_number(worker, "restarts");

		table_cell(&table, TINT_NONE, "%llu",
			   (unsigned long long)json_number(worker, "index"));
		table_cell(&table, TINT_NONE, "%s", json_text(worker, "role"));
		table_cell(&table, TINT_NONE, "%llu",
			   (unsigned long long)json_number(worker, "pid"));
		table_cell(&table, TINT_NONE, "%llu",
			   (unsigned long long)json_number(worker, "generation"));
		table_cell(&table, tint_of_state(state), "%s", state);
		table_cell(&table, TINT_NONE, "%s",
			   human_count(json_number(worker, "connections"), human));
		table_cell(&table, restarts ? TINT_WARN : TINT_NONE, "%llu",
			   (unsigned long long)restarts);
	}
	table_print(&table);
}

static void add_origin(struct table *table, const char *service, const json_t *origin)
{
	uint64_t connects = json_number(origin, "connects");
	uint64_t failures = json_number(origin, "failures");
	const char *state = json_text(origin, "state");
	char human[HUMAN_MAX];

	table_cell(table, TINT_BOLD, "%s", service);
	table_cell(table, TINT_NONE, "%s", json_text(origin, "address"));
	if (!strcmp(state, "resting"))
		table_cell(table, connects ? TINT_WARN : TINT_BAD, "resting");
	else
		table_cell(table, strcmp(state, "ok") ? TINT_DIM : TINT_GOOD, "%s", state);
	table_cell(table, TINT_NONE, "%s", human_count(connects, human));
	table_cell(table, failures ? TINT_WARN : TINT_NONE, "%s", human_count(failures, human));
}

static void show_services(const json_t *services)
{
	struct table table = { 0 };
	json_t *service, *origin;
	size_t i, j;

	render_heading("Services");
	if (!json_array_size(services)) {
		puts("  none: every request is answered 404; add services and routes to "
		     "sluice.yaml");
		return;
	}
	table_column(&table, "NAME", false);
	table_column(&table, "ORIGIN", false);
	table_column(&table, "HEALTH", false);
	table_column(&table, "CONNECTS", true);
	table_column(&table, "FAILURES", true);
	json_array_foreach (services, i, service) {
		const json_t *origins = json_object_get(service, "origins");

		json_array_foreach (origins, j, origin)
			add_origin(&table, json_text(service, "name"), origin);
	}
	table_print(&table);
}

/* Which engine moved the bodies, over all tenants. */
static void show_engines(const json_t *tenants)
{
	static const char *const fields[] = { "bytes_inline", "bytes_uring", "bytes_copied" };
	json_t *sum = json_object(), *tenant;
	char text[128];
	size_t i;

	for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
		uint64_t bytes = 0;

		json_array_foreach (tenants, i, tenant)
			bytes += json_number(json_object_get(tenant, "relay"), fields[f]);
		json_object_set_new(sum, fields[f], json_integer((json_int_t)bytes));
	}
	relay_engines(sum, text, sizeof(text));
	if (*text)
		printf("  bodies moved: %s\n", text);
	json_decref(sum);
}

static void show_reasons(const json_t *tenants)
{
	json_t *tenant;
	size_t i;

	json_array_foreach (tenants, i, tenant) {
		const char *state = json_text(tenant, "state");

		if (!strcmp(state, "attached") || !strcmp(json_text(tenant, "reason"), "-"))
			continue;
		printf("  %s: ", json_text(tenant, "name"));
		render_tinted(tint_of_state(state), state);
		printf(": ");
		render_tinted(TINT_NONE, json_text(tenant, "reason"));
		putchar('\n');
	}
}

static void show_tenants(const json_t *tenants)
{
	render_heading("Tenants");
	if (!json_array_size(tenants)) {
		puts("  none attached; attach one with: sluice tenant attach NAME --netns NS "
		     "--interface IF");
		return;
	}
	tenant_table(tenants);
	show_engines(tenants);
	show_reasons(tenants);
}

static enum status run_status(const struct common *common, char **arguments, int count)
{
	enum status status;
	json_t *data;

	status = client_call(common, "status", NULL, &data);
	if (status != STATUS_OK)
		return status;
	if (common->json) {
		render_json(data);
	} else {
		show_daemon(data);
		show_features(data);
		show_bindings(json_object_get(data, "bindings"));
		show_workers(json_object_get(data, "workers"));
		show_services(json_object_get(data, "services"));
		show_tenants(json_object_get(data, "tenants"));
	}
	json_decref(data);
	return STATUS_OK;
}

const struct command command_status = {
	.name = "status",
	.summary = "Show daemon, workers, services and tenants",
	.run = run_status,
};
