/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rulesets are read whole, whatever their tables' flags, and rules of ours are where they are
 * needed and can be.
 */
#include <errno.h>
#include <nftables/libnftables.h>
#include <sched.h>

#include "../../user/gate/notrack.h"
#include "../../user/gate/ruleset.h"
#include "unit.h"

#define READINGS 300 /* as JSON, libnftables of Debian 12 did not live to see so many */

static const char rules[] = "add table inet plain\n"
			    "add chain inet plain input { type filter hook input priority 0; }\n"
			    "add rule inet plain input accept comment \"first\"\n"
			    "add table ip asleep { flags dormant; }\n"
			    /* Its name is a word of the language. */
			    "add chain ip asleep in { type filter hook input priority 0; "
			    "policy drop; }\n"
			    "add chain ip asleep other\n"
			    "add rule ip asleep in jump other\n"
			    "add rule ip asleep other ct state new accept comment \"second\"\n"
			    "add table ip6 asleep\n"
			    "add chain ip6 asleep in { type filter hook forward priority 0; "
			    "policy drop; }\n"
			    "add rule ip6 asleep in counter accept comment \"third\"\n";

/* What was read, a line each. */
static char seen[4096];

static void on_chain(const struct ruleset_chain *chain, void *arg)
{
	size_t len = strlen(seen);

	snprintf(seen + len, sizeof(seen) - len, "%s %s %s%s%s%s%s\n", chain->family, chain->table,
		 chain->name, chain->nat ? " nat" : "", chain->drops ? " drops" : "",
		 chain->dormant ? " dormant" : "", chain->owned ? " owned" : "");
}

static void on_rule(const struct ruleset_rule *rule, void *arg)
{
	size_t len = strlen(seen);

	snprintf(seen + len, sizeof(seen) - len, "%s %s %s: %s%s\n", rule->family, rule->table,
		 rule->chain, rule->comment, rule->tracks ? " tracks" : "");
}

static bool is_read(const char *wanted)
{
	int err;

	seen[0] = '\0';
	err = ruleset_read(on_chain, on_rule, NULL);
	return CHECK_THAT(!err, "%s", strerror(-err)) &&
	       CHECK_THAT(strstr(seen, wanted), "%s is not in:\n%s", wanted, seen);
}

static void test_read(void)
{
	char why[RULESET_WHY_MAX] = "";

	unit_case = "tables with flags and without";
	if (!CHECK_THAT(!ruleset_change(rules, why), "%s", why))
		return;
	for (unsigned i = 0; i < READINGS; i++)
		if (!is_read("inet plain input\n"))
			return;
	CHECK(!strcmp(seen, "inet plain input\n"
			    "ip asleep in drops dormant\n"
			    "ip asleep other dormant\n"
			    "ip6 asleep in\n"
			    "inet plain input: first\n"
			    "ip asleep in: \n"
			    "ip asleep other: second tracks\n"
			    "ip6 asleep in: third\n"));
}

static bool is_updated(struct notrack *notrack, int wanted)
{
	char why[NOTRACK_WHY_MAX] = "";
	int err = notrack_update(notrack, 7, why);

	return CHECK_THAT(err == wanted, "%d: %s", err, why);
}

/* What is in no force needs nothing; what is put into a table is found there again, whatever its
 * flags, and taken away. */
static void test_notrack(void)
{
	struct notrack notrack = { 0 };
	char why[NOTRACK_WHY_MAX] = "";
	uint32_t before = 0, after = 0;

	unit_case = "rules of ours";
	CHECK(!ruleset_change("flush chain ip asleep other\n", why));
	is_updated(&notrack, 0);
	CHECK(!notrack.needed);
	CHECK_THAT(!ruleset_change("add table ip asleep\n", why), "%s", why);
	is_updated(&notrack, 0);
	CHECK(notrack.needed);
	is_read("inet sluice_7 output\n");
	is_read("ip asleep in: sluice_7\n");
	CHECK_THAT(notrack_check(7, why) == 1, "%s", why);
	CHECK(!ruleset_generation(&before));
	is_updated(&notrack, 0);
	CHECK(!ruleset_generation(&after) && after == before);
	CHECK_THAT(!ruleset_change("add table ip asleep { flags dormant; }\n", why), "%s", why);
	notrack_remove(&notrack, 7);
	is_read("ip asleep in: \n");
	CHECK_THAT(!strstr(seen, "sluice_7"), "%s", seen);
}

