/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a command waits for agents: a database and a clock that are played here. */
#include <errno.h>
#include <time.h>

static int play_sleep(const struct timespec *pause, struct timespec *rest);
#define nanosleep play_sleep
#include "../../user/cluster/await.c"
#include "unit.h"

#define NEVER	  INT64_MAX
#define WAIT	  20
#define STATEMENT "SELECT what is left"

static const struct {
	const char *name;
	int64_t answers_at;	   /* ms */
	int64_t stands_at, stands; /* in the pause that is under way then */
	int err;
	int64_t least, most; /* ms that it takes; most: with a pause or two */
	bool answered;
} cases[] = {
	{ "all have answered", 0, NEVER, 0, 0, 0, 0, true },
	{ "the last answers after eight seconds", 8000, NEVER, 0, 0, 8000, 8200, true },
	{ "the last answers late", 19800, NEVER, 0, 0, 19800, 20000, true },
	{ "one never answers", NEVER, NEVER, 0, 0, 20000, 20200, false },
	{ "all stand for a minute, then it answers", 63000, 1000, 60000, 0, 63000, 63200, true },
	{ "all stand for a minute, and it never answers", NEVER, 1000, 60000, 0, 78800, 79200,
	  false },
	{ "the database cannot be read", NEVER, NEVER, 0, -EIO, 0, 0, false },
};
static size_t at;
static int64_t now;
static bool answered;

static int play_sleep(const struct timespec *pause, struct timespec *rest)
{
	bool stands = now <= cases[at].stands_at && now + 100 > cases[at].stands_at;

	now += pause->tv_nsec / 1000000 + (stands ? cases[at].stands : 0);
	return 0;
}

int64_t state_ticks(void)
{
	return 5000000 + now;
}

int state_number(struct state *state, int64_t *ret_value, const char *sql, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	CHECK(!strcmp(sql, STATEMENT) && !strcmp(format, "i") && va_arg(args, int64_t) == 7);
	va_end(args);
	answered = now >= cases[at].answers_at;
	*ret_value = answered ? 0 : 2;
	return cases[at].err;
}

int main(void)
{
	struct state state;

	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		unit_case = cases[at].name;
		now = 0;
		CHECK(state_await_none(&state, WAIT, STATEMENT, 7) == cases[at].err);
		CHECK(answered == cases[at].answered);
		CHECK_THAT(now >= cases[at].least && now <= cases[at].most, "%lld ms",
			   (long long)now);
	}
	unit_case = "no time at all";
	at = 3;
	now = 0;
	CHECK(!state_await_none(&state, 0, STATEMENT, 7));
	CHECK(now == 0);
	return unit_end();
}
