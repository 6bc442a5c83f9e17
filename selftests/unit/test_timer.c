/* SPDX-License-Identifier: BSD-2-Clause */
/* Timeouts of a worker: when they fire, and when not. */
#include "../../user/relay/timer.h"
#include "unit.h"

#define MANY 200

static struct timer timers[MANY];
static int64_t fired_ms[MANY], now_ms;

static void fire(void *context, struct timer *timer)
{
	(*(unsigned *)context)++;
	fired_ms[timer - timers] = now_ms;
}

/* Goes on step by step, as a worker does that sleeps no longer than it is told. */
static unsigned run_until(struct timer_wheel *wheel, int64_t until_ms, uint32_t most_ms)
{
	unsigned fired = 0;

	while (now_ms < until_ms) {
		uint32_t wait = timer_next_ms(wheel, now_ms, most_ms);

		CHECK_THAT(wait >= 1 && wait <= most_ms, "to wait: %u ms", wait);
		now_ms += wait;
		timer_run(wheel, now_ms, fire, &fired);
	}
	return fired;
}

static void begin(const char *name, struct timer_wheel *wheel)
{
	unit_case = name;
	memset(timers, 0, sizeof(timers));
	memset(fired_ms, 0, sizeof(fired_ms));
	now_ms = 123456;
	timer_wheel_init(wheel, now_ms);
}

static void test_due(struct timer_wheel *wheel)
{
	unsigned fired;

	begin("due", wheel);
	for (unsigned i = 0; i < MANY; i++)
		timer_set(wheel, &timers[i], now_ms + 1 + (int64_t)i * i * 7);
	fired = run_until(wheel, 123456 + 300000, 1000);
	CHECK_THAT(fired == MANY, "fired: %u", fired);
	for (unsigned i = 0; i < MANY; i++) {
		int64_t late = fired_ms[i] - timers[i].deadline_ms;

		CHECK_THAT(late >= 0 && late <= 2 * TIMER_TICK_MS, "timer %u: %lld ms late", i,
			   (long long)late);
	}
}

static void test_moved(struct timer_wheel *wheel)
{
	begin("moved, removed", wheel);
	timer_set(wheel, &timers[0], now_ms + 500);
	timer_set(wheel, &timers[0], now_ms + 5000);
	timer_set(wheel, &timers[1], now_ms + 5000);
	timer_set(wheel, &timers[1], now_ms + 500);
	timer_set(wheel, &timers[2], now_ms + 500);
	timer_remove(&timers[2]);
	timer_set(wheel, &timers[3], INT64_MAX);
	CHECK(run_until(wheel, now_ms + 4000, 300) == 1);
	CHECK(fired_ms[1] && !fired_ms[0]);
	CHECK(run_until(wheel, now_ms + 200000, 300) == 1);
	CHECK(fired_ms[0] && !fired_ms[2] && !fired_ms[3]);
}

static void test_long_stop(struct timer_wheel *wheel)
{
	unsigned fired = 0;

	begin("a long stop", wheel);
	for (unsigned i = 0; i < MANY; i++)
		timer_set(wheel, &timers[i], now_ms + 1 + i * 1000);
	now_ms += INT64_C(10) * TIMER_SLOTS * TIMER_TICK_MS;
	timer_run(wheel, now_ms, fire, &fired);
	CHECK_THAT(fired == MANY, "fired: %u", fired);
}

int main(void)
{
	static struct timer_wheel wheel;

	test_due(&wheel);
	test_moved(&wheel);
	test_long_stop(&wheel);
	return unit_end();
}
