/* SPDX-License-Identifier: BSD-2-Clause */
#include "parent.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/msg.h"
#include "relay.h"
#include "sandbox.h"

#define BULK_SIZE   (64 << 10) /* bytes copied at once */
#define BULK_COUNT  512
#define HEAD_MARGIN 4096 /* what a rewritten head may be longer than the original */
/* Two heads and two bodies can be under way in one connection. */
#define HEADS_PER_CONN 4
/* Both families and every port; what is not used takes no memory. */
#define LISTENERS_PER_TENANT (2 * SL_PORTS_MAX)

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

/* ---- what it begins with ------------------------------------------------------------------ */

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

int parent_configure(struct relay *relay)
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

/* ---- what it says later ------------------------------------------------------------------- */

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

/* ---- its socket --------------------------------------------------------------------------- */

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

void parent_change(struct relay *relay, int fd)
{
	/* Its end may be seen only after its successor has come. */
	if (relay->parent_fd >= 0) {
		ring_cancel(&relay->ring, message_tag(relay));
		parent_gone(relay);
	}
	relay->parent_fd = fd;
	relay->parents++;
	await_message(relay);
	handover_begin(relay);
}

/* The parent says it again after a while. Of BINDINGS it notices that no BOUND comes. */
static void say_lost(struct relay *relay, const struct msg *msg)
{
	const struct proto_listen *listen = (const void *)msg->body;
	struct proto_lost lost = { .type = msg->head.type };

	if (lost.type == PROTO_LISTEN) {
		lost.tenant = listen->tenant;
		lost.slot = listen->slot;
		lost.port = listen->port;
		lost.family = listen->family;
	}
	if (msg_send(relay->parent_fd, PROTO_LOST, 0, &lost, sizeof(lost), NULL, 0))
		log_error("worker %u: the parent cannot be told that a message was lost",
			  relay->index);
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
	if (msg->head.type == PROTO_ORIGIN) {
		reply->error = EMFILE;
		pool_reply(relay, msg, -1);
	} else if (msg->head.type == PROTO_LISTEN || msg->head.type == PROTO_LOG) {
		say_lost(relay, msg);
	}
}

void parent_read(struct relay *relay)
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

void parent_event(struct relay *relay, struct ring_tag tag)
{
	if (relay->parent_fd >= 0 && tag.generation == message_tag(relay).generation)
		parent_read(relay);
}
