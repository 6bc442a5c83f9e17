/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notrack needs no more than a table of our own, before conntrack. Accepting does: in nftables a
 * verdict "accept" ends one chain, and the next one at the hook can still drop. So the rule goes
 * to the head of the chain that would drop, with a comment by which it is found again.
 */
#include "notrack.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi.h"
#include "ruleset.h"

#define FIRST_GENERATION 1 /* of a namespace whose ruleset nobody ever changed */
#define TAG_MAX		 32
#define CHAINS_MAX	 64 /* chains that drop by policy */
#define DEPTH_MAX	 32
#define EXCEPTIONS	 2 /* rules of write_table() */

/* iptables of old has its tables elsewhere. */
static bool legacy_nat(void)
{
	char name[64];
	bool found = false;
	FILE *file = fopen("/proc/thread-self/net/ip_tables_names", "re");

	while (file && !found && fgets(name, sizeof(name), file))
		found = !strcmp(name, "nat\n");
	if (file)
		fclose(file);
	return found;
}

/* ---- what is there --------------------------------------------------------------------------- */

static const char *word(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static bool tracks(const json_t *value, int depth)
{
	const char *key;
	json_t *entry;
	size_t i;

	if (depth > DEPTH_MAX)
		return false;
	if (json_is_object(value)) {
		json_object_foreach ((json_t *)value, key, entry)
			if (!strncmp(key, "ct", 2) || tracks(entry, depth + 1) ||
			    (!strcmp(key, "name") && json_is_string(entry) &&
			     (!strcmp(json_string_value(entry), "conntrack") ||
			      !strcmp(json_string_value(entry), "state"))))
				return true;
	} else if (json_is_array(value)) {
		json_array_foreach (value, i, entry)
			if (tracks(entry, depth + 1))
				return true;
	}
	return false;
}

static bool drops_ours(const json_t *chain)
{
	static const char *const hooks[] = { "prerouting", "input", "output", "postrouting" };

	if (strcmp(word(chain, "policy"), "drop") ||
	    (strcmp(word(chain, "family"), "ip") && strcmp(word(chain, "family"), "ip6") &&
	     strcmp(word(chain, "family"), "inet")))
		return false;
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++)
		if (!strcmp(word(chain, "hook"), hooks[i]))
			return true;
	return false;
}

struct finding {
	const char *tag;
	bool tracking;	      /* NAT or connection states */
	bool ours;	      /* our table is there */
	unsigned nexceptions; /* rules in it */
	const json_t *dropping[CHAINS_MAX];
	unsigned ndropping;
	const json_t *rules[CHAINS_MAX]; /* that we put into chains of others */
	unsigned nrules;
};

static void examine(const json_t *list, struct finding *finding)
{
	json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry) {
		const json_t *chain = json_object_get(entry, "chain");
		const json_t *rule = json_object_get(entry, "rule");
		const json_t *any = chain ? chain : rule;

		if (chain && !strcmp(word(chain, "table"), finding->tag))
			finding->ours = true;
		if (rule && !strcmp(word(rule, "table"), finding->tag))
			finding->nexceptions++;
		/* Tables of ours are no reason to have one. */
		if (!any || !strncmp(word(any, "table"), "sluice_", strlen("sluice_")))
			continue;
		if (chain && !strcmp(word(chain, "type"), "nat"))
			finding->tracking = true;
		if (chain && drops_ours(chain) && finding->ndropping < CHAINS_MAX)
			finding->dropping[finding->ndropping++] = chain;
		if (rule && !strcmp(word(rule, "comment"), finding->tag) &&
		    finding->nrules < CHAINS_MAX)
			finding->rules[finding->nrules++] = rule;
		else if (rule && tracks(json_object_get(rule, "expr"), 0))
			finding->tracking = true;
	}
}

/* It may have been flushed. */
static bool is_whole(const struct finding *finding)
{
	return finding->ours && finding->nexceptions >= EXCEPTIONS;
}

static bool has_rule(const struct finding *finding, const json_t *chain)
{
	for (unsigned i = 0; i < finding->nrules; i++)
		if (!strcmp(word(finding->rules[i], "family"), word(chain, "family")) &&
		    !strcmp(word(finding->rules[i], "table"), word(chain, "table")) &&
		    !strcmp(word(finding->rules[i], "chain"), word(chain, "name")))
			return true;
	return false;
}

/* ---- what is ours ------------------------------------------------------------------------------
 */

static void write_table(FILE *commands, const char *tag)
{
	fprintf(commands,
		"add table inet %1$s\n"
		"add chain inet %1$s prerouting { type filter hook prerouting priority raw; }\n"
		"add chain inet %1$s output { type filter hook output priority raw; }\n"
		"add rule inet %1$s prerouting meta mark 0x%2$x notrack\n"
		"add rule inet %1$s output meta mark 0x%2$x notrack\n",
		tag, SL_MARK);
}

static void write_removal(FILE *commands, const struct finding *finding)
{
	if (finding->ours)
		fprintf(commands, "delete table inet %s\n", finding->tag);
	for (unsigned i = 0; i < finding->nrules; i++)
		fprintf(commands, "delete rule %s %s %s handle %lld\n",
			word(finding->rules[i], "family"), word(finding->rules[i], "table"),
			word(finding->rules[i], "chain"),
			(long long)json_integer_value(
				json_object_get(finding->rules[i], "handle")));
}

