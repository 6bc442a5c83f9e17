/* SPDX-License-Identifier: BSD-2-Clause */
#include "measure.h"

#include <time.h>

#include "relay.h"

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

void measure_begin(struct conn *conn)
{
	conn->began_us = now_us();
}

void measure_answered(struct relay *relay, struct conn *conn)
{
	struct latency *latency;
	int64_t took;

	/* The half of a stream bridge that has the client measures. */
	if (!conn->began_us || conn->client_stats == &relay->unseen || !relay->latency)
		return;
	took = now_us() - conn->began_us;
	conn->began_us = 0;
	latency = &relay->latency[conn->stats_slot];
	latency->count[latency_bucket(took > 0 ? (uint64_t)took : 0)]++;
	latency->sum_us += took > 0 ? (uint64_t)took : 0;
}
