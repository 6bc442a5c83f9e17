/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll and a list of timers ordered by due time. One event is taken per epoll_wait():
 * a handler may then free any other watch without leaving a stale event behind, and level
 * triggering serves ready descriptors in turn.
 */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/log.h"

#define HELD_UP_MS 1000 /* a turn this long is worth a line: who asks us for something waits */
#define CATCH_UP   1024 /* events at most that are taken before timers which are overdue */

int loop_init(struct loop *loop)
{
	*loop = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	return loop->epoll < 0 ? -errno : 0;
}

void loop_free(struct loop *loop)
{
	if (loop->epoll >= 0)
		close(loop->epoll);
	loop->epoll = -1;
}

int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
	       void (*ready)(struct loop_watch *watch, uint32_t events))
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	watch->fd = -1;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	watch->fd = fd;
	watch->ready = ready;
	return 0;
}

int loop_rewatch(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) ? -errno : 0;
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	if (watch->fd >= 0)
		epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->set)
		return;
	if (timer->prev)
		timer->prev->next = timer->next;
	else
		loop->first = timer->next;
	if (timer->next)
		timer->next->prev = timer->prev;
	else
		loop->last = timer->prev;
	timer->prev = timer->next = NULL;
	timer->set = false;
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms,
		      void (*fire)(struct loop_timer *timer))
{
	struct loop_timer *before;

	loop_timer_stop(loop, timer);
	timer->due_ms = loop_now() + delay_ms;
	timer->fire = fire;
	timer->set = true;
	/* From the end: most timers have the same few delays, so they belong there. */
	for (before = loop->last; before && before->due_ms > timer->due_ms; before = before->prev)
		;
	timer->prev = before;
	timer->next = before ? before->next : loop->first;
	if (timer->next)
		timer->next->prev = timer;
	else
		loop->last = timer;
	if (before)
		before->next = timer;
	else
		loop->first = timer;
}

uint64_t loop_now(void)
{
	return (uint64_t)clock_ms(CLOCK_MONOTONIC);
}

/* Fires what is due and says how long to sleep, -1 for ever. */
static int run_timers(struct loop *loop)
{
	uint64_t now = loop_now();

	while (loop->first && loop->first->due_ms <= now) {
		struct loop_timer *timer = loop->first;

		loop_timer_stop(loop, timer);
		timer->fire(timer);
	}
	if (!loop->first)
		return -1;
	return loop->first->due_ms - now > INT_MAX ? INT_MAX : (int)(loop->first->due_ms - now);
}

/* A handler waited for the kernel, a disk, or whoever reads our log. */
static void note_turn(uint64_t began)
{
	static struct log_limit limit = LOG_LIMIT(60000, 3);
	uint64_t took = loop_now() - began;
	uint32_t left_out;

	if (took >= HELD_UP_MS && log_allowed(&limit, &left_out))
		log_warn("held up for %llu ms; requests that need a new connection to a service "
			 "waited for it (%u lines left out)",
			 (unsigned long long)took, left_out);
}

/* 1: an event was handled, at *ret_began; 0: none came in time. Or -errno. */
static int take_event(struct loop *loop, int timeout, uint64_t *ret_began)
{
	struct epoll_event event;
	int n = epoll_wait(loop->epoll, &event, 1, timeout);

	if (n < 0 && errno != EINTR)
		return -errno;
	*ret_began = loop_now();
	if (n == 1) {
		struct loop_watch *watch = event.data.ptr;

		watch->ready(watch, event.events);
	}
	return n == 1;
}

/*
 * After a standstill, ours or the whole machine's, what has come waits beside the timers that would
 * call it missing: it goes first.
 */
static int catch_up(struct loop *loop)
{
	uint64_t began; /* of what is caught up with, not of the turn */
	int result = 1;

	if (!loop->first || loop_now() < loop->first->due_ms + HELD_UP_MS)
		return 0;
	for (int i = 0; i < CATCH_UP && result == 1 && !loop->stopped; i++)
		result = take_event(loop, 0, &began);
	return result < 0 ? result : 0;
}

int loop_run(struct loop *loop)
{
	uint64_t began = loop_now();

	while (!loop->stopped) {
		int result = catch_up(loop), timeout;

		if (result < 0)
			return result;
		if (loop->stopped)
			break;
		timeout = run_timers(loop);
		if (loop->stopped)
			break;
		note_turn(began);
		result = take_event(loop, timeout, &began);
		if (result < 0)
			return result;
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