static void write_needs(FILE *commands, const struct finding *finding)
{
	if (!is_whole(finding)) {
		if (finding->ours)
			fprintf(commands, "delete table inet %s\n", finding->tag);
		write_table(commands, finding->tag);
	}
	for (unsigned i = 0; i < finding->ndropping; i++)
		if (!has_rule(finding, finding->dropping[i]))
			fprintf(commands,
				"insert rule %s %s %s meta mark 0x%x accept comment \"%s\"\n",
				word(finding->dropping[i], "family"),
				word(finding->dropping[i], "table"),
				word(finding->dropping[i], "name"), SL_MARK, finding->tag);
}

/* Makes the ruleset have what is needed, or nothing of ours. */
static int bring_to(const struct finding *finding, bool needed, char *why)
{
	char *text = NULL;
	size_t len = 0;
	FILE *commands = open_memstream(&text, &len);
	int err = 0;

	if (!commands)
		return -ENOMEM;
	if (needed)
		write_needs(commands, finding);
	else
		write_removal(commands, finding);
	if (fclose(commands))
		err = -ENOMEM;
	else if (len)
		err = ruleset_change(text, why);
	free(text);
	return err;
}

/* As notrack_update(), for this generation of the ruleset. */
static int update_from(struct notrack *notrack, uint32_t generation, uint32_t tag, char *why)
{
	char name[TAG_MAX];
	struct finding finding = { .tag = name };
	bool legacy = legacy_nat(), needed = legacy;
	json_t *list = NULL;
	int err;

	if (generation == notrack->generation && (notrack->needed || !legacy))
		return 0;
	snprintf(name, sizeof(name), "sluice_%u", tag);
	if (generation != FIRST_GENERATION) {
		list = ruleset_list(why);
		if (!list)
			return -EIO;
		examine(list, &finding);
		needed |= finding.tracking || finding.ndropping;
	}
	err = bring_to(&finding, needed, why);
	json_decref(list);
	if (err)
		return err;
	notrack->needed = needed;
	/* A change of our own raised it; one of others in between is then seen as such. */
	notrack->generation = generation;
	return 0;
}

int notrack_update(struct notrack *notrack, uint32_t tag, char why[NOTRACK_WHY_MAX])
{
	uint32_t generation, again;

	for (unsigned tries = 0; tries < RULESET_TRIES; tries++) {
		int err = ruleset_generation(&generation);

		/* No nf_tables in this kernel, and then no rules of it. */
		if (err == -EPROTONOSUPPORT || err == -EINVAL || err == -EOPNOTSUPP)
			return 0;
		if (err) {
			snprintf(why, NOTRACK_WHY_MAX, "nftables: %s", strerror(-err));
			return err;
		}
		err = update_from(notrack, generation, tag, why);
		/* It may fail for what somebody changed meanwhile. */
		if (!err || ruleset_generation(&again) || again == generation)
			return err;
	}
	snprintf(why, NOTRACK_WHY_MAX, "nftables: the ruleset is changed all the time");
	return -EAGAIN;
}

int notrack_check(uint32_t tag, char missing[NOTRACK_WHY_MAX])
{
	char name[TAG_MAX];
	struct finding finding = { .tag = name };
	json_t *list;
	int whole = 1;

	snprintf(name, sizeof(name), "sluice_%u", tag);
	list = ruleset_list(NULL);
	if (!list)
		return -EIO;
	examine(list, &finding);
	if ((finding.tracking || finding.ndropping || legacy_nat()) && !is_whole(&finding)) {
		snprintf(missing, NOTRACK_WHY_MAX, "table inet %s", name);
		whole = 0;
	}
	for (unsigned i = 0; whole && i < finding.ndropping; i++) {
		const json_t *chain = finding.dropping[i];

		if (has_rule(&finding, chain))
			continue;
		snprintf(missing, NOTRACK_WHY_MAX,
			 "the rule with comment %s in %.40s %.80s %.80s, which drops", name,
			 word(chain, "family"), word(chain, "table"), word(chain, "name"));
		whole = 0;
	}
	json_decref(list);
	return whole;
}

/* What is ours goes by handles, which are true for as long as nobody else changes something. */
static int try_remove(const char *tag)
{
	struct finding finding = { .tag = tag };
	json_t *list = ruleset_list(NULL);
	int err;

	if (!list)
		return -EIO;
	examine(list, &finding);
	err = bring_to(&finding, false, NULL);
	json_decref(list);
	return err;
}

void notrack_remove(struct notrack *notrack, uint32_t tag)
{
	char name[TAG_MAX];
	uint32_t generation;

	snprintf(name, sizeof(name), "sluice_%u", tag);
	*notrack = (struct notrack){ 0 };
	if (ruleset_generation(&generation) || generation == FIRST_GENERATION)
		return;
	for (unsigned tries = 0; tries < RULESET_TRIES && try_remove(name); tries++)
		;
}
