/* SPDX-License-Identifier: BSD-2-Clause */
#include "rates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/latency.h"
#include "render.h"

const char *const rates_sort_words[RATES_SORTS + 1] = {
	"name", "requests", "errors", "bytes", "drops", "open", "p99", NULL,
};

static void add_buckets(struct latency *latency, const json_t *list)
{
	json_t *pair;
	size_t i;

	json_array_foreach (list, i, pair) {
		json_int_t bucket = json_integer_value(json_array_get(pair, 0));
		json_int_t count = json_integer_value(json_array_get(pair, 1));

		if (bucket >= 0 && bucket < LATENCY_BUCKETS && count > 0)
			latency->count[bucket] += (uint64_t)count;
	}
}

/* Counters that went back began anew. */
static uint64_t risen(uint64_t before, uint64_t after)
{
	return after >= before ? after - before : after;
}

static double rate_of(const json_t *before, const json_t *after, const char *field, double seconds)
{
	uint64_t diff = risen(json_number(before, field), json_number(after, field));

	return before && seconds > 0 ? (double)diff / seconds : 0;
}

static void responses_between(const json_t *before, const json_t *after, struct latency *ret)
{
	struct latency old = { 0 };

	memset(ret, 0, sizeof(*ret));
	add_buckets(ret, json_object_get(after, "latency"));
	add_buckets(&old, json_object_get(before, "latency"));
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		ret->count[i] = risen(old.count[i], ret->count[i]);
}

static void compute_one(const json_t *before, const json_t *after, double seconds,
			struct latency *all, struct rate *ret)
{
	struct latency latency = { 0 };

	if (before)
		responses_between(before, after, &latency);
	latency_add(all, &latency);
	*ret = (struct rate){
		.name = json_text(after, "name"),
		.state = json_text(after, "state"),
		.guard = json_text(after, "guard"),
		.open = json_number(after, "open"),
		.p99_us = latency_quantile_us(&latency, 990),
		.requests = rate_of(before, after, "requests", seconds),
		.errors = rate_of(before, after, "responses_5xx", seconds),
		.bytes = rate_of(before, after, "bytes_to_client", seconds) +
			 rate_of(before, after, "bytes_from_client", seconds),
		.drops = rate_of(before, after, "drops", seconds),
	};
}

static void add_to_sum(struct rate *sum, const struct rate *rate)
{
	sum->open += rate->open;
	sum->requests += rate->requests;
	sum->errors += rate->errors;
	sum->bytes += rate->bytes;
	sum->drops += rate->drops;
}

/* By id, which no two tenants of one daemon share. */
static json_t *by_id(const json_t *answer)
{
	json_t *map = json_object(), *tenant;
	char key[32];
	size_t i;

	json_array_foreach (json_object_get(answer, "tenants"), i, tenant) {
		snprintf(key, sizeof(key), "%llu", (unsigned long long)json_number(tenant, "id"));
		json_object_set(map, key, tenant);
	}
	return map;
}

int rates_compute(const json_t *before, const json_t *after, struct rates *ret)
{
	json_t *tenants = json_object_get(after, "tenants"), *tenant, *known = by_id(before);
	struct latency all = { 0 };
	char key[32];
	size_t i;

	*ret = (struct rates){ .sum.name = "all", .sum.state = "", .sum.guard = "" };
	ret->rate = calloc(json_array_size(tenants) + 1, sizeof(*ret->rate));
	if (!ret->rate || !known) {
		json_decref(known);
		return -ENOMEM;
	}
	if (before && json_number(after, "time_ms") > json_number(before, "time_ms"))
		ret->seconds =
			(double)(json_number(after, "time_ms") - json_number(before, "time_ms")) /
			1000;
	json_array_foreach (tenants, i, tenant) {
		json_t *was;

		snprintf(key, sizeof(key), "%llu", (unsigned long long)json_number(tenant, "id"));
		was = json_object_get(known, key);
		/* Another daemon may give its number to another tenant. */
		if (was && strcmp(json_text(was, "name"), json_text(tenant, "name")) != 0)
			was = NULL;
		compute_one(was, tenant, ret->seconds, &all, &ret->rate[ret->count]);
		add_to_sum(&ret->sum, &ret->rate[ret->count++]);
	}
	ret->sum.p99_us = latency_quantile_us(&all, 990);
	json_decref(known);
	return 0;
}

void rates_free(struct rates *rates)
{
	free(rates->rate);
	rates->rate = NULL;
	rates->count = 0;
}

/* ---- order -------------------------------------------------------------------------------------
 */

static enum rates_sort order;
static bool order_reverse;

static double value_of(const struct rate *rate)
{
	switch (order) {
	case RATES_REQUESTS:
		return rate->requests;
	case RATES_ERRORS:
		return rate->errors;
	case RATES_BYTES:
		return rate->bytes;
	case RATES_DROPS:
		return rate->drops;
	case RATES_OPEN:
		return (double)rate->open;
	case RATES_P99:
		return (double)rate->p99_us;
	case RATES_NAME:
	case RATES_SORTS:
		break;
	}
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct rate *a = left, *b = right;
	double first = value_of(a), second = value_of(b);
	int result = strcmp(a->name, b->name);

	if (first != second)
		result = first > second ? -1 : 1;
	return order_reverse ? -result : result;
}

void rates_order(struct rates *rates, enum rates_sort sort, bool reverse)
{
	order = sort;
	order_reverse = reverse;
	qsort(rates->rate, rates->count, sizeof(*rates->rate), compare);
}
