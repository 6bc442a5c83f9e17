/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notrack needs no more than a table of our own, before conntrack. Accepting does: in nftables a
 * verdict "accept" ends one chain, and the next one at the hook can still drop. So the rule goes
 * to the head of the chain that would drop, with a comment by which it is found again.
 */
#include "notrack.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi.h"
#include "ruleset.h"

#define FIRST_GENERATION 1 /* of a namespace whose ruleset nobody ever changed */
#define TAG_MAX		 32
#define CHAINS_MAX	 64 /* chains that drop by policy */
#define EXCEPTIONS	 2  /* rules of write_table() */
#define TRIES		 5  /* while others change the ruleset */

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

struct place {
	char family[8], table[NAME_MAX + 1], chain[NAME_MAX + 1];
	bool closed;	 /* no command of ours can change it */
	uint64_t handle; /* of a rule of ours there */
};

struct finding {
	const char *tag;
	bool tracking;	      /* NAT or connection states */
	bool ours;	      /* our table is there */
	unsigned nexceptions; /* rules in it */
	struct place dropping[CHAINS_MAX];
	unsigned ndropping;
	struct place rules[CHAINS_MAX]; /* that we put into chains of others */
	unsigned nrules;
};

/* What nft(8) takes for a name, without quotes (src/scanner.l). */
static bool sayable(const char *name)
{
	return name[0] && !strchr("0123456789-/", name[0]) &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_-./")];
}

static struct place *add_place(struct place *places, unsigned *count, const char *family,
			       const char *table, const char *chain, bool owned)
{
	struct place *place;

	if (*count == CHAINS_MAX)
		return NULL;
	place = &places[(*count)++];
	snprintf(place->family, sizeof(place->family), "%s", family);
	snprintf(place->table, sizeof(place->table), "%s", table);
	snprintf(place->chain, sizeof(place->chain), "%s", chain);
	place->closed = owned || !sayable(table) || !sayable(chain);
	return place;
}

/* Tables of ours are no reason to have one. */
static bool is_another_gates(const char *table)
{
	return !strncmp(table, "sluice_", strlen("sluice_"));
}

static void on_chain(const struct ruleset_chain *chain, void *arg)
{
	struct finding *finding = arg;

	if (!strcmp(chain->table, finding->tag) && !strcmp(chain->family, "inet"))
		finding->ours = true;
	if (is_another_gates(chain->table) || chain->dormant)
		return;
	finding->tracking |= chain->nat;
	if (chain->drops)
		add_place(finding->dropping, &finding->ndropping, chain->family, chain->table,
			  chain->name, chain->owned);
}

static void on_rule(const struct ruleset_rule *rule, void *arg)
{
	struct finding *finding = arg;
	struct place *place;

	if (!strcmp(rule->table, finding->tag) && !strcmp(rule->family, "inet"))
		finding->nexceptions++;
	if (is_another_gates(rule->table))
		return;
	if (strcmp(rule->comment, finding->tag) != 0) {
		finding->tracking |= rule->tracks;
		return;
	}
	place = add_place(finding->rules, &finding->nrules, rule->family, rule->table, rule->chain,
			  rule->owned);
	if (place)
		place->handle = rule->handle;
}

static int find(struct finding *finding)
{
	return ruleset_read(on_chain, on_rule, finding);
}

/* It may have been flushed. */
static bool is_whole(const struct finding *finding)
{
	return finding->ours && finding->nexceptions >= EXCEPTIONS;
}

static bool has_rule(const struct finding *finding, const struct place *chain)
{
	for (unsigned i = 0; i < finding->nrules; i++)
		if (!strcmp(finding->rules[i].family, chain->family) &&
		    !strcmp(finding->rules[i].table, chain->table) &&
		    !strcmp(finding->rules[i].chain, chain->chain))
			return true;
	return false;
}

/* The first chain that drops what is ours, among those that we cannot change or among all. */
static const struct place *lacking(const struct finding *finding, bool closed)
{
	for (unsigned i = 0; i < finding->ndropping; i++)
		if ((!closed || finding->dropping[i].closed) &&
		    !has_rule(finding, &finding->dropping[i]))
			return &finding->dropping[i];
	return NULL;
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
	for (unsigned i = 0; i < finding->nrules; i++) {
		const struct place *rule = &finding->rules[i];

		if (rule->closed)
			continue;
		fprintf(commands, "delete rule %s %s %s handle %" PRIu64 "\n", rule->family,
			rule->table, rule->chain, rule->handle);
	}
}

