/* SPDX-License-Identifier: BSD-2-Clause */
#include "latency.h"

#define STEP_BITS 3 /* buckets to a power of two: 1 << STEP_BITS */
#define STEPS	  (1u << STEP_BITS)

unsigned latency_bucket(uint64_t us)
{
	unsigned power, bucket;

	if (us < STEPS)
		return (unsigned)us;
	power = 63 - (unsigned)__builtin_clzll(us);
	bucket = (power - STEP_BITS + 1) * STEPS +
		 (unsigned)(us >> (power - STEP_BITS) & (STEPS - 1));
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

uint64_t latency_bound_us(unsigned bucket)
{
	unsigned octave = bucket / STEPS;

	if (!octave)
		return bucket + 1;
	return (uint64_t)(STEPS + bucket % STEPS + 1) << (octave - 1);
}

void latency_add(struct latency *sum, const struct latency *part)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		sum->count[i] += __atomic_load_n(&part->count[i], __ATOMIC_RELAXED);
	sum->sum_us += __atomic_load_n(&part->sum_us, __ATOMIC_RELAXED);
}

uint64_t latency_total(const struct latency *latency)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		total += latency->count[i];
	return total;
}

uint64_t latency_quantile_us(const struct latency *latency, unsigned permille)
{
	uint64_t total = latency_total(latency), seen = 0;
	/* So many of them, rounded up: without a product that could overflow. */
	uint64_t wanted = total / 1000 * permille + (total % 1000 * permille + 999) / 1000;

	for (unsigned i = 0; total && i < LATENCY_BUCKETS; i++) {
		seen += latency->count[i];
		if (seen >= wanted && seen)
			return latency_bound_us(i);
	}
	return 0;
}
