/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is waited for, and how long: a worker is silent after 5 s and hangs after 30 s of the
 * parent's own time; what the parent stood still itself counts for nobody.
 */
#include "../../user/sluiced/patience.h"
#include "../../user/sluiced/worker.h"
#include "unit.h"

#define NOW 1000000

static const struct {
	const char *name;
	enum worker_state state;
	int64_t started, pulse, drain_by, stood; /* ms before NOW; drain_by: after it */
	bool silent;
	const char *over;
} cases[] = {
	{ "well", WORKER_SERVING, 90000, 900, 0, 0, false, NULL },
	{ "starved", WORKER_SERVING, 90000, 5000, 0, 0, false, NULL },
	{ "starved for long", WORKER_SERVING, 90000, 5001, 0, 0, true, NULL },
	{ "for as long as may be", WORKER_SERVING, 90000, 30000, 0, 0, true, NULL },
	{ "hangs", WORKER_SERVING, 90000, 30001, 0, 0, true, "no pulse" },
	{ "the machine stood", WORKER_SERVING, 90000, 31000, 0, 30000, false, NULL },
	{ "it hung before, too", WORKER_SERVING, 190000, 61000, 0, 30000, true, "no pulse" },
	{ "heard of since", WORKER_SERVING, 90000, 10, 0, 30000, false, NULL },
	{ "starts", WORKER_STARTING, 20000, 20000, 0, 0, false, NULL },
	{ "does not start", WORKER_STARTING, 20001, 20001, 0, 0, false, "not ready in time" },
	{ "starts over a standstill", WORKER_STARTING, 20001, 20001, 0, 5000, false, NULL },
	{ "drains", WORKER_DRAINING, 90000, 900, 60000, 0, false, NULL },
	{ "at its deadline", WORKER_DRAINING, 90000, 900, -2000, 0, false, NULL },
	{ "past it", WORKER_DRAINING, 90000, 900, -2001, 0, false, "past its drain deadline" },
	{ "past it by a standstill", WORKER_DRAINING, 90000, 900, -8000, 8000, false, NULL },
	{ "hangs as it drains", WORKER_DRAINING, 90000, 30001, 60000, 0, true, "no pulse" },
};

/* A drain that was to end now, after a pulse that came gap ms after the one before. */
static const char *over_after(uint64_t gap)
{
	struct worker worker = { .state = WORKER_DRAINING,
				 .pulse_ms = NOW - gap,
				 .drain_by_ms = NOW - 2500 };

	patience_heard(&worker, NOW);
	CHECK(worker.pulse_ms == NOW);
	return patience_over(&worker, NOW);
}

static void test_heard(void)
{
	unit_case = "a pulse";
	CHECK(over_after(1000));
	CHECK(over_after(1999));
	CHECK(!over_after(4000));
}

int main(void)
{
	test_heard();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct worker worker = {
			.state = cases[i].state,
			.started_ms = (uint64_t)(NOW - cases[i].started),
			.pulse_ms = (uint64_t)(NOW - cases[i].pulse),
			.drain_by_ms = (uint64_t)(NOW + cases[i].drain_by),
		};
		const char *over;

		unit_case = cases[i].name;
		if (cases[i].stood)
			patience_lend(&worker, (uint64_t)cases[i].stood, NOW);
		CHECK(worker.pulse_ms <= NOW && worker.started_ms <= NOW);
		CHECK(patience_silent(&worker, NOW) == cases[i].silent);
		over = patience_over(&worker, NOW);
		CHECK_THAT((!over && !cases[i].over) ||
				   (over && cases[i].over && !strcmp(over, cases[i].over)),
			   "is over: %s", over ? over : "no");
	}
	return unit_end();
}
