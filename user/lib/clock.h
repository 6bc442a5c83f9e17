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

#endif
