/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice port set|del|list: which machine stands behind a MAC and its addresses. What is set holds
 * when the command returns: it waits until the daemon has it in force.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "render.h"

#define LIST_MAX  1024
#define WAIT_MS	  40000 /* longer than a worker that hangs is left alone */
#define LOOK_MS	  10
#define NO_CHANGE "sluice port: a worker is slow: what changed is kept out until it has answered\n"

static struct {
	const char *mac, *address, *instance, *project, *expires;
} set;

static struct {
	const char *mac;
} del;

/* clang-format off */
static const struct opt set_options[] = {
	{ .kind = OPT_TEXT, .name = "mac", .value = "MAC", .offset = offsetof(typeof(set), mac),
	  .help = "the machine's, e.g. fa:16:3e:00:00:05" },
	{ .kind = OPT_TEXT, .name = "address", .value = "IP,...", .offset = offsetof(typeof(set), address),
	  .help = "its addresses, IPv4 and IPv6; link-local ones need none" },
	{ .kind = OPT_TEXT, .name = "instance-id", .value = "ID", .offset = offsetof(typeof(set), instance),
	  .help = "the machine's id" },
	{ .kind = OPT_TEXT, .name = "project-id", .value = "ID", .offset = offsetof(typeof(set), project),
	  .help = "its owner's id" },
	{ .kind = OPT_TEXT, .name = "expires", .value = "TIME", .offset = offsetof(typeof(set), expires),
	  .help = "until when: 2026-12-31T23:59:59Z, or +SECONDS; for ever if not given" },
};

static const struct opt del_options[] = {
	{ .kind = OPT_TEXT, .name = "mac", .value = "MAC", .offset = offsetof(typeof(del), mac),
	  .help = "the machine's" },
};
/* clang-format on */

static enum status refuse(const char *command, const char *what)
{
	fprintf(stderr, "sluice %s: %s; try 'sluice help %s'\n", command, what, command);
	return STATUS_USAGE;
}

/* "10.0.0.5,fd00::5"; what an address is, sluiced checks. NULL: not such a list. */
static json_t *address_list(const char *list)
{
	char text[LIST_MAX], *rest = text, *part;
	json_t *array = json_array();

	if (!list)
		return array;
	if (strlen(list) >= sizeof(text)) {
		json_decref(array);
		return NULL;
	}
	strcpy(text, list);
	while ((part = strsep(&rest, ","))) {
		if (!*part) {
			json_decref(array);
			return NULL;
		}
		json_array_append_new(array, json_string(part));
	}
	return array;
}

/* Seconds from now become a time; the rest goes to sluiced as it is. NULL: no number. */
static json_t *expiry(const char *text)
{
	uint32_t seconds;

	if (text[0] != '+')
		return json_string(text);
	if (opt_number(text + 1, 1, UINT32_MAX, &seconds))
		return NULL;
	return json_integer((json_int_t)time(NULL) + seconds);
}

/* Until nothing is on its way into force any more. */
static enum status await(const struct common *common)
{
	const struct timespec look = { .tv_nsec = LOOK_MS * 1000000l };
	enum status status = STATUS_OK;
	bool changing = true;

	for (int waited = 0; changing && waited < WAIT_MS; waited += LOOK_MS) {
		json_t *data;

		status = client_call(common, "port.status", NULL, &data);
		if (status != STATUS_OK)
			return status;
		changing = json_flag(data, "changing");
		json_decref(data);
		if (changing)
			nanosleep(&look, NULL);
	}
	if (changing) {
		fputs(NO_CHANGE, stderr);
		return STATUS_FAILED;
	}
	return status;
}

/* Sends it, waits, and fetches how the binding stands then. */
static enum status change(const struct common *common, const char *command, json_t *arguments,
			  json_t **ret_list)
{
	json_t *which = json_pack("{s:O, s:O}", "tenant", json_object_get(arguments, "tenant"),
				  "mac", json_object_get(arguments, "mac"));
	json_t *data;
	enum status status = client_call(common, command, arguments, &data);

	if (status == STATUS_OK) {
		json_decref(data);
		status = await(common);
	}
	if (status == STATUS_OK)
		return client_call(common, "port.list", which, ret_list);
	json_decref(which);
	return status;
}

static enum status run_set(const struct common *common, char **arguments, int count)
{
	json_t *addresses = address_list(set.address), *expires, *list;
	const char *state;
	json_t *object;
	enum status status;

