/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A histogram of times between 0 and two minutes: eight buckets to each power of two of
 * microseconds, so that a quantile is right to an eighth. Counting is one addition; one writer,
 * any number of readers. Pure.
 */
#ifndef SLUICE_LATENCY_H
#define SLUICE_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS 200

struct latency {
	uint64_t count[LATENCY_BUCKETS];
	uint64_t sum_us;
};

/* The bucket of a time; what is longer than all goes into the last one. */
unsigned latency_bucket(uint64_t us);
/* The first time that no longer belongs to a bucket. */
uint64_t latency_bound_us(unsigned bucket);
/* Adds what part holds now, also while its writer goes on. */
void latency_add(struct latency *sum, const struct latency *part);
uint64_t latency_total(const struct latency *latency);
/* The time within which permille of 1000 were done, rounded up; 0 when there were none. */
uint64_t latency_quantile_us(const struct latency *latency, unsigned permille);

#endif
