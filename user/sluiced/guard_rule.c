/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rate between two looks decides; nothing else is remembered but since when it is quiet.
 */
#include "guard_rule.h"

#include <string.h>

enum guard_rule_action guard_rule_look(const struct guard_rule *rule, struct guard_watch *watch,
				       bool raised, uint64_t drops, uint64_t now_ms)
{
	uint64_t before = watch->drops, since = watch->looked_ms;
	bool first = since == 0;

	if (now_ms == since)
		return GUARD_RULE_STAY;
	watch->drops = drops;
	watch->looked_ms = now_ms;
	/* Counters start anew when an interface is attached again. */
	watch->rate = first || drops < before ? 0 : (drops - before) * 1000 / (now_ms - since);
	if (first)
		return GUARD_RULE_STAY;
	if (!raised) {
		watch->quiet_since_ms = 0;
		return watch->rate > rule->raise_drops ? GUARD_RULE_RAISE : GUARD_RULE_STAY;
	}
	if (watch->rate > rule->raise_drops / 10) {
		watch->quiet_since_ms = 0;
		return GUARD_RULE_STAY;
	}
	if (!watch->quiet_since_ms)
		watch->quiet_since_ms = since;
	if (now_ms - watch->quiet_since_ms < rule->quiet_ms)
		return GUARD_RULE_STAY;
	watch->quiet_since_ms = 0;
	return GUARD_RULE_LOWER;
}

bool guard_rule_native(const char *kind)
{
	return strcmp(kind, "veth") != 0 && strcmp(kind, "bond") != 0;
}
