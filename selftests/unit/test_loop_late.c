/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's loop after a standstill: an answer that has come is taken before the timer that
 * would call it missing, and who never ends talking keeps no timer from firing. A turn that took
 * long is told of, although timers are late after it.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <time.h>

#include "../../user/sluiced/loop.h"
#include "unit.h"

static struct loop loop;
static struct loop_timer limit, last;
static struct loop_watch watch;
static char order[16];
static unsigned norder;

static void note(char c)
{
	if (norder < sizeof(order) - 1)
		order[norder++] = c;
}

static void on_limit(struct loop_timer *timer)
{
	note('l');
}

static void on_last(struct loop_timer *timer)
{
	note('e');
	loop_stop(&loop);
}

static void on_answer(struct loop_watch *from, uint32_t events)
{
	note('a');
	loop_timer_stop(&loop, &limit);
	loop_unwatch(&loop, from);
}

/* Stays readable. */
static void on_noise(struct loop_watch *from, uint32_t events)
{
	if (norder < 3)
		note('n');
}

static const struct {
	const char *name;
	uint64_t late_ms;
	void (*ready)(struct loop_watch *watch, uint32_t events);
	const char *want;
} cases[] = {
	{ "late, as often", 100, on_answer, "le" },
	{ "after a standstill", 2000, on_answer, "ae" },
	{ "who never ends talking", 2000, on_noise, "nnnle" },
};

/* A handler that takes long, once. */
static void on_slow(struct loop_watch *from, uint32_t events)
{
	const struct timespec time = { .tv_sec = 2, .tv_nsec = 500000000 };

	nanosleep(&time, NULL);
	loop_unwatch(&loop, from);
}

static void test_told(int readable)
{
	static char said[4096];
	int log[2], before = dup(STDERR_FILENO);
	ssize_t len;

	unit_case = "a turn that took long";
	if (!CHECK(before >= 0 && !pipe2(log, O_CLOEXEC | O_NONBLOCK)))
		return;
	dup2(log[1], STDERR_FILENO);
	loop.stopped = false;
	loop_watch(&loop, &watch, readable, EPOLLIN, on_slow);
	loop_timer_start(&loop, &limit, 1000, on_limit);
	loop_timer_start(&loop, &last, 3000, on_last);
	CHECK(!loop_run(&loop));
	dup2(before, STDERR_FILENO);
	len = read(log[0], said, sizeof(said) - 1);
	CHECK_THAT(len > 0 && strstr(said, "held up for"), "said: %s", said);
	close(log[0]);
	close(log[1]);
	close(before);
}

int main(void)
{
	int pipes[2];

	if (loop_init(&loop) || pipe2(pipes, O_CLOEXEC) || write(pipes[1], "x", 1) != 1)
		return 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unit_case = cases[i].name;
		norder = 0;
		memset(order, 0, sizeof(order));
		loop.stopped = false;
		CHECK(!loop_watch(&loop, &watch, pipes[0], EPOLLIN, cases[i].ready));
		loop_timer_start(&loop, &limit, 0, on_limit);
		loop_timer_start(&loop, &last, 0, on_last);
		limit.due_ms -= cases[i].late_ms;
		last.due_ms -= cases[i].late_ms;
		CHECK(!loop_run(&loop));
		CHECK_THAT(!strcmp(order, cases[i].want), "happened: %s", order);
		loop_unwatch(&loop, &watch);
	}
	test_told(pipes[0]);
	loop_free(&loop);
	return unit_end();
}
