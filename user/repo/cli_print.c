/* SPDX-License-Identifier: BSD-2-Clause */
/* What sluice-repo shows people: tables, sizes, times, the progress line. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/progress.h"

const char *cli_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

bool cli_print_json(const struct cli *cli, const json_t *reply)
{
	if (!cli->options.json)
		return false;
	json_dumpf(reply, stdout, JSON_INDENT(2));
	putchar('\n');
	return true;
}

static void put_visible(const json_t *package)
{
	const json_t *tenants = json_object_get(package, "tenants"), *name;
	size_t i;

	if (!tenants)
		return;
	if (json_is_true(json_object_get(package, "public")))
		fputs("public", stdout);
	else if (!json_array_size(tenants))
		fputs("nobody", stdout);
	else
		json_array_foreach (tenants, i, name) {
			if (i)
				putchar(',');
			cli_put(json_string_value(name));
		}
}

/* Columns are as wide as what is in them, so that no name is cut. */
void cli_print_packages(const json_t *packages)
{
	static const char *const keys[] = { "name", "version", "arch" };
	int width[3] = { 4, 7, 4 };
	const json_t *package;
	char size[16], when[20];
	size_t i;

	json_array_foreach (packages, i, package)
		for (int k = 0; k < 3; k++)
			if ((int)strlen(cli_text(package, keys[k])) > width[k])
				width[k] = (int)strlen(cli_text(package, keys[k]));
	printf("%6s  %-*s  %-*s  %-*s  %-4s  %10s  %-16s  %s\n", "ID", width[0], "NAME", width[1],
	       "VERSION", width[2], "ARCH", "KIND", "SIZE", "UPLOADED (UTC)", "VISIBLE TO");
	json_array_foreach (packages, i, package) {
		cli_print_size((uint64_t)json_integer_value(json_object_get(package, "size")),
			       size);
		cli_print_time(json_integer_value(json_object_get(package, "uploaded_at")), when);
		printf("%6lld  %-*s  %-*s  %-*s  %-4s  %10s  %-16s  ",
		       (long long)json_integer_value(json_object_get(package, "id")), width[0],
		       cli_text(package, "name"), width[1], cli_text(package, "version"), width[2],
		       cli_text(package, "arch"), cli_text(package, "kind"), size, when);
		put_visible(package);
		putchar('\n');
	}
}

void cli_progress(const char *label, uint64_t done, uint64_t total, int64_t started_ms)
{
	static int64_t last_ms;
	int64_t now = clock_ms(CLOCK_MONOTONIC), spent = now - started_ms;
	char rate[16], rest[20];

	if (done == total) {
		progress_clear();
		return;
	}
	if (now - last_ms < 100)
		return;
	last_ms = now;
	cli_print_size(spent > 0 ? done * 1000 / (uint64_t)spent : done, rate);
	snprintf(rest, sizeof(rest), "%s/s", rate);
	progress_draw(label, total ? (unsigned)(done * 100 / total) : 100, rest);
}
