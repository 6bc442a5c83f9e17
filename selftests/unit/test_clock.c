/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock that does not count a standstill: looks at a clock that is given here. */
#include "../../user/lib/clock.h"
#include "unit.h"

#define LOOK_MS 200

static void test_awake(void)
{
	static const struct {
		const char *name;
		int64_t passed, counted; /* ms since the look before */
	} cases[] = {
		{ "in time", LOOK_MS, LOOK_MS },
		{ "at once", 0, 0 },
		{ "a little late", LOOK_MS + AWAKE_LATE_MS, LOOK_MS + AWAKE_LATE_MS },
		{ "late by a millisecond more", LOOK_MS + AWAKE_LATE_MS + 1,
		  LOOK_MS + AWAKE_LATE_MS },
		{ "half a minute", 30000, LOOK_MS + AWAKE_LATE_MS },
		{ "in time after that", LOOK_MS, LOOK_MS },
		{ "a day", 86400000, LOOK_MS + AWAKE_LATE_MS },
		{ "in time again", LOOK_MS, LOOK_MS },
	};
	struct awake awake = { 0 };
	int64_t clock = 5000000, before, now;

	unit_case = "the first look";
	before = awake_ms(&awake, clock, LOOK_MS);
	CHECK(before == clock);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unit_case = cases[i].name;
		clock += cases[i].passed;
		now = awake_ms(&awake, clock, LOOK_MS);
		CHECK_THAT(now - before == cases[i].counted, "%lld ms counted",
			   (long long)(now - before));
		before = now;
	}
}

int main(void)
{
	test_awake();
	return unit_end();
}
