/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting without sleep, where it pays. A processor that has gone to sleep takes its time to wake,
 * in a virtual machine several microseconds, and a request from one VM alone waits for that
 * twice. While a single connection asks again and again, and its events come within busy_poll,
 * the worker looks at the ring for so long before it sleeps. It stops as soon as one event takes
 * longer, another connection has one, or somebody else wants the processor. (The kernel's
 * drivers/cpuidle/governors/haltpoll.c does the same for a guest's idle loop.)
 */
#ifndef SLUICE_RELAY_SPIN_H
#define SLUICE_RELAY_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct ring;

#define SPIN_NOBODY UINT32_MAX /* no connection, or several */

struct spin {
	uint32_t slot;	    /* the connection that the last event was of */
	unsigned streak;    /* so many events in a row were its own, and none took long */
	int64_t waits_ns;   /* CLOCK_MONOTONIC when the present wait began; 0: nobody asks */
	int64_t shunned_ms; /* not before: the processor was wanted */
};

void spin_init(struct spin *spin);
/* A wait for events begins. */
void spin_wait(struct spin *spin);
/* It has ended; all its events were of slot's connection, or slot is SPIN_NOBODY. */
void spin_came(struct spin *spin, uint32_t slot, uint32_t window_us);
bool spin_pays(const struct spin *spin, int64_t now_ms);
/* Looks at the ring for up to window_us. True when it has something. */
bool spin_run(struct spin *spin, const struct ring *ring, uint32_t window_us, int64_t now_ms);

#endif
