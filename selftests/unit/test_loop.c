/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's loop: timers fire in the order of their times, stopped ones never, and a
 * handler may stop others and free what belongs to it.
 */
#include <fcntl.h>
#include <sys/epoll.h>

#include "../../user/sluiced/loop.h"
#include "unit.h"

static struct loop loop;
static struct loop_timer timers[5];
static struct loop_watch watches[2];
static char order[16];
static unsigned norder;
static int pipes[2][2];

static void note(char c)
{
	if (norder < sizeof(order) - 1)
		order[norder++] = c;
}

static void on_timer(struct loop_timer *timer)
{
	long which = timer - timers;

	note((char)('0' + which));
	if (which == 1)
		loop_timer_stop(&loop, &timers[2]);
	if (which == 4)
		loop_stop(&loop);
}

static void test_timers(void)
{
	uint64_t began;

	unit_case = "timers";
	/* Times count from each one's start: all again if this process stood still in between. */
	do {
		began = loop_now();
		loop_timer_start(&loop, &timers[4], 40, on_timer);
		loop_timer_start(&loop, &timers[2], 20, on_timer);
		loop_timer_start(&loop, &timers[1], 10, on_timer);
		loop_timer_start(&loop, &timers[3], 30, on_timer);
		loop_timer_start(&loop, &timers[0], 50, on_timer);
		/* Again: the earlier one is void. */
		loop_timer_start(&loop, &timers[0], 1, on_timer);
	} while (loop_now() - began > 5);
	CHECK(!loop_run(&loop));
	CHECK_THAT(!strcmp(order, "0134"), "fired in the order %s", order);
	CHECK(!loop.first && !loop.last);
	loop_timer_stop(&loop, &timers[2]);
}

/* Both are readable; whichever comes first takes the other one away. */
static void on_readable(struct loop_watch *watch, uint32_t events)
{
	struct loop_watch *other = &watches[watch == &watches[0]];

	note('r');
	/* The other one would be heard before this. */
	loop_timer_start(&loop, &timers[4], 30, on_timer);
	loop_unwatch(&loop, other);
	memset(other, 0xff, sizeof(*other)); /* as if freed */
	loop_unwatch(&loop, watch);
}

static void test_watches(void)
{
	unit_case = "a handler frees another watch";
	norder = 0;
	memset(order, 0, sizeof(order));
	loop.stopped = false;
	for (int i = 0; i < 2; i++) {
		CHECK(!pipe2(pipes[i], O_CLOEXEC));
		CHECK(write(pipes[i][1], "x", 1) == 1);
		CHECK(!loop_watch(&loop, &watches[i], pipes[i][0], EPOLLIN, on_readable));
	}
	CHECK(!loop_run(&loop));
	CHECK_THAT(!strcmp(order, "r4"), "happened: %s", order);
}

int main(void)
{
	if (loop_init(&loop))
		return 1;
	test_timers();
	test_watches();
	loop_free(&loop);
	return unit_end();
}
