/* SPDX-License-Identifier: BSD-2-Clause */
#include "spin.h"

#include <time.h>

#include "ring.h"

/* One request has two waits: its answer, and the next request. */
#define STREAK_LEAST 8
/* A look takes a microsecond at most; who misses so much was not running. */
#define GAP_NS	20000
#define SHUN_MS 10
#define LOOKS	16

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Leaves the core to its sibling meanwhile. */
static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

void spin_init(struct spin *spin)
{
	*spin = (struct spin){ .slot = SPIN_NOBODY };
}

void spin_wait(struct spin *spin)
{
	spin->waits_ns = spin->slot == SPIN_NOBODY ? 0 : now_ns();
}

void spin_came(struct spin *spin, uint32_t slot, uint32_t window_us)
{
	if (slot == SPIN_NOBODY || slot != spin->slot || !spin->waits_ns ||
	    now_ns() - spin->waits_ns > window_us * INT64_C(1000))
		spin->streak = 0;
	else if (spin->streak < STREAK_LEAST)
		spin->streak++;
	spin->slot = slot;
}

bool spin_pays(const struct spin *spin, int64_t now_ms)
{
	return spin->streak >= STREAK_LEAST && now_ms >= spin->shunned_ms;
}

bool spin_run(struct spin *spin, const struct ring *ring, uint32_t window_us, int64_t now_ms)
{
	int64_t last = now_ns(), until = last + window_us * INT64_C(1000), now;

	while (last < until) {
		for (int i = 0; i < LOOKS; i++) {
			if (!ring_quiet(ring))
				return true;
			relax();
		}
		now = now_ns();
		if (now - last > GAP_NS) {
			spin->shunned_ms = now_ms + SHUN_MS;
			return false;
		}
		last = now;
	}
	return false;
}
