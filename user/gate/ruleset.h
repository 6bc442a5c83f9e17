/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packet filter's ruleset of the current namespace: read from nf_tables, which iptables-nft's
 * rules are in too, and changed by nft(8) commands.
 */
#ifndef SLUICE_GATE_RULESET_H
#define SLUICE_GATE_RULESET_H

#include <stdbool.h>
#include <stdint.h>

#define RULESET_WHY_MAX 256

struct ruleset_chain {
	const char *family; /* as nft(8) has it */
	const char *table, *name;
	bool owned;   /* its table is a process's, and nobody else may change it (flags owner) */
	bool dormant; /* its table is not in force */
	bool nat;
	bool drops; /* by policy, packets to or from this host */
};

struct ruleset_rule {
	const char *family, *table, *chain;
	uint64_t handle;
	const char *comment; /* "" for none */
	bool owned;	     /* as its chain */
	bool tracks;	     /* it needs connection tracking */
};

/* The number of the ruleset; every transaction raises it. 0 or -errno. */
int ruleset_generation(uint32_t *ret);
/*
 * Calls on_chain for each chain, then on_rule for each rule; what they get is theirs during the
 * call. 0 or -errno: -EAGAIN when the ruleset was changed meanwhile, after calls or none.
 */
int ruleset_read(void (*on_chain)(const struct ruleset_chain *chain, void *arg),
		 void (*on_rule)(const struct ruleset_rule *rule, void *arg), void *arg);
/* Runs nft(8) commands as one transaction. 0 or -errno with why, unless that is NULL. */
int ruleset_change(const char *commands, char why[RULESET_WHY_MAX]);

#endif
