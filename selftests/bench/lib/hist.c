/* SPDX-License-Identifier: BSD-2-Clause */
/* A log-linear latency histogram; see hist.h. */
#include "hist.h"

#include <string.h>

static unsigned hist_index(uint64_t ns)
{
	unsigned shift;

	if (ns < HIST_SUB)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - HIST_SUB_BITS;
	if (shift >= HIST_OCTAVES)
		return (HIST_OCTAVES + 1) * HIST_SUB - 1;
	return (shift + 1) * HIST_SUB + (unsigned)((ns >> shift) & (HIST_SUB - 1));
}

/* The middle of a bucket. */
static uint64_t hist_value(unsigned index)
{
	unsigned shift;

	if (index < HIST_SUB)
		return index;
	shift = index / HIST_SUB - 1;
	return ((uint64_t)(HIST_SUB + index % HIST_SUB) << shift) + ((UINT64_C(1) << shift) >> 1);
}

void hist_reset(struct hist *hist)
{
	memset(hist, 0, sizeof(*hist));
}

void hist_add(struct hist *hist, uint64_t ns)
{
	hist->count++;
	hist->bucket[hist_index(ns)]++;
	if (ns > hist->max)
		hist->max = ns;
}

uint64_t hist_quantile(const struct hist *hist, double share)
{
	uint64_t rank = (uint64_t)(share * (double)hist->count);
	uint64_t seen = 0;

	if (!hist->count)
		return 0;
	if (rank >= hist->count)
		rank = hist->count - 1;
	for (unsigned i = 0; i < sizeof(hist->bucket) / sizeof(hist->bucket[0]); i++) {
		seen += hist->bucket[i];
		if (seen > rank)
			return hist_value(i);
	}
	return hist->max;
}