/* A firewall that keeps its table to itself: all else is done, and it is told. */
static void test_owned(void)
{
	static const char owned[] =
		"add table inet theirs { flags owner; }\n"
		"add chain inet theirs input { type filter hook input priority 0; policy drop; }\n"
		"add chain ip plain nat { type nat hook prerouting priority -100; }\n";
	struct nft_ctx *owner = nft_ctx_new(NFT_CTX_DEFAULT);
	struct notrack notrack = { 0 };
	char why[NOTRACK_WHY_MAX] = "";

	unit_case = "a table of a process";
	CHECK_THAT(!ruleset_change("flush ruleset\nadd table ip plain\n", why), "%s", why);
	if (!CHECK(owner && !nft_run_cmd_from_buffer(owner, owned)))
		return;
	is_read("inet theirs input drops owned\n");
	is_updated(&notrack, -EACCES);
	CHECK(notrack.needed);
	is_read("inet sluice_7 output\n");
	is_updated(&notrack, -EACCES);
	CHECK(notrack_check(7, why) == -EACCES && strstr(why, "inet theirs input"));
	/* Its owner does as it is told; the rule is its own to take away. */
	CHECK(!nft_run_cmd_from_buffer(owner, "insert rule inet theirs input meta mark 0x51a1ce "
					      "accept comment \"sluice_7\"\n"));
	is_updated(&notrack, 0);
	CHECK_THAT(notrack_check(7, why) == 1, "%s", why);
	notrack_remove(&notrack, 7);
	is_read("inet theirs input: sluice_7\n");
	CHECK_THAT(!strstr(seen, "inet sluice_7"), "%s", seen);
	is_updated(&notrack, 0);
	nft_ctx_free(owner);
	is_updated(&notrack, 0);
	CHECK_THAT(notrack_check(7, why) == 1, "%s", why);
	notrack_remove(&notrack, 7);
	is_read("ip plain nat nat\n");
	CHECK_THAT(!strstr(seen, "sluice_7"), "%s", seen);
}

/* nft(8) writes "ct", iptables-nft some of it as what iptables has for it. */
static void test_tracking(void)
{
	static const struct {
		const char *rule;
		bool tracks;
	} cases[] = {
		{ "meta mark 1 accept", false },
		{ "ct state established accept", true },
		{ "ct mark set 1", true },
		{ "ct count over 3 drop", true },
		{ "notrack", false },
		{ "update @s { ip saddr ct count over 3 } drop", true },
		{ "update @u { ip saddr } accept", false },
		{ "ct helper set \"h\"", true },
		{ "counter name \"n\"", false },
	};
	char why[RULESET_WHY_MAX] = "", text[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unit_case = cases[i].rule;
		snprintf(text, sizeof(text),
			 "add table inet t\ndelete table inet t\nadd table inet t\n"
			 "add set inet t s { type ipv4_addr; flags dynamic; }\n"
			 "add set inet t u { type ipv4_addr; flags dynamic; }\n"
			 "add ct helper inet t h { type \"ftp\" protocol tcp; l3proto ip; }\n"
			 "add counter inet t n\n"
			 "add chain inet t c { type filter hook prerouting priority raw; }\n"
			 "add rule inet t c %s\n",
			 cases[i].rule);
		CHECK_THAT(!ruleset_change(text, why), "%s", why);
		is_read(cases[i].tracks ? "inet t c:  tracks\n" : "inet t c: \n");
	}
	CHECK(!ruleset_change("delete table inet t\n", why));
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
	test_tracking();
	test_read();
	test_notrack();
	test_owned();
	return unit_end();
}
