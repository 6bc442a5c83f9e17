/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's event loop: descriptors (epoll) and timers, one thread. Watches and timers
 * are embedded in what they belong to; the loop allocates nothing and owns nothing.
 */
#ifndef SLUICE_SLUICED_LOOP_H
#define SLUICE_SLUICED_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct loop_watch {
	int fd; /* -1: not watched */
	void (*ready)(struct loop_watch *watch, uint32_t events);
};

struct loop_timer {
	uint64_t due_ms; /* loop_now() scale */
	struct loop_timer *prev, *next;
	bool set;
	void (*fire)(struct loop_timer *timer);
};

struct loop {
	int epoll;
	bool stopped;
	struct loop_timer *first, *last; /* by due time */
};

int loop_init(struct loop *loop);
void loop_free(struct loop *loop);

/* events are EPOLLIN, EPOLLOUT, level-triggered. 0 or -errno; then watch->fd is -1. */
int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
	       void (*ready)(struct loop_watch *watch, uint32_t events));
int loop_rewatch(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Stops watching; the descriptor stays open. Harmless when not watched. */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* (Re)starts a one-shot timer. */
void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms,
		      void (*fire)(struct loop_timer *timer));
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t loop_now(void);

/* Runs until loop_stop(). 0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
