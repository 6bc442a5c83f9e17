/* SPDX-License-Identifier: BSD-2-Clause */
#include "turns.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define TURNS_UNIT  (64 * 1024)
#define ENOUGH	    8	 /* measured, before anybody counts as slow */
#define SLOW_FACTOR 4	 /* of what a quarter took at most */
#define SLOW_LEAST  100	 /* ms */
#define SLOW_MOST   2000 /* ms for a unit: a link that is this slow is nobody's fault */
#define NOT_FOUND   SIZE_MAX

void turns_init(struct turns *turns, unsigned at_once)
{
	memset(turns, 0, sizeof(*turns));
	pthread_mutex_init(&turns->lock, NULL);
	turns->at_once = at_once;
}

void turns_allow(struct turns *turns, unsigned at_once, size_t receivers)
{
	pthread_mutex_lock(&turns->lock);
	turns->at_once = receivers > TURNS_FEW ? at_once : UINT_MAX;
	pthread_mutex_unlock(&turns->lock);
}

/* ---- who was served when ---- */

static size_t find(const struct turns *turns, const char *who)
{
	for (size_t i = 0; i < TURNS_KNOWN; i++)
		if (!strcmp(turns->known[i].who, who))
			return i;
	return NOT_FOUND;
}

static int64_t served(const struct turns *turns, const char *who)
{
	size_t at = find(turns, who);

	return at == NOT_FOUND ? -1 : turns->known[at].served;
}

/* In the place of who was served longest ago, when nobody knows it. */
static void remember(struct turns *turns, const char *who, int64_t now)
{
	size_t at = find(turns, who);

	if (at == NOT_FOUND) {
		at = 0;
		for (size_t i = 1; i < TURNS_KNOWN; i++)
			if (turns->known[i].served < turns->known[at].served)
				at = i;
		snprintf(turns->known[at].who, sizeof(turns->known[at].who), "%s", who);
	}
	turns->known[at].served = now;
}

/* ---- what is slow ---- */

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint64_t units(uint32_t bytes)
{
	return 1 + (uint64_t)bytes / TURNS_UNIT;
}

/* So long a transfer of so many bytes counts. */
static int64_t patience(const struct turns *turns, uint32_t bytes)
{
	uint64_t most = SLOW_MOST * units(bytes), wanted = most;
	size_t count = turns->measured < TURNS_MEASURED ? turns->measured : TURNS_MEASURED;
	uint32_t sorted[TURNS_MEASURED];

	if (count >= ENOUGH) {
		memcpy(sorted, turns->took, sizeof(sorted));
		qsort(sorted, count, sizeof(*sorted), compare);
		wanted = (uint64_t)sorted[count / 4] * SLOW_FACTOR * units(bytes);
	}
	if (wanted < SLOW_LEAST)
		return SLOW_LEAST;
	return (int64_t)(wanted < most ? wanted : most);
}

static void measure(struct turns *turns, const struct turn *turn, int64_t now)
{
	uint64_t took = (uint64_t)(now - turn->begun) / units(turn->bytes);

	/* What is small fits into the sender's buffers. */
	if (turn->bytes >= TURNS_UNIT)
		turns->took[turns->measured++ % TURNS_MEASURED] =
			took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

static void pass_over_slow(struct turns *turns, int64_t now)
{
	for (struct turn *turn = turns->running; turn; turn = turn->next)
		if (turn->counts && now - turn->begun > patience(turns, turn->bytes)) {
			turn->counts = false;
			turns->counting--;
		}
}

/* ---- turns ---- */

static void unlink_turn(struct turn **list, const struct turn *turn)
{
	while (*list && *list != turn)
		list = &(*list)->next;
	if (*list)
		*list = turn->next;
}

void turns_ask(struct turns *turns, struct turn *turn, const char *who, uint32_t bytes, int64_t now)
{
	snprintf(turn->who, sizeof(turn->who), "%s", who);
	turn->bytes = bytes;
	turn->asked = now;
	turn->last = served(turns, who);
	turn->given = turn->counts = false;
	turn->next = turns->waiting;
	turns->waiting = turn;
}

static bool is_before(const struct turn *a, const struct turn *b)
{
	return a->last < b->last || (a->last == b->last && a->asked < b->asked);
}

/* Who asks each of its sources for one piece at a time needs no second turn. */
static bool has_turn(const struct turns *turns, const char *who)
{
	for (const struct turn *turn = turns->running; turn; turn = turn->next)
		if (turn->counts && !strcmp(turn->who, who))
			return true;
	return false;
}

struct turn *turns_next(struct turns *turns, int64_t now)
{
	bool few = turns->at_once == UINT_MAX;
	struct turn *best = NULL;

	if (!turns->waiting)
		return NULL;
	pass_over_slow(turns, now);
	if (turns->counting >= turns->at_once)
		return NULL;
	for (struct turn *turn = turns->waiting; turn; turn = turn->next)
		if ((!best || is_before(turn, best)) && (few || !has_turn(turns, turn->who)))
			best = turn;
	if (!best)
		return NULL;
	unlink_turn(&turns->waiting, best);
	for (struct turn *turn = turns->waiting; turn; turn = turn->next)
		if (!strcmp(turn->who, best->who))
			turn->last = now;
	best->next = turns->running;
	turns->running = best;
	best->given = best->counts = true;
	best->begun = now;
	turns->counting++;
	remember(turns, best->who, now);
	return best;
}

void turns_end(struct turns *turns, struct turn *turn, bool whole, int64_t now)
{
	unlink_turn(turn->given ? &turns->running : &turns->waiting, turn);
	turns->counting -= turn->counts;
	if (turn->given && whole)
		measure(turns, turn, now);
}

/* ---- for threads ---- */

static void give(struct turns *turns)
{
	struct turn *turn;

	while ((turn = turns_next(turns, clock_ms(CLOCK_MONOTONIC))))
		pthread_cond_signal(&turn->wake);
}

bool turns_take(struct turns *turns, struct turn *turn, const char *who, uint32_t bytes,
		unsigned milliseconds)
{
	int64_t now = clock_ms(CLOCK_MONOTONIC), until = now + milliseconds;
	struct timespec deadline = { until / 1000, until % 1000 * 1000000 };
	pthread_condattr_t clock;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&turn->wake, &clock);
	pthread_condattr_destroy(&clock);
	pthread_mutex_lock(&turns->lock);
	turns_ask(turns, turn, who, bytes, now);
	give(turns);
	while (!turn->given && !pthread_cond_timedwait(&turn->wake, &turns->lock, &deadline))
		;
	/* Who waits looks whether somebody has become slow. */
	give(turns);
	if (!turn->given)
		turns_end(turns, turn, false, now);
	pthread_mutex_unlock(&turns->lock);
	if (!turn->given)
		pthread_cond_destroy(&turn->wake);
	return turn->given;
}

void turns_leave(struct turns *turns, struct turn *turn, bool whole)
{
	pthread_mutex_lock(&turns->lock);
	turns_end(turns, turn, whole, clock_ms(CLOCK_MONOTONIC));
	give(turns);
	pthread_mutex_unlock(&turns->lock);
	pthread_cond_destroy(&turn->wake);
}
