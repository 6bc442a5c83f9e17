/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tenant's counters in words: what bpf/abi.h calls the fields and says about them.
 * All take the "verdicts" or "relay" object of a tenant (docs/control.md).
 */
#ifndef SLUICE_COUNTERS_H
#define SLUICE_COUNTERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counter {
	const char *field;
	const char *text;
	bool drop; /* verdicts only */
};

extern const struct counter verdict_counters[];
extern const size_t verdict_counters_count;
extern const struct counter relay_counters[];
extern const size_t relay_counters_count;

/* Packets handed to the relay: new and established connections. */
uint64_t verdicts_steered(const json_t *verdicts);
uint64_t verdicts_dropped(const json_t *verdicts);
/* "syn_budget 12.3k, bad_port 4": the largest reasons, or "". */
void verdicts_top_drops(const json_t *verdicts, char *ret, size_t cap);
/* "inline 3.1 GiB, copied 12.0 KiB": who moved bodies, or "". */
void relay_engines(const json_t *relay, char *ret, size_t cap);

#endif
