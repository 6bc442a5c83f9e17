/* SPDX-License-Identifier: BSD-2-Clause */
#include "timer.h"

#include <stddef.h>
#include <time.h>

#include "../lib/clock.h"

int64_t timer_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

void timer_wheel_init(struct timer_wheel *wheel, int64_t now_ms)
{
	*wheel = (struct timer_wheel){ .tick = now_ms / TIMER_TICK_MS };
	for (unsigned i = 0; i < TIMER_SLOTS; i++)
		wheel->slots[i].prev = wheel->slots[i].next = &wheel->slots[i];
}

static void link_timer(struct timer_wheel *wheel, struct timer *timer)
{
	/* Rounded up: a timer never fires early. */
	int64_t tick = timer->deadline_ms / TIMER_TICK_MS + 1;
	unsigned slot;
	struct timer *head;

	if (tick <= wheel->tick)
		tick = wheel->tick + 1;
	if (tick >= wheel->tick + TIMER_SLOTS)
		tick = wheel->tick + TIMER_SLOTS - 1; /* looked at again when that comes */
	slot = (unsigned)(tick % TIMER_SLOTS);
	head = &wheel->slots[slot];
	timer->tick = tick;
	timer->prev = head->prev;
	timer->next = head;
	head->prev->next = timer;
	head->prev = timer;
	wheel->used[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void timer_remove(struct timer *timer)
{
	if (!timer->next)
		return;
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	timer->prev = timer->next = NULL;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, int64_t deadline_ms)
{
	timer->deadline_ms = deadline_ms;
	if (timer->next && deadline_ms / TIMER_TICK_MS + 1 >= timer->tick)
		return;
	timer_remove(timer);
	if (deadline_ms != INT64_MAX)
		link_timer(wheel, timer);
}

static void run_slot(struct timer_wheel *wheel, unsigned slot, int64_t now_ms, timer_fn *expired,
		     void *context)
{
	struct timer *head = &wheel->slots[slot], due;

	wheel->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	if (head->next == head)
		return;
	/* The ring moves to a head of its own: timers set meanwhile join the wheel, not it. */
	due = *head;
	due.next->prev = due.prev->next = &due;
	head->prev = head->next = head;
	while (due.next != &due) {
		struct timer *timer = due.next;

		timer_remove(timer);
		if (timer->deadline_ms <= now_ms)
			expired(context, timer);
		else if (timer->deadline_ms != INT64_MAX)
			link_timer(wheel, timer);
	}
}

void timer_run(struct timer_wheel *wheel, int64_t now_ms, timer_fn *expired, void *context)
{
	int64_t until = now_ms / TIMER_TICK_MS;

	/* After a long stop (a suspended machine) once around is enough. */
	if (until - wheel->tick > TIMER_SLOTS)
		wheel->tick = until - TIMER_SLOTS;
	while (wheel->tick < until) {
		wheel->tick++;
		run_slot(wheel, (unsigned)(wheel->tick % TIMER_SLOTS), now_ms, expired, context);
	}
}

uint32_t timer_next_ms(const struct timer_wheel *wheel, int64_t now_ms, uint32_t limit_ms)
{
	int64_t due;

	for (int64_t tick = wheel->tick + 1; tick < wheel->tick + TIMER_SLOTS; tick++) {
		unsigned slot = (unsigned)(tick % TIMER_SLOTS);

		if (wheel->used[slot / 64] == 0) {
			tick += 63 - slot % 64;
			continue;
		}
		due = tick * TIMER_TICK_MS - now_ms;
		if (due >= limit_ms)
			return limit_ms;
		if (wheel->used[slot / 64] & UINT64_C(1) << (slot % 64))
			return due > 0 ? (uint32_t)due : 1;
	}
	return limit_ms;
}
