/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker's life: configured by the parent, sandboxed, then one loop that takes
 * completions from the ring and hands each to whom it belongs; what the parent says is
 * read in parent.c.
 */
#include "worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/msg.h"
#include "parent.h"
#include "relay.h"
#include "sandbox.h"

#define PULSE_MS      1000
#define EVENTS_MAX    256
#define UNQUIET_TURNS 32
#define WQ_THREADS    4 /* kernel threads that run splices of the uring engine */

static struct relay the_relay;

static int die(const char *what, int error)
{
	log_error("worker: %s: %s", what, strerror(-error));
	return EXIT_FAILURE;
}

/* Whose event is it? Bodies on their way are nothing to look out for. */
static uint32_t spin_slot(const struct relay *relay, struct ring_tag tag)
{
	bool origin = tag.side == ORIGIN;
	const struct conn *conn;

	if (tag.op != RING_READABLE)
		return SPIN_NOBODY;
	conn = origin ? relay->pool.origins[tag.slot].conn : &relay->conns.conns[tag.slot];
	if (!conn || conn->state != (origin ? CONN_RESPONSE : CONN_IDLE))
		return SPIN_NOBODY;
	return conn->slot;
}

static void dispatch(struct relay *relay, const struct ring_event *event)
{
	struct origin *origin;
	struct conn *conn;
	int fd;

	switch (event->tag.op) {
	case RING_MESSAGE:
		parent_event(relay, event->tag);
		break;
	case RING_MESSAGE_ROOM:
		relay->pool.stalled = false;
		pool_ask(relay);
		break;
	case RING_ACCEPT:
		listen_event(relay, event);
		break;
	case RING_READABLE:
	case RING_WRITABLE:
	case RING_RESET:
		if (event->tag.side == ORIGIN) {
			origin = pool_find(&relay->pool, event->tag);
			origin->end.polling &= (uint8_t) ~(1 << event->tag.op);
			pool_event(relay, origin, event->tag.op);
			break;
		}
		conn = conn_find(&relay->conns, event->tag);
		conn->client.polling &= (uint8_t) ~(1 << event->tag.op);
		conn_ready_event(relay, conn, CLIENT, event->tag.op);
		break;
	case RING_FILL:
	case RING_SPILL:
		conn = conn_find(&relay->conns, event->tag);
		pump_completed(relay, conn, event);
		if (!conn->flow[event->tag.side].flying)
			conn_landed(relay, conn, event->tag.side);
		break;
	case RING_SUCCESSOR:
		if (handover_event(relay, event, &fd))
			parent_change(relay, fd);
		break;
	case RING_CANCEL:
	case RING_OPS:
		break;
	}
}

static void timer_expired(void *context, struct timer *timer)
{
	struct relay *relay = context;
	const char *at = (const char *)timer;
	const struct conn_table *conns = &relay->conns;

	if (at >= (const char *)conns->conns && at < (const char *)(conns->conns + conns->max))
		conn_timeout(relay, (struct conn *)(uintptr_t)(at - offsetof(struct conn, timer)));
	else
		pool_timeout(relay,
			     (struct origin *)(uintptr_t)(at - offsetof(struct origin, timer)));
}

/*
 * Nobody is late whose bytes wait in the ring: timers have their turn when nothing does, or after
 * as many turns as a full completion queue takes.
 */
static void run_timers(struct relay *relay)
{
	if (!ring_quiet(&relay->ring) && ++relay->unquiet < UNQUIET_TURNS)
		return;
	relay->unquiet = 0;
	timer_run(&relay->wheel, relay->now_ms, timer_expired, relay);
}

static void tick(struct relay *relay)
{
	run_timers(relay);
	listen_tick(relay);
	handover_continue(relay);
	if (relay->now_ms >= relay->pulse_ms) {
		relay->pulse_ms = relay->now_ms + PULSE_MS;
		handover_rearm(relay);
		access_flush(relay);
		/* A full socket means that the parent has pulses to read. */
		if (relay->parent_fd >= 0 && !relay->handover.telling)
			msg_send(relay->parent_fd, PROTO_PULSE, 0, NULL, 0, NULL, 0);
	}
	if (relay->draining && relay->now_ms >= relay->drain_deadline_ms)
		for (uint32_t i = 0; i < relay->conns.fresh; i++)
			if (relay->conns.conns[i].state != CONN_FREE)
				conn_close(relay, &relay->conns.conns[i], CONN_END_SHUTDOWN);
}

