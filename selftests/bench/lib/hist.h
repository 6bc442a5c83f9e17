/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A latency histogram: log-linear buckets, 128 to a power of two, so a value read back is
 * within 1 % of the one recorded. Fixed size, no allocation; times are nanoseconds.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 7
#define HIST_SUB      (1u << HIST_SUB_BITS)
#define HIST_OCTAVES  34 /* up to 2^40 ns, 18 minutes; longer counts as that */

struct hist {
	uint64_t count;
	uint64_t max;
	uint64_t bucket[(HIST_OCTAVES + 1) * HIST_SUB];
};

void hist_reset(struct hist *hist);
void hist_add(struct hist *hist, uint64_t ns);
/* The value below which share (0..1) of the records lie, in ns; 0 when there is none. */
uint64_t hist_quantile(const struct hist *hist, double share);

#endif
