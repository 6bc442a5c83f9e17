/* SPDX-License-Identifier: BSD-2-Clause */
/* Histograms of times: bucket borders, quantiles, sums. */
#include <string.h>

#include "../../user/lib/latency.h"
#include "unit.h"

static void test_borders(void)
{
	uint64_t bound = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		CHECK(latency_bucket(bound) == i);
		CHECK(latency_bound_us(i) > bound);
		CHECK(latency_bucket(latency_bound_us(i) - 1) == i);
		/* Right to an eighth. */
		CHECK(latency_bound_us(i) - bound <= bound / 8 + 1);
		bound = latency_bound_us(i);
	}
	CHECK(bound > 120 * 1000000ull);
	CHECK(latency_bucket(UINT64_MAX) == LATENCY_BUCKETS - 1);
}

static void test_quantiles(void)
{
	struct latency one = { 0 }, sum = { 0 };

	CHECK(latency_quantile_us(&one, 990) == 0);
	for (unsigned us = 0; us < 1000; us++) {
		one.count[latency_bucket(us)]++;
		one.sum_us += us;
	}
	latency_add(&sum, &one);
	CHECK(latency_total(&sum) == 1000 && sum.sum_us == 499500);
	CHECK(latency_quantile_us(&sum, 500) >= 500 && latency_quantile_us(&sum, 500) <= 563);
	CHECK(latency_quantile_us(&sum, 990) >= 990 && latency_quantile_us(&sum, 990) <= 1114);
	CHECK(latency_quantile_us(&sum, 1000) >= 1000);
	CHECK(latency_quantile_us(&sum, 0) == 1);
	memset(&one, 0, sizeof(one));
	one.count[LATENCY_BUCKETS - 1] = UINT64_MAX / 2;
	CHECK(latency_quantile_us(&one, 990) == latency_bound_us(LATENCY_BUCKETS - 1));
}

int main(void)
{
	test_borders();
	test_quantiles();
	return unit_end();
}
