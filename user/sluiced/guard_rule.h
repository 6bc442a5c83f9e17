/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When to raise and when to lower: drop counts and times in, a decision out. Pure.
 */
#ifndef SLUICE_SLUICED_GUARD_RULE_H
#define SLUICE_SLUICED_GUARD_RULE_H

#include <stdbool.h>
#include <stdint.h>

struct guard_rule {
	uint32_t raise_drops; /* drops per second that raise */
	uint32_t quiet_ms;    /* below a tenth of that for so long lowers */
};

/* What is remembered of one interface; starts zeroed. */
struct guard_watch {
	uint64_t drops, looked_ms; /* at the last look */
	uint64_t rate;		   /* drops per second between the last two looks */
	uint64_t quiet_since_ms;   /* 0: not quiet */
};

enum guard_rule_action { GUARD_RULE_STAY, GUARD_RULE_RAISE, GUARD_RULE_LOWER };

/* drops is the interface's total so far; looks may come at any pace. */
enum guard_rule_action guard_rule_look(const struct guard_rule *rule, struct guard_watch *watch,
				       bool raised, uint64_t drops, uint64_t now_ms);

/* May auto use native XDP on such an interface? Not on a veth: its peer loses segmentation
 * offload, and the tenant's other uploads fall to a quarter (measured). Not on a bond: there the
 * program runs on its members, under whose indexes no policy is known. */
bool guard_rule_native(const char *kind);

#endif
