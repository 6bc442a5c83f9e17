/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is served next, by lib/turns.h: so many at once, nobody twice at a time, and nobody who is
 * slow in the place of others. */
#include <string.h>

#include "../../user/lib/turns.h"
#include "unit.h"

#define AT_ONCE 3
#define MANY	40
#define PIECE	(256 * 1024)

static struct turns turns;
static struct turn asked[MANY];

static void begin(const char *what)
{
	unit_case = what;
	memset(asked, 0, sizeof(asked));
	turns_init(&turns, AT_ONCE);
}

static void ask(size_t which, const char *who, int64_t now)
{
	turns_ask(&turns, &asked[which], who, PIECE, now);
}

/* Turns that are given now. */
static size_t give(int64_t now)
{
	size_t count = 0;

	while (turns_next(&turns, now))
		count++;
	return count;
}

static void test_order(void)
{
	begin("so many at once, in the order of asking");
	for (size_t i = 0; i < 8; i++) {
		char who[8];

		snprintf(who, sizeof(who), "n%zu", i);
		ask(i, who, (int64_t)i);
	}
	CHECK(give(10) == AT_ONCE);
	for (size_t i = 0; i < 8; i++)
		CHECK_THAT(asked[i].given == (i < AT_ONCE), "n%zu", i);
	turns_end(&turns, &asked[1], true, 20);
	CHECK(turns_next(&turns, 20) == &asked[3] && !turns_next(&turns, 20));
	/* One that does not wait any more is passed over. */
	turns_end(&turns, &asked[4], false, 21);
	turns_end(&turns, &asked[0], true, 21);
	CHECK(turns_next(&turns, 21) == &asked[5]);
}

static void test_greedy(void)
{
	size_t given = 0;

	begin("who asks thirty times gets what the others get");
	for (size_t i = 0; i < 30; i++)
		ask(i, "greedy", 0);
	ask(30, "n1", 5);
	ask(31, "n2", 6);
	ask(32, "n3", 7);
	CHECK(turns_next(&turns, 10) && turns_next(&turns, 10) && turns_next(&turns, 10));
	CHECK(asked[30].given && asked[31].given && !asked[32].given);
	for (size_t i = 0; i < 30; i++)
		given += asked[i].given;
	CHECK_THAT(given == 1, "%zu", given);
	turns_end(&turns, &asked[30], true, 12);
	CHECK(turns_next(&turns, 12) == &asked[32]);
	/* Alone, it gets one after the other. */
	turns_end(&turns, &asked[31], true, 13);
	turns_end(&turns, &asked[32], true, 13);
	CHECK(!give(13));
	for (size_t i = 0; i < 30; i++)
		if (asked[i].given) {
			turns_end(&turns, &asked[i], true, 14);
			break;
		}
	CHECK(give(14) == 1);
}

static void test_first(void)
{
	begin("who asks for a lot before the others leaves them the rest");
	for (size_t i = 0; i < AT_ONCE; i++)
		turns_ask(&turns, &asked[i], "evil", 64 * PIECE, 0);
	CHECK(give(0) == 1);
	ask(AT_ONCE, "n1", 1);
	ask(AT_ONCE + 1, "n2", 1);
	CHECK(give(1) == AT_ONCE - 1);
	CHECK(asked[AT_ONCE].given && asked[AT_ONCE + 1].given);
	turns_end(&turns, &asked[AT_ONCE], true, 2);
	CHECK(!give(2));
	ask(AT_ONCE, "n1", 3);
	CHECK(turns_next(&turns, 3) == &asked[AT_ONCE]);
}

static void test_few(void)
{
	begin("among few everybody gets all there is");
	turns_allow(&turns, AT_ONCE, TURNS_FEW);
	for (size_t i = 0; i < 30; i++)
		ask(i, "n1", 0);
	CHECK(give(0) == 30);
}

/* One for each that there is, to names of their own. */
static void ask_all(int64_t now)
{
	static const char *const names[AT_ONCE] = { "a", "b", "c" };

	for (size_t i = 0; i < AT_ONCE; i++)
		ask(i, names[i], now);
}

/* Ten transfers of that long each, in thousandths; then the queue is empty. */
static void measure(int64_t took)
{
	for (size_t i = 0; i < 10; i++) {
		ask(0, "n0", 0);
		CHECK(turns_next(&turns, 0) == &asked[0]);
		turns_end(&turns, &asked[0], true, took);
	}
}

static void test_slow(void)
{
	begin("who takes much longer than others does not hold them up");
	measure(200);
	ask_all(1000);
	CHECK(give(1000) == AT_ONCE);
	ask(AT_ONCE, "n1", 1001);
	CHECK(!turns_next(&turns, 1600));
	CHECK(turns_next(&turns, 1900) == &asked[AT_ONCE]);
	CHECK_THAT(turns.counting == 1, "%u count", turns.counting);
	for (size_t i = 0; i <= AT_ONCE; i++)
		turns_end(&turns, &asked[i], i == AT_ONCE, 9000);
	CHECK(!turns.counting && !turns.running && !turns.waiting);
}

static void test_slow_link(void)
{
	begin("on a slow link nobody is slow");
	measure(5000);
	ask_all(0);
	CHECK(give(0) == AT_ONCE);
	ask(AT_ONCE, "n2", 0);
	CHECK(!turns_next(&turns, 9000));
	/* But nothing is waited for without end. */
	CHECK(turns_next(&turns, 60000) == &asked[AT_ONCE]);
}

static void test_cut(void)
{
	begin("transfers that are cut off say nothing about the link");
	measure(1000);
	for (size_t i = 0; i < 30; i++) {
		ask(0, "liar", 0);
		CHECK(turns_next(&turns, 0) == &asked[0]);
		turns_end(&turns, &asked[0], false, 1);
	}
	ask_all(0);
	CHECK(give(0) == AT_ONCE);
	ask(AT_ONCE, "n2", 0);
	CHECK(!turns_next(&turns, 2000));
}

static void test_known(void)
{
	begin("more names than are remembered");
	for (size_t i = 0; i < 2 * TURNS_KNOWN; i++) {
		char who[16];

		snprintf(who, sizeof(who), "n%zu", i);
		turns_ask(&turns, &asked[0], who, PIECE, (int64_t)i);
		CHECK(turns_next(&turns, (int64_t)i) == &asked[0]);
		turns_end(&turns, &asked[0], true, (int64_t)i + 1);
	}
	ask(0, "n511", 1000);
	ask(1, "new", 1001);
	turns.at_once = 1;
	CHECK(turns_next(&turns, 1002) == &asked[1]);
}

static void test_threads(void)
{
	struct turn first, second;

	begin("one that waits in vain");
	turns.at_once = 1;
	CHECK(turns_take(&turns, &first, "n1", PIECE, 1));
	CHECK(!turns_take(&turns, &second, "n2", PIECE, 20));
	CHECK(!turns.waiting);
	turns_leave(&turns, &first, true);
	CHECK(turns_take(&turns, &second, "n2", PIECE, 1));
	turns_leave(&turns, &second, true);
	CHECK(!turns.running && !turns.counting);
}

int main(void)
{
	test_order();
	test_greedy();
	test_first();
	test_few();
	test_slow();
	test_slow_link();
	test_cut();
	test_known();
	test_threads();
	return unit_end();
}
