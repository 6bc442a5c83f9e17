/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "../lib/text.h"
#include "plan.h"

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static void show_list(const json_t *object, const char *key, const char *sign)
{
	const json_t *line;
	size_t i;

	json_array_foreach (json_object_get(object, key), i, line)
		printf("      %s %s\n", sign, json_string_value(line));
}

static void show_node(const json_t *node)
{
	const json_t *entry;
	size_t i;

	printf("%s (%s)\n", text(node, "name"), text(node, "address"));
	json_array_foreach (json_object_get(node, "items"), i, entry) {
		double size = (double)json_integer_value(json_object_get(entry, "bytes")) / 1048576;

		printf("  %-8s %s", text(entry, "action"), text(entry, "name"));
		if (size > 0)
			printf(" (%.1f MiB)", size);
		putchar('\n');
		show_list(entry, "new", "+");
		show_list(entry, "upgrade", "^");
		show_list(entry, "downgrade", "v");
	}
	show_list(node, "warnings", "?");
	show_list(node, "problems", "!");
}

/* Nodes tell what is installed there, in which versions: text that is theirs. */
void plan_show(const json_t *made)
{
	json_t *plan = text_json(made);
	const json_t *bundle = json_object_get(plan, "bundle"), *node;
	size_t i;

	if (*text(bundle, "name"))
		printf("bundle %s, version %lld\n", text(bundle, "name"),
		       (long long)json_integer_value(json_object_get(bundle, "version")));
	json_array_foreach (json_object_get(plan, "nodes"), i, node)
		show_node(node);
	show_list(plan, "problems", "!");
	printf("%lld to change, %zu problem%s%s%s\n",
	       (long long)json_integer_value(json_object_get(plan, "changes")), plan_problems(plan),
	       plan_problems(plan) == 1 ? "" : "s", *text(plan, "mode") ? ", mode " : "",
	       text(plan, "mode"));
	json_decref(plan);
}
