/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker's life: configured by the parent, sandboxed, then one loop that takes
 * completions from the ring and messages from the parent.
 */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/msg.h"
#include "io.h"
#include "relay.h"
#include "sandbox.h"

#define PULSE_MS    1000
#define EVENTS_MAX  256
#define WQ_THREADS  4	       /* kernel threads that run splices of the uring engine */
#define BULK_SIZE   (64 << 10) /* bytes copied at once */
#define BULK_COUNT  512
#define HEAD_MARGIN 4096 /* what a rewritten head may be longer than the original */
/* Two heads and two bodies can be under way in one connection. */
#define HEADS_PER_CONN 4
/* Listeners for each tenant: two families and SL_PORTS_MAX ports at most; most have 4. */
#define LISTENERS_PER_TENANT 8

/* Messages are read with recvmsg(2) and written with sendmsg(2). */
SANDBOX_ALLOW(recvmsg);

static const struct msg_rule parent_rules[] = {
	{ PROTO_CONFIG, 3, 4, sizeof(struct proto_config), sizeof(struct proto_config) },
	{ PROTO_PIPES, 2, MSG_FDS_MAX, sizeof(struct proto_pipes), sizeof(struct proto_pipes) },
	{ PROTO_LISTEN, 1, 1, sizeof(struct proto_listen), sizeof(struct proto_listen) },
	{ PROTO_UNLISTEN, 0, 0, sizeof(struct proto_unlisten), sizeof(struct proto_unlisten) },
	{ PROTO_ORIGIN, 0, 1, sizeof(struct proto_origin), sizeof(struct proto_origin) },
	{ PROTO_STREAM, 1, 1, sizeof(struct proto_stream), sizeof(struct proto_stream) },
	{ PROTO_DRAIN, 0, 0, sizeof(struct proto_drain), sizeof(struct proto_drain) },
	{ PROTO_KEEP, 1, 1, 0, 0 },
	{ PROTO_LOG, 1, 1, 0, 0 },
	{ PROTO_TRACE, 0, 1, sizeof(struct proto_trace), sizeof(struct proto_trace) },
	{ PROTO_BINDINGS, 1, 1, sizeof(struct proto_bindings), sizeof(struct proto_bindings) },
};

static struct relay the_relay;

static int die(const char *what, int error)
{
	log_error("worker: %s: %s", what, strerror(-error));
	return EXIT_FAILURE;
}

/* Takes a descriptor out of a message: the message no longer closes it. */
static int take_fd(struct msg *msg, unsigned i)
{
	int fd = i < msg->head.nfds ? msg->fds[i] : -1;

	if (fd >= 0)
		msg->fds[i] = -1;
	return fd;
}

