/* SPDX-License-Identifier: BSD-2-Clause */
#include "listen.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/http_message.h"
#include "../lib/log.h"
#include "io.h"
#include "relay.h"
#include "sandbox.h"

#define PAUSE_MS    200 /* after descriptors or memory ran out */
#define RETRY_AFTER 5	/* seconds, told to those over a limit */

int listen_init(struct listeners *listeners, uint32_t max)
{
	void *memory = mmap(NULL, sizeof(struct listener) * max, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*listeners = (struct listeners){ .max = max };
	if (memory == MAP_FAILED)
		return -ENOMEM;
	listeners->table = memory;
	return 0;
}

void listen_free(struct listeners *listeners)
{
	if (listeners->table)
		munmap(listeners->table, sizeof(struct listener) * listeners->max);
	listeners->table = NULL;
}

static struct ring_tag listener_tag(const struct relay *relay, const struct listener *listener)
{
	return (struct ring_tag){
		.op = RING_ACCEPT,
		.slot = (uint32_t)(listener - relay->listeners.table),
		.generation = listener->generation,
	};
}

static void arm(struct relay *relay, struct listener *listener)
{
	if (listener->accepting || listener->ending || relay->listeners.paused_until_ms)
		return;
	/* Multishot on a shared socket would starve the other workers. */
	ring_accept(&relay->ring, listener->fd, !listener->about.shared,
		    listener_tag(relay, listener));
	listener->accepting = true;
}

/* The lowest free one, or NULL. */
static struct listener *take_slot(struct listeners *listeners)
{
	while (listeners->hole < listeners->high && listeners->table[listeners->hole].fd >= 0)
		listeners->hole++;
	if (listeners->hole == listeners->max)
		return NULL;
	if (listeners->hole == listeners->high)
		listeners->high++;
	return &listeners->table[listeners->hole++];
}

static void free_slot(struct listeners *listeners, struct listener *listener)
{
	uint32_t slot = (uint32_t)(listener - listeners->table);

	listener->fd = -1;
	if (slot < listeners->hole)
		listeners->hole = slot;
	listeners->open--;
}

int listen_add(struct relay *relay, int fd, const struct proto_listen *about)
{
	struct listeners *listeners = &relay->listeners;
	bool known = about->slot < relay->stats_count;
	struct listener *listener = known ? take_slot(listeners) : NULL;

	if (!listener) {
		close(fd);
		return known ? -ENOSPC : -EINVAL;
	}
	listener->generation = (listener->generation + 1) % RING_GENERATIONS;
	listener->fd = fd;
	listener->accepting = listener->ending = listener->aborted = false;
	listener->about = *about;
	listener->about.name[SL_NAME_MAX - 1] = '\0';
	listener->about.network[SL_NAME_MAX - 1] = '\0';
	listeners->open++;
	/* Accepted sockets inherit it. */
	io_nodelay(fd);
	arm(relay, listener);
	return 0;
}

/*
 * A connection wakes one of the workers that wait at the same socket, and it may have been this one
 * while its accept was being cancelled: nobody else would look before the next connection comes. So
 * nothing is closed before a look, made when nothing waits here, finds an empty queue.
 */
static void close_when_empty(struct relay *relay, struct listener *listener)
{
	struct ring_tag tag = listener_tag(relay, listener);

	if (!listener->aborted && io_accept_queue(listener->fd) > 0) {
		if (relay->listeners.paused_until_ms)
			return; /* listen_tick() comes back to it */
		ring_accept(&relay->ring, listener->fd, false, tag);
		ring_cancel(&relay->ring, tag);
		listener->accepting = true;
		return;
	}
	close(listener->fd);
	free_slot(&relay->listeners, listener);
}

static void end_listener(struct relay *relay, struct listener *listener)
{
	if (listener->accepting && !listener->ending)
		ring_cancel(&relay->ring, listener_tag(relay, listener));
	listener->ending = true;
	if (!listener->accepting)
		close_when_empty(relay, listener);
}

uint32_t listen_remove(struct relay *relay, uint32_t tenant, bool abort)
{
	uint32_t counted_at = UINT32_MAX;

	for (uint32_t i = 0; i < relay->listeners.high; i++) {
		struct listener *listener = &relay->listeners.table[i];

		if (listener->fd < 0 || listener->about.tenant != tenant)
			continue;
		counted_at = listener->about.slot;
		listener->aborted |= abort;
		end_listener(relay, listener);
	}
	return counted_at;
}

void listen_stop(struct relay *relay)
{
	for (uint32_t i = 0; i < relay->listeners.high; i++)
		if (relay->listeners.table[i].fd >= 0)
			end_listener(relay, &relay->listeners.table[i]);
}

void listen_tick(struct relay *relay)
{
	struct listeners *listeners = &relay->listeners;

	if (!listeners->paused_until_ms || relay->now_ms < listeners->paused_until_ms)
		return;
	listeners->paused_until_ms = 0;
	for (uint32_t i = 0; i < listeners->high; i++) {
		struct listener *listener = &listeners->table[i];

		if (listener->fd < 0)
			continue;
		if (listener->ending && !listener->accepting)
			close_when_empty(relay, listener);
		else
			arm(relay, listener);
	}
}

/* Over a limit: the answer fits the socket's empty send buffer. Takes fd over. */
static void turn_away(struct sl_relay *stats, int fd)
{
	static const struct http_error busy = {
		.status = 503,
		.close = true,
		.retry_after = RETRY_AFTER,
	};
	char text[HTTP_ERROR_MAX], unread[4096];
	int n = http_error_write(&busy, text, sizeof(text));
	struct iovec part = { text, n > 0 ? (size_t)n : 0 };

	stats->accepted++;
	stats->refused_requests++;
	stats->responses_5xx++;
	stats->closed_limit++;
	if (n > 0)
		io_send(fd, &part, 1, false);
	io_shutdown(fd);
	/* close(2) with unread bytes would reset the connection before the answer is read. */
	io_recv(fd, unread, sizeof(unread));
	close(fd);
}

static void set_client(struct conn *conn, const struct sockaddr_storage *peer)
{
	const struct sockaddr_in *in4 = (const void *)peer;
	const struct sockaddr_in6 *in6 = (const void *)peer;

	if (peer->ss_family == AF_INET) {
		static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

		memcpy(conn->address.s6_addr, mapped, sizeof(mapped));
		memcpy(conn->address.s6_addr + sizeof(mapped), &in4->sin_addr, 4);
		conn->client_port = ntohs(in4->sin_port);
	} else if (peer->ss_family == AF_INET6) {
		conn->address = in6->sin6_addr;
		conn->client_port = ntohs(in6->sin6_port);
	}
}

/*
 * A bound machine may have any link-local address, and one after the other: it pays under its MAC,
 * which the guard holds it to. No client has an address of ff00::/8.
 */
static void set_payer(struct conn *conn)
{
	conn->payer = conn->address;
	if (conn->binding == BINDING_NONE || !conn->has_mac)
		return;
	conn->payer = (struct in6_addr){ .s6_addr = { 0xff } };
	memcpy(conn->payer.s6_addr + sizeof(conn->payer) - sizeof(conn->mac), conn->mac,
	       sizeof(conn->mac));
}

/*
 * A tenant may have twice as many connections as are free, and no more: whatever those take that
 * take all they get, something is left for who comes next.
 */
static bool has_room(const struct relay *relay, uint32_t slot)
{
	const struct conf_limits *limits = &relay->conf->limits;
	uint32_t held = relay->tenant_conns[slot], left = limits->connections - relay->conns.open;

	return held < limits->connections_per_tenant && held / 2 < left;
}

static void serve(struct relay *relay, const struct listener *listener, int fd)
{
	const struct conf_limits *limits = &relay->conf->limits;
	struct sl_relay *stats = &relay->stats[listener->about.slot];
	struct sockaddr_storage peer;
	struct conn *conn = NULL;

	if (io_peer_address(fd, &peer) < 0) {
		/* It was reset while it was queued. */
		close(fd);
		return;
	}
	if (has_room(relay, listener->about.slot))
		conn = conn_new(relay, fd);
	if (!conn) {
		turn_away(stats, fd);
		return;
	}
	set_client(conn, &peer);
	conn->client.tcp = peer.ss_family != AF_UNIX;
	conn->tenant = listener->about.tenant;
	conn->stats_slot = listener->about.slot;
	conn->local_port = listener->about.port;
	memcpy(conn->tenant_name, listener->about.name, sizeof(conn->tenant_name));
	memcpy(conn->network, listener->about.network, sizeof(conn->network));
	conn->client_stats = stats;
	conn->origin_stats = relay->role == PROTO_ROLE_FRONT ? &relay->unseen : stats;
	if (!bind_client(relay, conn)) {
		conn_drop(relay, conn);
		stats->accepted++;
		stats->closed_binding++;
		io_reset(fd);
		close(fd);
		return;
	}
	set_payer(conn);
	if (clients_add(&relay->clients, conn->tenant, &conn->payer,
			limits->connections_per_client) < 0) {
		conn_drop(relay, conn);
		turn_away(stats, fd);
		return;
	}
	relay->tenant_conns[conn->stats_slot]++;
	conn->counted = true;
	conn_start(relay, conn);
}

static void pause_accepting(struct relay *relay, int error)
{
	static struct log_limit limit = LOG_LIMIT(10000, 1);
	uint32_t left_out;

	relay->listeners.paused_until_ms = relay->now_ms + PAUSE_MS;
	if (log_allowed(&limit, &left_out))
		log_warn("accept: %s; pausing (%u lines left out)", strerror(-error), left_out);
}

void listen_event(struct relay *relay, const struct ring_event *event)
{
	struct listener *listener;

	assert(event->tag.slot < relay->listeners.high);
	listener = &relay->listeners.table[event->tag.slot];
	assert(listener->fd >= 0 && listener->generation == event->tag.generation);
	if (!event->more)
		listener->accepting = false;
	if (event->result >= 0 && listener->aborted) {
		io_reset(event->result);
		close(event->result);
	} else if (event->result >= 0) {
		serve(relay, listener, event->result);
	} else if (event->result == -EINVAL) {
		/* It listens no more: the parent has let go of it, and says so in a message. */
		listener->ending = true;
	} else if (event->result != -ECANCELED && event->result != -ECONNABORTED &&
		   event->result != -EAGAIN && event->result != -EINTR) {
		/* EMFILE, ENFILE, ENOMEM: it will not be better at once. */
		pause_accepting(relay, event->result);
	}
	if (listener->accepting)
		return;
	if (listener->ending)
		close_when_empty(relay, listener);
	else
		arm(relay, listener);
}

void listen_stream(struct relay *relay, int fd)
{
	struct conn *conn = conn_new(relay, fd);

	if (!conn) {
		close(fd);
		return;
	}
	conn_start(relay, conn);
}