static void write_needs(FILE *commands, const struct finding *finding)
{
	if (!is_whole(finding)) {
		if (finding->ours)
			fprintf(commands, "delete table inet %s\n", finding->tag);
		write_table(commands, finding->tag);
	}
	for (unsigned i = 0; i < finding->ndropping; i++) {
		const struct place *chain = &finding->dropping[i];

		if (!chain->closed && !has_rule(finding, chain))
			fprintf(commands,
				"insert rule %s %s %s meta mark 0x%x accept comment \"%s\"\n",
				chain->family, chain->table, chain->chain, SL_MARK, finding->tag);
	}
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
static int update_from(struct notrack *notrack, uint32_t generation, struct finding *finding,
		       char *why)
{
	bool legacy = legacy_nat(), needed = legacy;
	const struct place *closed;
	int err = 0;

	if (generation == notrack->generation && (notrack->needed || !legacy))
		return 0;
	if (generation != FIRST_GENERATION)
		err = find(finding);
	if (err) {
		snprintf(why, NOTRACK_WHY_MAX, "nftables: the ruleset cannot be read: %s",
			 strerror(-err));
		return err;
	}
	needed |= finding->tracking || finding->ndropping;
	err = bring_to(finding, needed, why);
	if (err)
		return err;
	notrack->needed = needed;
	closed = lacking(finding, true);
	if (closed) {
		snprintf(why, NOTRACK_WHY_MAX,
			 "nftables: chain %.40s of table %s %.40s drops by policy, and only the "
			 "process that owns it can accept mark 0x%x there, with comment %s",
			 closed->chain, closed->family, closed->table, SL_MARK, finding->tag);
		return -EACCES;
	}
	/* A change of our own raised it; one of others in between is then seen as such. */
	notrack->generation = generation;
	return 0;
}

int notrack_update(struct notrack *notrack, uint32_t tag, char why[NOTRACK_WHY_MAX])
{
	uint32_t generation, again;
	char name[TAG_MAX];

	snprintf(name, sizeof(name), "sluice_%u", tag);
	for (unsigned tries = 0; tries < TRIES; tries++) {
		struct finding finding = { .tag = name };
		int err = ruleset_generation(&generation);

		/* No nf_tables in this kernel, and then no rules of it. */
		if (err == -EPROTONOSUPPORT || err == -EINVAL || err == -EOPNOTSUPP)
			return 0;
		if (err) {
			snprintf(why, NOTRACK_WHY_MAX, "nftables: %s", strerror(-err));
			return err;
		}
		err = update_from(notrack, generation, &finding, why);
		/* It may fail for what somebody changed meanwhile. */
		if (!err || err == -EACCES ||
		    (err != -EAGAIN && (ruleset_generation(&again) || again == generation)))
			return err;
	}
	snprintf(why, NOTRACK_WHY_MAX, "nftables: the ruleset is changed all the time");
	return -EAGAIN;
}

int notrack_check(uint32_t tag, char missing[NOTRACK_WHY_MAX])
{
	char name[TAG_MAX];
	struct finding finding = { .tag = name };
	const struct place *chain;
	int err = -EAGAIN;

	snprintf(name, sizeof(name), "sluice_%u", tag);
	for (unsigned tries = 0; err == -EAGAIN && tries < TRIES; tries++) {
		finding = (struct finding){ .tag = name };
		err = find(&finding);
	}
	if (err)
		return err;
	if ((finding.tracking || finding.ndropping || legacy_nat()) && !is_whole(&finding)) {
		snprintf(missing, NOTRACK_WHY_MAX, "table inet %s", name);
		return 0;
	}
	chain = lacking(&finding, false);
	if (!chain)
		return 1;
	snprintf(missing, NOTRACK_WHY_MAX,
		 "the rule with comment %s in %s %.80s %.80s, which drops", name, chain->family,
		 chain->table, chain->chain);
	return chain->closed ? -EACCES : 0;
}

/* What is ours goes by handles, which are true for as long as nobody else changes something. */
static int try_remove(const char *tag)
{
	struct finding finding = { .tag = tag };
	int err = find(&finding);

	return err ? err : bring_to(&finding, false, NULL);
}

void notrack_remove(struct notrack *notrack, uint32_t tag)
{
	char name[TAG_MAX];
	uint32_t generation;

	snprintf(name, sizeof(name), "sluice_%u", tag);
	*notrack = (struct notrack){ 0 };
	if (ruleset_generation(&generation) || generation == FIRST_GENERATION)
		return;
	for (unsigned tries = 0; tries < TRIES && try_remove(name); tries++)
		;
}
