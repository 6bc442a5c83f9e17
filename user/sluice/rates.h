/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What "sluice top" shows: differences of two answers to command "top" (docs/control.md), as
 * rates of each tenant. Pure.
 */
#ifndef SLUICE_RATES_H
#define SLUICE_RATES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rates_sort {
	RATES_NAME,
	RATES_REQUESTS,
	RATES_ERRORS,
	RATES_BYTES,
	RATES_DROPS,
	RATES_OPEN,
	RATES_P99,
	RATES_SORTS,
};

struct rate {
	const char *name, *state, *guard; /* in the later answer */
	uint64_t open, p99_us;		  /* p99_us 0: no response in the interval */
	double requests, errors, bytes, drops;
};

struct rates {
	struct rate *rate;
	size_t count;
	double seconds; /* between the two */
	struct rate sum;
};

/*
 * before may be NULL: all rates are then 0. What a tenant counts anew, because it or the daemon
 * is another one, counts from 0. 0 or -ENOMEM; rates_free() in any case.
 */
int rates_compute(const json_t *before, const json_t *after, struct rates *ret);
void rates_free(struct rates *rates);
/* The busiest first, names from a to z; equal ones by name. */
void rates_order(struct rates *rates, enum rates_sort sort, bool reverse);
/* "requests", …; -1 for another word. */
extern const char *const rates_sort_words[RATES_SORTS + 1];

#endif
