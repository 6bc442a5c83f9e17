/* SPDX-License-Identifier: BSD-2-Clause */
/* Milliseconds: CLOCK_MONOTONIC for spans, CLOCK_REALTIME for what is written down. */
#ifndef SLUICE_CLOCK_H
#define SLUICE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define AWAKE_LATE_MS 1000 /* what a look may come late, or take, and is counted all the same */

/*
 * A clock that does not count what this machine or process stood still, for deadlines of others:
 * who had no processor, or slept, has heard nothing, and nobody was silent. Zeroed, it begins.
 */
struct awake {
	int64_t looked, lost;
};

/*
 * clock, which is looked at every `most` ms, without what it went on by more than that between two
 * looks. However rare the looks, each counts, so that what is awaited in vain does end.
 */
static inline int64_t awake_ms(struct awake *awake, int64_t clock, int64_t most)
{
	int64_t late = awake->looked ? clock - awake->looked - most - AWAKE_LATE_MS : 0;

	awake->lost += late > 0 ? late : 0;
	awake->looked = clock;
	return clock - awake->lost;
}

#endif