	if (!set.mac || !set.instance || !set.project) {
		json_decref(addresses);
		return refuse("port set", "--mac, --instance-id and --project-id are needed");
	}
	if (!addresses)
		return refuse("port set", "--address is no list of addresses");
	object =
		json_pack("{s:s, s:s, s:o, s:s, s:s}", "tenant", arguments[0], "mac", set.mac,
			  "addresses", addresses, "instance", set.instance, "project", set.project);
	if (set.expires) {
		expires = expiry(set.expires);
		if (!expires) {
			json_decref(object);
			return refuse("port set", "--expires is neither a time nor +SECONDS");
		}
		json_object_set_new(object, "expires", expires);
	}
	status = change(common, "port.set", object, &list);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(list);
	state = json_array_size(list) ? json_text(json_array_get(list, 0), "state") : "expired";
	if (!common->json)
		printf("%s %s: %s, %s%s\n", arguments[0], set.mac, set.instance, state,
		       strcmp(state, "waiting") ? "" : ": no such tenant is attached now");
	json_decref(list);
	return STATUS_OK;
}

static enum status run_del(const struct common *common, char **arguments, int count)
{
	enum status status;
	json_t *list;

	if (!del.mac)
		return refuse("port del", "--mac is missing");
	status = change(common, "port.del",
			json_pack("{s:s, s:s}", "tenant", arguments[0], "mac", del.mac), &list);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(list);
	else if (json_array_size(list))
		printf("%s %s: the file's binding is in force again\n", arguments[0], del.mac);
	else
		printf("%s %s: not bound any more\n", arguments[0], del.mac);
	json_decref(list);
	return STATUS_OK;
}

static void add_row(struct table *table, const json_t *port)
{
	const char *state = json_text(port, "state");
	json_t *addresses = json_object_get(port, "addresses"), *address;
	char text[256] = "";
	size_t i;

	table_cell(table, TINT_BOLD, "%s", json_text(port, "tenant"));
	table_cell(table, TINT_NONE, "%s", json_text(port, "mac"));
	json_array_foreach (addresses, i, address) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%s", i ? "," : "",
			 json_string_value(address));
	}
	table_cell(table, TINT_NONE, "%s", *text ? text : "-");
	table_cell(table, TINT_NONE, "%s", json_text(port, "instance"));
	table_cell(table, TINT_NONE, "%s", json_text(port, "project"));
	table_cell(table, TINT_NONE, "%s", json_text(port, "expires"));
	table_cell(table, TINT_NONE, "%s", json_text(port, "source"));
	table_cell(table, strcmp(state, "in-force") ? TINT_WARN : TINT_GOOD, "%s", state);
}

static enum status run_list(const struct common *common, char **arguments, int count)
{
	json_t *which = count ? json_pack("{s:s}", "tenant", arguments[0]) : NULL, *list, *port;
	enum status status = client_call(common, "port.list", which, &list);
	struct table table = { 0 };
	size_t i;

	if (status != STATUS_OK)
		return status;
	if (common->json) {
		render_json(list);
	} else if (!json_array_size(list)) {
		puts("nobody is bound; bind a machine with: sluice port set TENANT --mac MAC "
		     "--address IP --instance-id ID --project-id ID");
	} else {
		table_column(&table, "TENANT", false);
		table_column(&table, "MAC", false);
		table_column(&table, "ADDRESSES", false);
		table_column(&table, "INSTANCE", false);
		table_column(&table, "PROJECT", false);
		table_column(&table, "EXPIRES", false);
		table_column(&table, "SOURCE", false);
		table_column(&table, "STATE", false);
		json_array_foreach (list, i, port)
			add_row(&table, port);
		table_print(&table);
	}
	json_decref(list);
	return STATUS_OK;
}

const struct command command_port_set = {
	.name = "port set",
	.arguments = "TENANT",
	.summary = "Bind a machine to its MAC and addresses",
	.options = set_options,
	.options_count = sizeof(set_options) / sizeof(set_options[0]),
	.target = &set,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_set,
};

const struct command command_port_del = {
	.name = "port del",
	.arguments = "TENANT",
	.summary = "Take a binding back that 'port set' made",
	.options = del_options,
	.options_count = sizeof(del_options) / sizeof(del_options[0]),
	.target = &del,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_del,
};

const struct command command_port_list = {
	.name = "port list",
	.arguments = "[TENANT]",
	.summary = "List port bindings, of the file and of 'port set'",
	.arguments_max = 1,
	.run = run_list,
};
