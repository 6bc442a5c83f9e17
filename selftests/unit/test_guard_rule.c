/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When "guard: auto" raises XDP and when it lowers it: a table of looks at a drop counter.
 */
#include "../../user/sluiced/guard_rule.h"
#include "unit.h"

#define STAY  GUARD_RULE_STAY
#define RAISE GUARD_RULE_RAISE
#define LOWER GUARD_RULE_LOWER

struct look {
	uint64_t at_ms, drops;
	enum guard_rule_action want;
};

#define LOOKS_MAX 12

/* 20,000 drops a second raise; 2,000 or less for 1 s lower. */
static const struct guard_rule rule = { .raise_drops = 20000, .quiet_ms = 1000 };

static const struct {
	const char *name;
	struct look looks[LOOKS_MAX];
} cases[] = {
	{ "a count from before the first look says nothing", { { 1000, 9999999, STAY } } },
	{ "a flood raises at the next look", { { 1000, 0, STAY }, { 1250, 6000, RAISE } } },
	{ "exactly the limit does not", { { 1000, 0, STAY }, { 1250, 5000, STAY } } },
	{ "the rate counts, not the number",
	  { { 1000, 0, STAY }, { 11000, 100000, STAY }, { 11250, 110000, RAISE } } },
	{ "two looks in one millisecond", { { 1000, 0, STAY }, { 1000, 90000, STAY } } },
	{ "counters that start anew are no flood",
	  { { 1000, 900000, STAY }, { 1250, 10, STAY }, { 1500, 20, STAY } } },
	{ "quiet for long enough lowers",
	  { { 1000, 0, STAY },
	    { 1250, 10000, RAISE },
	    { 1500, 20000, STAY },
	    { 1750, 20000, STAY },
	    { 2000, 20000, STAY },
	    { 2250, 20000, STAY },
	    { 2500, 20000, LOWER },
	    { 2750, 20000, STAY } } },
	{ "a tenth is still quiet, more is not",
	  { { 1000, 0, STAY },
	    { 1250, 10000, RAISE },
	    { 1500, 10500, STAY },
	    { 1750, 11000, STAY },
	    { 2000, 11501, STAY },
	    { 2250, 11501, STAY },
	    { 2500, 11501, STAY },
	    { 2750, 11501, STAY },
	    { 3000, 11501, LOWER } } },
	{ "it may be raised again",
	  { { 1000, 0, STAY },
	    { 1250, 10000, RAISE },
	    { 2250, 10000, LOWER },
	    { 2500, 20000, RAISE } } },
};

static void test_looks(void)
{
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct guard_watch watch = { 0 };
		bool raised = false;

		unit_case = cases[c].name;
		for (int i = 0; i < LOOKS_MAX && cases[c].looks[i].at_ms; i++) {
			const struct look *look = &cases[c].looks[i];
			enum guard_rule_action got =
				guard_rule_look(&rule, &watch, raised, look->drops, look->at_ms);

			CHECK_THAT(got == look->want, "look %d: got %d, want %d", i, got,
				   look->want);
			raised = got == RAISE || (raised && got != LOWER);
		}
	}
}

static void test_native(void)
{
	unit_case = "native XDP";
	CHECK(!guard_rule_native("veth"));
	CHECK(!guard_rule_native("bond"));
	CHECK(guard_rule_native("tun"));
	CHECK(guard_rule_native(""));
}

int main(void)
{
	test_looks();
	test_native();
	return unit_end();
}
