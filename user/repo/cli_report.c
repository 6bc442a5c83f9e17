/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice-repo instructions, report: what became of what VMs were told, one by one and summed up. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/instruction.h"

static struct list_options {
	const char *tenant, *instance;
	uint32_t lines;
	bool log;
} list_options = { .lines = 100 };

static const struct opt list_opts[] = {
	{ OPT_TEXT, 'T', "tenant", "TENANT", "only this tenant's VMs",
	  offsetof(struct list_options, tenant), 0, 0, NULL },
	{ OPT_TEXT, 'I', "instance", "ID", "only this VM", offsetof(struct list_options, instance),
	  0, 0, NULL },
	{ OPT_NUMBER, 'n', "lines", "N", "how many (default 100)",
	  offsetof(struct list_options, lines), 1, 10000, NULL },
	{ OPT_FLAG, 'l', "log", NULL, "with the last lines of the package manager",
	  offsetof(struct list_options, log), 0, 0, NULL },
};

static struct report_options {
	const char *tenant;
} report_options;

static const struct opt report_opts[] = {
	{ OPT_TEXT, 'T', "tenant", "TENANT", "this tenant, VM by VM",
	  offsetof(struct report_options, tenant), 0, 0, NULL },
};

json_t *cli_report_operation(struct cli *cli, const char *id)
{
	json_t *reply = cli_instruct_fetch(cli, "/v1/instructions?limit=10000", NULL, NULL);
	json_t *operation, *found = NULL;
	size_t i;

	json_array_foreach (json_object_get(reply, "operations"), i, operation)
		if (!strcmp(cli_text(operation, "id"), id))
			found = json_incref(operation);
	json_decref(reply);
	if (!found && reply)
		cli_fail("there is no operation %s", id);
	return found;
}

/* The log's lines, indented; what a VM says stays within them. */
static void print_log(const char *log)
{
	char line[512];

	for (size_t len; *log; log += len + (log[len] == '\n')) {
		len = strcspn(log, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)len, log);
		fputs("    ", stdout);
		cli_put(line);
		putchar('\n');
	}
}

static void print_operation(const json_t *operation)
{
	const json_t *package;
	char when[20];
	size_t i;

	cli_print_time(json_integer_value(json_object_get(operation, "updated_at")), when);
	printf("%s  %-16s  %-12s  %-24s %-3s  %-9s %3lld %%  ", when, cli_text(operation, "id"),
	       cli_text(operation, "tenant"), cli_text(operation, "instance"),
	       json_is_true(json_object_get(operation, "online")) ? "on" : "-",
	       cli_text(operation, "state"),
	       (long long)json_integer_value(json_object_get(operation, "percent")));
	cli_put(cli_text(operation, "action"));
	json_array_foreach (json_object_get(operation, "packages"), i, package) {
		putchar(' ');
		cli_put(json_string_value(package));
	}
	if (*cli_text(operation, "message")) {
		fputs(": ", stdout);
		cli_put(cli_text(operation, "message"));
	}
	putchar('\n');
	if (list_options.log)
		print_log(cli_text(operation, "log"));
}

static int run_instructions(struct cli *cli, int argc, char **argv)
{
	json_t *reply, *list;
	char path[64];

	snprintf(path, sizeof(path), "/v1/instructions?limit=%u", list_options.lines);
	reply = cli_instruct_fetch(cli, path, list_options.tenant, list_options.instance);
	if (!reply)
		return 1;
	list = json_object_get(reply, "operations");
	if (!cli_print_json(cli, list)) {
		printf("%-16s  %-16s  %-12s  %-24s %-3s  %-9s %5s  %s\n", "CHANGED (UTC)", "ID",
		       "TENANT", "INSTANCE", "ON", "STATE", "", "WHAT");
		for (size_t i = json_array_size(list); i-- > 0;)
			print_operation(json_array_get(list, i));
	}
	json_decref(reply);
	return 0;
}

static void print_counts(const json_t *row)
{
	static const char *const counts[] = { "pending", "running", "done", "failed", "cancelled" };

	for (int i = 0; i < 5; i++)
		printf("  %9lld", (long long)json_integer_value(json_object_get(row, counts[i])));
}

static void print_report(const json_t *reply)
{
	bool one = report_options.tenant;
	const json_t *row;
	char when[20];
	size_t i;

	printf("%-24s  %6s  %7s  %9s  %9s  %9s  %9s  %9s%s\n", one ? "INSTANCE" : "TENANT",
	       one ? "" : "VMS", "WAITING", "PENDING", "RUNNING", "DONE", "FAILED", "CANCELLED",
	       one ? "  CHANGED (UTC)" : "");
	json_array_foreach (json_object_get(reply, one ? "instances" : "tenants"), i, row) {
		if (one)
			printf("%-24s  %6s  %7s", cli_text(row, "instance"), "",
			       json_is_true(json_object_get(row, "online")) ? "yes" : "no");
		else
			printf("%-24s  %6lld  %7lld", cli_text(row, "tenant"),
			       (long long)json_integer_value(json_object_get(row, "instances")),
			       (long long)json_integer_value(json_object_get(row, "online")));
		print_counts(row);
		if (one) {
			cli_print_time(json_integer_value(json_object_get(row, "changed_at")),
				       when);
			printf("  %s", when);
		}
		putchar('\n');
	}
}

static int run_report(struct cli *cli, int argc, char **argv)
{
	json_t *reply = cli_instruct_fetch(cli, "/v1/report?", report_options.tenant, NULL);

	if (!reply)
		return 1;
	if (!cli_print_json(cli, reply))
		print_report(reply);
	json_decref(reply);
	return 0;
}

const struct cli_command cli_report_commands[] = {
	{ "instructions", NULL, "what became of instructions", 0, 0, list_opts,
	  sizeof(list_opts) / sizeof(list_opts[0]), &list_options, run_instructions },
	{ "report", NULL, "how far tenants and their VMs are", 0, 0, report_opts,
	  sizeof(report_opts) / sizeof(report_opts[0]), &report_options, run_report },
	{ .name = NULL },
};
