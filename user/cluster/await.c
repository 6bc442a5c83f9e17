/* SPDX-License-Identifier: BSD-2-Clause */
/* A command that waits for what the server hears of agents. */
#include <time.h>

#include "../lib/clock.h"
#include "state.h"

#define LOOK_MS 100

int state_await_none(struct state *state, unsigned seconds, const char *sql, int64_t value)
{
	struct timespec pause = { 0, LOOK_MS * 1000000 };
	struct awake awake = { 0 };
	int64_t left = 0, deadline = awake_ms(&awake, state_ticks(), LOOK_MS) + seconds * 1000LL;
	int err;

	for (;;) {
		err = state_number(state, &left, sql, "i", value);
		if (err || !left || awake_ms(&awake, state_ticks(), LOOK_MS) >= deadline)
			return err;
		nanosleep(&pause, NULL);
	}
}
