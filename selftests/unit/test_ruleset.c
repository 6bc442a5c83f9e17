/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rulesets are read whole, whatever their tables' flags: of those libnftables of Debian 12 prints
 * memory that it has freed, and ends within some hundred readings.
 */
#include <errno.h>
#include <sched.h>

#include "../../user/gate/notrack.h"
#include "../../user/gate/ruleset.h"
#include "unit.h"

#define READINGS 500

static const char rules[] =
	"add table inet plain\n"
	"add chain inet plain input { type filter hook input priority 0; }\n"
	"add rule inet plain input accept comment \"first\"\n"
	"add table ip asleep { flags dormant; }\n"
	/* Its name is a word of the language. */
	"add chain ip asleep in { type filter hook input priority 0; policy drop; }\n"
	"add chain ip asleep other\n"
	"add rule ip asleep in jump other\n"
	"add rule ip asleep other accept comment \"second\"\n"
	"add table ip6 asleep\n"
	"add chain ip6 asleep in\n"
	"add rule ip6 asleep in accept comment \"third\"\n";

static const json_t *find(const json_t *list, const char *kind, const char *key, const char *value)
{
	const json_t *object, *found = NULL;
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		object = json_object_get(json_array_get(list, i), kind);
		if (object && !strcmp(json_string_value(json_object_get(object, key)) ?: "", value))
			found = object;
	}
	return found;
}

static unsigned count(const json_t *list, const char *kind)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += json_object_get(json_array_get(list, i), kind) != NULL;
	return n;
}

static void test_list(void)
{
	char why[RULESET_WHY_MAX] = "";
	json_t *list = NULL;

	unit_case = "a table with a flag";
	if (!CHECK_THAT(!ruleset_change(rules, why), "%s", why))
		return;
	for (unsigned i = 0; i < READINGS; i++) {
		json_decref(list);
		list = ruleset_list(why);
		if (!CHECK_THAT(list, "reading %u: %s", i, why))
			return;
	}
	CHECK(count(list, "chain") == 4);
	CHECK(count(list, "rule") == 4);
	CHECK(find(list, "rule", "comment", "first"));
	CHECK(find(list, "rule", "comment", "second"));
	CHECK(find(list, "rule", "comment", "third"));
	CHECK(!strcmp(
		json_string_value(json_object_get(find(list, "chain", "policy", "drop"), "name")),
		"in"));
	json_decref(list);
}

/* What is put into a table with a flag is found there again, and taken away. */
static void test_notrack(void)
{
	struct notrack notrack = { 0 };
	char why[NOTRACK_WHY_MAX] = "";
	uint32_t before, after;
	json_t *list;

	unit_case = "rules of ours in such a table";
	CHECK_THAT(!notrack_update(&notrack, 7, why), "%s", why);
	CHECK(notrack.needed);
	CHECK_THAT(notrack_check(7, why) == 1, "%s", why);
	list = ruleset_list(why);
	CHECK(find(list, "rule", "comment", "sluice_7"));
	CHECK(find(list, "chain", "table", "sluice_7"));
	json_decref(list);
	CHECK(!ruleset_generation(&before));
	CHECK_THAT(!notrack_update(&notrack, 7, why), "%s", why);
	CHECK(!ruleset_generation(&after) && after == before);
	notrack_remove(&notrack, 7);
	list = ruleset_list(why);
	CHECK(count(list, "rule") == 4 && count(list, "chain") == 4);
	json_decref(list);
}

static void test_generation(void)
{
	uint32_t before = 0, after = 0;
	char why[RULESET_WHY_MAX] = "";

	unit_case = "generations";
	CHECK(!ruleset_generation(&before) && before == 1);
	CHECK(!ruleset_change("add table inet x\ndelete table inet x\n", why));
	CHECK(!ruleset_generation(&after) && after == before + 1);
	CHECK(ruleset_change("add chain inet none c\n", why) == -EIO);
	CHECK_THAT(!strncmp(why, "nftables: Error: ", 17) && !strchr(why, '\n'), "%s", why);
}

int main(void)
{
	unit_case = "namespace";
	if (!CHECK_THAT(!unshare(CLONE_NEWNET), "%s", strerror(errno)))
		return unit_end();
	test_generation();
	test_list();
	test_notrack();
	return unit_end();
}
