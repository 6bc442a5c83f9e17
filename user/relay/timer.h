/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timeouts, to within TIMER_TICK_MS. One timer wheel for the worker; moving a deadline
 * to later only writes a number, and the timer is put where it belongs when the wheel
 * comes past it. Times are milliseconds of the worker's clock (now_ms in relay.h).
 */
#ifndef SLUICE_RELAY_TIMER_H
#define SLUICE_RELAY_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_TICK_MS 64
#define TIMER_SLOTS   1024

struct timer {
	struct timer *prev, *next; /* NULL while not in the wheel */
	int64_t deadline_ms;	   /* INT64_MAX: none */
	int64_t tick;		   /* where in the wheel */
};

struct timer_wheel {
	struct timer slots[TIMER_SLOTS]; /* heads of rings */
	uint64_t used[TIMER_SLOTS / 64]; /* slots that may hold timers */
	int64_t tick;			 /* everything up to here has been looked at */
};

typedef void timer_fn(void *context, struct timer *timer);

int64_t timer_now_ms(void);
void timer_wheel_init(struct timer_wheel *wheel, int64_t now_ms);
/* (Re)arms. A timer must be zeroed before its first use. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, int64_t deadline_ms);
/* Takes a timer out of the wheel; harmless when it is not in it. */
void timer_remove(struct timer *timer);
/* Calls expired for every timer whose deadline has passed; it may set or remove any timer. */
void timer_run(struct timer_wheel *wheel, int64_t now_ms, timer_fn *expired, void *context);
/* Milliseconds until timer_run() may have something to do, at most limit_ms. */
uint32_t timer_next_ms(const struct timer_wheel *wheel, int64_t now_ms, uint32_t limit_ms);

#endif