static uint32_t wait_ms(const struct relay *relay)
{
	int64_t pulse = relay->pulse_ms - relay->now_ms;
	uint32_t wait;

	if (relay->conns.ready)
		return 0;
	if (bind_settling(relay))
		return 1;
	wait = timer_next_ms(&relay->wheel, relay->now_ms, pulse > 1 ? (uint32_t)pulse : 1);
	if ((relay->draining || relay->listeners.paused_until_ms || relay->handover.telling) &&
	    wait > TIMER_TICK_MS)
		wait = TIMER_TICK_MS;
	return wait;
}

static void look_at_clock(struct relay *relay, uint32_t slept_ms)
{
	int64_t lost = relay->awake.lost;

	relay->now_ms = awake_ms(&relay->awake, timer_now_ms(), slept_ms);
	/* The parent hears at once that there is life. */
	if (relay->awake.lost > lost)
		relay->pulse_ms = relay->now_ms;
}

/* Until something has come or is due. 0 or -errno. */
static int await_events(struct relay *relay)
{
	uint32_t wait = wait_ms(relay), window_us = relay->conf->relay.busy_poll;
	int rc;

	if (wait && window_us && spin_pays(&relay->spin, relay->now_ms)) {
		/* What is queued for the ring goes there first. */
		rc = ring_wait(&relay->ring, 0);
		if (rc < 0)
			return rc;
		if (spin_run(&relay->spin, &relay->ring, window_us, relay->now_ms))
			wait = 0;
	}
	rc = ring_wait(&relay->ring, wait);
	look_at_clock(relay, wait);
	return rc;
}

/* Until drained. 0 or -errno. */
static int serve(struct relay *relay)
{
	static struct ring_event events[EVENTS_MAX];
	unsigned count;
	int rc;

	while (!relay->draining || relay->conns.open || relay->listeners.open) {
		spin_wait(&relay->spin);
		rc = await_events(relay);
		if (rc < 0)
			return rc;
		count = ring_reap(&relay->ring, events, EVENTS_MAX);
		spin_came(&relay->spin, count == 1 ? spin_slot(relay, events[0].tag) : SPIN_NOBODY,
			  relay->conf->relay.busy_poll);
		for (unsigned i = 0; i < count; i++) {
			relay->events_left = count - i - 1;
			dispatch(relay, &events[i]);
		}
		conn_run_ready(relay);
		tick(relay);
		bind_turn(relay);
	}
	access_flush(relay);
	if (relay->parent_fd >= 0)
		msg_send(relay->parent_fd, PROTO_DRAINED, 0, NULL, 0, NULL, 0);
	return 0;
}

static int start(struct relay *relay, const char **ret_why)
{
	int rc;

	*ret_why = "configuration";
	rc = parent_configure(relay);
	if (rc < 0)
		return rc;
	rc = ring_init(&relay->ring, WQ_THREADS);
	/* io_uring/memmap.c charges rings to the user, of which all workers together are one. */
	*ret_why = rc == -ENOMEM ? "ring (all workers' rings share their user's limit of locked "
				   "memory, ulimit -l, where sluiced may not raise it)"
				 : "ring";
	if (rc < 0)
		return rc;
	rc = sandbox_ring(relay->ring.uring.ring_fd);
	if (rc < 0)
		return rc;
	rc = sandbox_enter(ret_why);
	if (rc < 0)
		return rc;
	/* PIPES and LISTEN follow CONFIG; what is there already is taken before READY. */
	relay->now_ms = awake_ms(&relay->awake, timer_now_ms(), 0);
	relay->pulse_ms = relay->now_ms + PULSE_MS;
	parent_read(relay);
	*ret_why = "ready";
	return msg_send(relay->parent_fd, PROTO_READY, 0, NULL, 0, NULL, 0);
}

int worker_main(void)
{
	struct relay *relay = &the_relay;
	const char *why;
	int rc;

	*relay = (struct relay){
		.parent_fd = PROTO_WORKER_FD,
		.null_fd = -1,
		.now_ms = timer_now_ms(),
	};
	handover_init(&relay->handover);
	spin_init(&relay->spin);
	signal(SIGPIPE, SIG_IGN);
	/* Meant for the parent, but often sent to all of a service's processes. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	/* Log lines carry the time; libc would read the zone's file at the first one. */
	tzset();
	fcntl(PROTO_WORKER_FD, F_SETFD, FD_CLOEXEC);
	rc = start(relay, &why);
	if (rc < 0)
		return die(why, rc);
	rc = serve(relay);
	return rc < 0 ? die("ring", rc) : EXIT_SUCCESS;
}