static int map_stats(struct relay *relay, int fd, uint32_t count)
{
	struct stat st;
	void *memory;

	relay->stats_count = count;
	if (count == 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size < proto_stats_size(count))
		return -EINVAL;
	memory = mmap(NULL, proto_stats_size(count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	relay->stats = memory;
	relay->latency = (struct latency *)(relay->stats + count);
	return 0;
}

static int make_tables(struct relay *relay)
{
	const struct conf *conf = relay->conf;
	uint32_t max = conf->limits.connections, head = conf->limits.head_size;
	int rc;

	relay->limits = (struct http_limits){ head, conf->limits.head_count };
	relay->engine =
		conf->relay.engine == CONF_ENGINE_AUTO ? CONF_ENGINE_INLINE : conf->relay.engine;
	relay->path_size = 3 * (size_t)head + 1;
	relay->path = malloc(relay->path_size);
	relay->tenant_conns = calloc(relay->stats_count, sizeof(*relay->tenant_conns));
	if (!relay->path || !relay->tenant_conns)
		return -ENOMEM;
	if (max == 0 || max > RING_SLOTS / 2)
		return -EINVAL;
	timer_wheel_init(&relay->wheel, relay->now_ms);
	rc = route_table_new(conf, &relay->routes);
	if (!rc)
		rc = buf_pool_init(&relay->heads, (head + HEAD_MARGIN + 4095) & ~4095u,
				   (size_t)max * HEADS_PER_CONN);
	if (!rc)
		rc = buf_pool_init(&relay->bulk,
				   relay->heads.size > BULK_SIZE ? relay->heads.size : BULK_SIZE,
				   BULK_COUNT);
	if (!rc)
		rc = pipe_pool_init(&relay->pipes,
				    conf->relay.pipes_small + conf->relay.pipes_large,
				    relay->null_fd);
	if (!rc)
		rc = clients_init(&relay->clients, max);
	if (!rc)
		rc = budgets_init(&relay->budgets, max, conf->limits.request_rate,
				  conf->limits.request_burst);
	if (!rc)
		rc = conn_table_init(&relay->conns, max);
	if (!rc)
		rc = listen_init(&relay->listeners, relay->stats_count * LISTENERS_PER_TENANT);
	if (!rc)
		rc = pool_init(relay, max);
	return rc;
}

static int configure(struct relay *relay, struct msg *msg)
{
	const struct proto_config *about = (const void *)msg->body;
	int fd, rc;

	relay->index = about->index;
	relay->generation = about->generation;
	relay->role = (enum proto_role)about->role;
	if (about->role > PROTO_ROLE_BACK)
		return -EINVAL;
	/* Both stay open: a successor of the parent wants them back. */
	relay->handover.conf_fd = take_fd(msg, 0);
	rc = conf_recv(relay->handover.conf_fd, &relay->conf);
	if (rc < 0)
		return rc;
	relay->handover.stats_fd = take_fd(msg, 1);
	rc = map_stats(relay, relay->handover.stats_fd, about->tenants);
	if (rc < 0)
		return rc;
	relay->null_fd = take_fd(msg, 2);
	rc = make_tables(relay);
	if (!rc)
		rc = access_reserve(relay);
	fd = take_fd(msg, 3);
	if (!rc && fd >= 0 && relay->role != PROTO_ROLE_BACK)
		rc = access_init(relay, fd);
	else if (fd >= 0)
		close(fd);
	return rc;
}

static void add_pipes(struct relay *relay, struct msg *msg)
{
	const struct proto_pipes *about = (const void *)msg->body;
	int refused = 0;

	for (unsigned i = 0; i + 1 < msg->head.nfds; i += 2) {
		int read_fd = take_fd(msg, i), write_fd = take_fd(msg, i + 1);

		if (pipe_pool_add(&relay->pipes, read_fd, write_fd) < 0)
			refused++;
	}
	if (refused)
		log_warn("worker %u: %d of %u pipes are too small or too many; bodies are copied "
			 "when none is free",
			 relay->index, refused, about->count);
}

static void abort_tenant(struct relay *relay, uint32_t tenant)
{
	for (uint32_t i = 0; i < relay->conns.fresh; i++) {
		struct conn *conn = &relay->conns.conns[i];

		if (conn->state != CONN_FREE && conn->tenant == tenant)
			conn_close(relay, conn, CONN_END_SHUTDOWN);
	}
}

/*
 * Idle connections stay: closing one races with its next request. That one is answered with
 * "Connection: close", or keepalive_timeout or the deadline comes first.
 */
static void drain(struct relay *relay, uint32_t deadline_ms)
{
	relay->draining = true;
	relay->drain_deadline_ms = relay->now_ms + deadline_ms;
	listen_stop(relay);
	pool_close_idle(relay);
}

static int handle_message(struct relay *relay, struct msg *msg)
{
	switch (msg->head.type) {
	case PROTO_PIPES:
		add_pipes(relay, msg);
		return 0;
	case PROTO_LISTEN:
		return listen_add(relay, take_fd(msg, 0), (const void *)msg->body);
	case PROTO_UNLISTEN: {
		const struct proto_unlisten *about = (const void *)msg->body;
		uint32_t counted_at = listen_remove(relay, about->tenant, about->abort);

		/* Many go at once, and most have no connection. */
		if (about->abort && (counted_at == UINT32_MAX || relay->tenant_conns[counted_at]))
			abort_tenant(relay, about->tenant);
		return 0;
	}
	case PROTO_ORIGIN:
		return pool_reply(relay, msg, take_fd(msg, 0));
	case PROTO_STREAM:
		if (relay->role != PROTO_ROLE_BACK)
			return -EBADMSG;
		listen_stream(relay, take_fd(msg, 0));
		return 0;
	case PROTO_DRAIN:
		drain(relay, ((const struct proto_drain *)(const void *)msg->body)->deadline_ms);
		return 0;
	case PROTO_KEEP:
		return handover_keep(relay, take_fd(msg, 0));
	case PROTO_LOG:
		return access_reopen(relay, take_fd(msg, 0));
	case PROTO_TRACE:
		return access_trace(relay, take_fd(msg, 0),
				    ((const struct proto_trace *)(const void *)msg->body)->tenant);
	case PROTO_BINDINGS:
		return bind_change(relay, take_fd(msg, 0), (const void *)msg->body);
	default:
		return -EBADMSG;
	}
}

static void parent_gone(struct relay *relay)
{
	log_warn("worker %u: the parent is gone; serving on with the connections there are",
		 relay->index);
	close(relay->parent_fd);
	relay->parent_fd = -1;
	relay->handover.telling = false;
	pool_orphan(relay);
}

static struct ring_tag message_tag(const struct relay *relay)
{
	return (struct ring_tag){ .op = RING_MESSAGE,
				  .generation = relay->parents % RING_GENERATIONS };
}

static void await_message(struct relay *relay)
{
	ring_poll(&relay->ring, relay->parent_fd, message_tag(relay));
}

/* Its end may be seen only after its successor has come. */
static void change_parent(struct relay *relay, int fd)
{
	if (relay->parent_fd >= 0) {
		ring_poll_cancel(&relay->ring, message_tag(relay));
		parent_gone(relay);
	}
	relay->parent_fd = fd;
	relay->parents++;
	await_message(relay);
	handover_begin(relay);
}

/* A message came without its descriptors: this process may open no more. Who waits is told. */
static void lost_message(struct relay *relay, struct msg *msg)
{
	static struct log_limit limit = LOG_LIMIT(10000, 5);
	struct proto_origin *reply = (void *)msg->body;
	uint32_t left_out;

	if (log_allowed(&limit, &left_out))
		log_error("worker %u: no descriptor left for message %u (%u lines left out)",
			  relay->index, msg->head.type, left_out);
	if (msg->head.type != PROTO_ORIGIN)
		return;
	reply->error = EMFILE;
	pool_reply(relay, msg, -1);
}

/* Takes all messages there are. */
static void read_messages(struct relay *relay)
{
	static struct msg msg;
	int rc;

	for (;;) {
		rc = msg_recv(relay->parent_fd, parent_rules,
			      sizeof(parent_rules) / sizeof(parent_rules[0]), &msg);
		if (rc == -EAGAIN)
			break;
		if (rc == -EBADMSG) {
			log_error("worker %u: unknown message from the parent", relay->index);
			continue;
		}
		if (rc == -EMFILE) {
			lost_message(relay, &msg);
			continue;
		}
		if (rc <= 0) {
			parent_gone(relay);
			return;
		}
		rc = handle_message(relay, &msg);
		if (rc < 0)
			log_error("worker %u: message %u: %s", relay->index, msg.head.type,
				  strerror(-rc));
		msg_close_fds(&msg);
	}
	await_message(relay);
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
		if (relay->parent_fd >= 0 && event->tag.generation == message_tag(relay).generation)
			read_messages(relay);
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
			change_parent(relay, fd);
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

static void tick(struct relay *relay)
{
	timer_run(&relay->wheel, relay->now_ms, timer_expired, relay);
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
	return ring_wait(&relay->ring, wait);
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
		relay->now_ms = timer_now_ms();
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

/* Blocks until the parent has sent CONFIG. 0 or -errno. */
static int await_config(struct relay *relay)
{
	static struct msg msg;
	struct pollfd wait = { .fd = relay->parent_fd, .events = POLLIN };
	int rc;

	do {
		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			return -errno;
		/* CONFIG is the only one that may come first. */
		rc = msg_recv(relay->parent_fd, parent_rules, 1, &msg);
	} while (rc == -EAGAIN);
	if (rc <= 0)
		return rc < 0 ? rc : -EPIPE;
	rc = configure(relay, &msg);
	msg_close_fds(&msg);
	return rc;
}

static int start(struct relay *relay, const char **ret_why)
{
	int rc;

	*ret_why = "configuration";
	rc = await_config(relay);
	if (rc < 0)
		return rc;
	*ret_why = "ring";
	rc = ring_init(&relay->ring, WQ_THREADS);
	if (rc < 0)
		return rc;
	rc = sandbox_ring(relay->ring.uring.ring_fd);
	if (rc < 0)
		return rc;
	rc = sandbox_enter(ret_why);
	if (rc < 0)
		return rc;
	/* PIPES and LISTEN follow CONFIG; what is there already is taken before READY. */
	relay->now_ms = timer_now_ms();
	relay->pulse_ms = relay->now_ms + PULSE_MS;
	read_messages(relay);
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
