/* SPDX-License-Identifier: BSD-2-Clause */
/* When it pays to wait awake: one connection alone, whose events come soon. */
#include <time.h>

#include "../../user/relay/spin.h"
#include "unit.h"

#define WINDOW_US 1000000000 /* so long that no pause of this process is late */

static void events(struct spin *spin, uint32_t slot, unsigned count, uint32_t window_us)
{
	while (count--) {
		spin_wait(spin);
		spin_came(spin, slot, window_us);
	}
}

static void test_alone(void)
{
	struct spin spin;

	spin_init(&spin);
	CHECK(!spin_pays(&spin, 1000));
	events(&spin, 7, 8, WINDOW_US);
	CHECK(!spin_pays(&spin, 1000));
	events(&spin, 7, 1, WINDOW_US);
	CHECK(spin_pays(&spin, 1000));
	events(&spin, 7, 100, WINDOW_US);
	CHECK(spin_pays(&spin, 1000));
}

static void test_others(void)
{
	struct spin spin;

	spin_init(&spin);
	events(&spin, 7, 20, WINDOW_US);
	events(&spin, 8, 1, WINDOW_US);
	CHECK(!spin_pays(&spin, 1000));
	events(&spin, 8, 8, WINDOW_US);
	CHECK(spin_pays(&spin, 1000));
	events(&spin, SPIN_NOBODY, 1, WINDOW_US);
	CHECK(!spin_pays(&spin, 1000));
	for (unsigned i = 0; i < 50; i++)
		events(&spin, i % 2, 1, WINDOW_US);
	CHECK(!spin_pays(&spin, 1000));
	events(&spin, SPIN_NOBODY, 50, WINDOW_US);
	CHECK(!spin_pays(&spin, 1000));
}

static void test_late(void)
{
	static const struct timespec nap = { .tv_nsec = 2000000 };
	struct spin spin;

	spin_init(&spin);
	events(&spin, 7, 20, WINDOW_US);
	spin_wait(&spin);
	nanosleep(&nap, NULL);
	spin_came(&spin, 7, 1000);
	CHECK(!spin_pays(&spin, 1000));
}

/* Somebody else had the processor. */
static void test_shunned(void)
{
	struct spin spin;

	spin_init(&spin);
	events(&spin, 7, 20, WINDOW_US);
	spin.shunned_ms = 1010;
	CHECK(!spin_pays(&spin, 1009));
	CHECK(spin_pays(&spin, 1010));
}

int main(void)
{
	test_alone();
	test_others();
	test_late();
	test_shunned();
	return unit_end();
}
