/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of connections, what they await, and how they end. Completions come from
 * worker.c's switch; each goes to the step that its state waits for.
 */
#include "conn.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io.h"
#include "relay.h"

/* A client that resets its connection while it waits is looked for after so long. */
#define WATCH_AFTER_MS 1000
/* What is read of a head at once: body bytes read along with it must be copied. */
#define HEAD_READ 8192

const char *conn_reason_name(enum conn_reason reason)
{
	static const char *const names[] = {
		[CONN_END_OK] = "ok",
		[CONN_END_CLIENT] = "client",
		[CONN_END_ORIGIN] = "origin",
		[CONN_END_TIMEOUT] = "timeout",
		[CONN_END_PROTOCOL] = "protocol",
		[CONN_END_LIMIT] = "limit",
		[CONN_END_SHUTDOWN] = "shutdown",
		[CONN_END_BINDING] = "binding",
	};
	static_assert(sizeof(names) / sizeof(names[0]) == CONN_REASONS, "a name each");

	return names[reason];
}

static void *reserve(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int conn_table_init(struct conn_table *table, uint32_t max)
{
	*table = (struct conn_table){ .max = max };
	table->ready_tail = &table->ready;
	table->conns = reserve(sizeof(*table->conns) * max);
	table->spare = reserve(sizeof(*table->spare) * max);
	if (!table->conns || !table->spare) {
		conn_table_free(table);
		return -ENOMEM;
	}
	return 0;
}

void conn_table_free(struct conn_table *table)
{
	if (table->conns)
		munmap(table->conns, sizeof(*table->conns) * table->max);
	if (table->spare)
		munmap(table->spare, sizeof(*table->spare) * table->max);
	*table = (struct conn_table){ 0 };
}

struct conn *conn_find(struct conn_table *table, struct ring_tag tag)
{
	struct conn *conn;

	assert(tag.slot < table->fresh);
	conn = &table->conns[tag.slot];
	assert(conn->state != CONN_FREE && conn->generation == tag.generation);
	return conn;
}

struct conn *conn_new(struct relay *relay, int fd)
{
	struct conn_table *table = &relay->conns;
	uint32_t slot, generation;
	struct conn *conn;

	if (table->spares)
		slot = table->spare[--table->spares];
	else if (table->fresh < table->max)
		slot = table->fresh++;
	else
		return NULL;
	conn = &table->conns[slot];
	generation = (conn->generation + 1) % RING_GENERATIONS;
	*conn = (struct conn){
		.slot = slot,
		.generation = generation,
		.state = CONN_IDLE,
		.client = { .fd = fd },
		.total_deadline_ms = INT64_MAX,
		.binding = BINDING_NONE,
		.client_stats = &relay->unseen,
		.origin_stats = &relay->unseen,
	};
	table->open++;
	return conn;
}

void conn_drop(struct relay *relay, struct conn *conn)
{
	conn->client.fd = -1;
	conn->state = CONN_FREE;
	relay->conns.spare[relay->conns.spares++] = conn->slot;
	relay->conns.open--;
}

void conn_start(struct relay *relay, struct conn *conn)
{
	conn->client_stats->accepted++;
	conn->client_stats->open++;
	conn_deadline(relay, conn, relay->conf->limits.head_timeout);
	/* Often the request is there already. */
	conn_read_head(relay, conn);
}

static struct ring_tag conn_tag(const struct conn *conn, enum side side, enum ring_op op)
{
	if (side == CLIENT)
		return (struct ring_tag){ op, CLIENT, conn->slot, conn->generation };
	return (struct ring_tag){ op, ORIGIN, conn->origin->slot, conn->origin->generation };
}

void conn_await(struct relay *relay, struct conn *conn, enum side side, enum ring_op op)
{
	struct end *end = side == CLIENT ? &conn->client : &conn->origin->end;

	if (end->polling & 1 << op)
		return;
	end->polling |= (uint8_t)(1 << op);
	ring_poll(&relay->ring, end->fd, conn_tag(conn, side, op));
}

ssize_t conn_fill(struct relay *relay, struct conn *conn, enum side side)
{
	int fd = side == CLIENT ? conn->client.fd : conn->origin->end.fd;
	struct buf *in = &conn->in[side];
	uint32_t room;
	ssize_t n;

	if (buf_take(&relay->heads, in) < 0)
		return -ENOBUFS;
	buf_compact(in);
	room = buf_room(in) < HEAD_READ ? buf_room(in) : HEAD_READ;
	n = io_recv(fd, in->data + in->end, room);
	if (n > 0)
		in->end += (uint32_t)n;
	else if (n == -EAGAIN)
		conn_await(relay, conn, side, RING_READABLE);
	return n;
}

/* Is the only sign of the client, for now, whether its socket lives? */
static bool unwatched(const struct conn *conn)
{
	return (conn->state == CONN_WAITING || conn->state == CONN_RESPONSE) &&
	       !(conn->client.polling & (1 << RING_RESET | 1 << RING_READABLE));
}

void conn_deadline(struct relay *relay, struct conn *conn, uint32_t after_ms)
{
	int64_t due = relay->now_ms + after_ms;

	if (due > conn->total_deadline_ms)
		due = conn->total_deadline_ms;
	conn->deadline_ms = due;
	if (unwatched(conn) && due > relay->now_ms + WATCH_AFTER_MS)
		due = relay->now_ms + WATCH_AFTER_MS;
	timer_set(&relay->wheel, &conn->timer, due);
}

void conn_defer(struct relay *relay, struct conn *conn, uint8_t todo)
{
	struct conn_table *table = &relay->conns;

	conn->todo |= todo;
	if (conn->queued)
		return;
	conn->queued = true;
	conn->next_ready = NULL;
	*table->ready_tail = conn;
	table->ready_tail = &conn->next_ready;
}

static bool is_flying(const struct conn *conn)
{
	return conn->flow[CLIENT].flying || conn->flow[ORIGIN].flying;
}

/* The ring may still need the descriptor: its completions come back first. */
static void close_client(struct conn *conn)
{
	if (conn->client.fd < 0 || conn->client.polling || is_flying(conn))
		return;
	close(conn->client.fd);
	conn->client.fd = -1;
}

/* Closes what the connection owned; everything in flight has come back. */
static void conn_free(struct relay *relay, struct conn *conn)
{
	assert(conn->state == CONN_CLOSING);
	assert(!conn->client.polling && !is_flying(conn));
	if (conn->origin)
		pool_close(relay, conn->origin);
	for (int side = 0; side < SIDES; side++) {
		pump_release(relay, &conn->flow[side]);
		buf_put(&conn->in[side]);
		buf_put(&conn->head[side]);
	}
	close_client(conn);
	conn->origin = NULL;
	if (conn->counted) {
		clients_remove(&relay->clients, conn->tenant, &conn->payer);
		relay->tenant_conns[conn->stats_slot]--;
	}
	conn_drop(relay, conn);
}

static void conn_run(struct relay *relay, struct conn *conn, uint8_t todo)
{
	if (conn->state == CONN_CLOSING) {
		if (!conn->client.polling && !is_flying(conn))
			conn_free(relay, conn);
		return;
	}
	if (todo & CONN_TODO_NEXT && conn->state == CONN_HEAD)
		conn_parse_head(relay, conn);
	if (todo & CONN_TODO_CONNECT && conn->state == CONN_WAITING && conn->origin)
		conn_origin_given(relay, conn);
	if (todo & 1 << CLIENT && (conn->state == CONN_RESPONSE || conn->state == CONN_BODY))
		conn_pump(relay, conn, CLIENT);
	if (todo & 1 << ORIGIN && conn->state == CONN_BODY)
		conn_pump(relay, conn, ORIGIN);
}

bool conn_alone(const struct relay *relay)
{
	return !relay->conns.ready && !relay->conns.running && relay->events_left == 0 &&
	       ring_quiet(&relay->ring);
}

void conn_run_ready(struct relay *relay)
{
	struct conn_table *table = &relay->conns;
	struct conn *conn = table->ready, *next;

	/* What is deferred from here on has its turn after the ring was looked at. */
	table->ready = NULL;
	table->ready_tail = &table->ready;
	for (; conn; conn = next) {
		uint8_t todo = conn->todo;

		next = conn->next_ready;
		conn->queued = false;
		conn->todo = 0;
		table->running = next;
		conn_run(relay, conn, todo);
	}
}

void conn_ready_event(struct relay *relay, struct conn *conn, enum side side, enum ring_op op)
{
	if (op == RING_RESET && conn->state != CONN_CLOSING && conn->state != CONN_LINGER) {
		conn_close(relay, conn, CONN_END_CLIENT);
		return;
	}
	switch (conn->state) {
	case CONN_IDLE:
	case CONN_HEAD:
		if (op == RING_READABLE && !(conn->todo & CONN_TODO_NEXT))
			conn_read_head(relay, conn);
		break;
	case CONN_RESPONSE:
		if (side == ORIGIN && op == RING_READABLE)
			conn_read_response(relay, conn);
		else if (side == CLIENT && op == RING_WRITABLE)
			conn_send_interim(relay, conn);
		else
			conn_pump(relay, conn, CLIENT);
		break;
	case CONN_BODY:
		if ((side == ORIGIN) == (op == RING_READABLE))
			conn_pump(relay, conn, ORIGIN);
		else
			conn_pump(relay, conn, CLIENT);
		break;
	case CONN_LINGER:
		conn_linger(relay, conn);
		break;
	case CONN_CLOSING:
		conn_defer(relay, conn, CONN_TODO_END);
		break;
	case CONN_WAITING:
	case CONN_FREE:
	case CONN_STATES:
		break;
	}
}

void conn_landed(struct relay *relay, struct conn *conn, enum side from)
{
	if (conn->state == CONN_CLOSING)
		conn_defer(relay, conn, CONN_TODO_END);
	else
		conn_pump(relay, conn, from);
}

void conn_timeout(struct relay *relay, struct conn *conn)
{
	if (relay->now_ms < conn->deadline_ms) {
		/* A client that waits for so long may have gone. */
		if (unwatched(conn))
			conn_await(relay, conn, CLIENT, RING_RESET);
		timer_set(&relay->wheel, &conn->timer, conn->deadline_ms);
		return;
	}
	switch (conn->state) {
	case CONN_IDLE:
		conn_close(relay, conn, CONN_END_OK);
		break;
	case CONN_HEAD:
		conn_refuse(relay, conn, 408, NULL, CONN_END_TIMEOUT);
		break;
	case CONN_LINGER:
		conn_close(relay, conn, conn->reason);
		break;
	case CONN_WAITING:
		conn_origin_late(relay, conn);
		break;
	case CONN_RESPONSE:
		if (!conn->flow[CLIENT].done && (conn->client.polling & 1 << RING_READABLE ||
						 relay->now_ms >= conn->request_deadline_ms))
			conn_refuse(relay, conn, 408, "the request's body did not come in time",
				    CONN_END_TIMEOUT);
		else
			conn_refuse(relay, conn, 504, NULL, CONN_END_TIMEOUT);
		break;
	default:
		conn_close(relay, conn, CONN_END_TIMEOUT);
	}
}

static void count_end(struct sl_relay *stats, enum conn_reason reason)
{
	static const size_t counters[] = {
		[CONN_END_OK] = offsetof(struct sl_relay, closed_ok),
		[CONN_END_CLIENT] = offsetof(struct sl_relay, closed_client),
		[CONN_END_ORIGIN] = offsetof(struct sl_relay, closed_origin),
		[CONN_END_TIMEOUT] = offsetof(struct sl_relay, closed_timeout),
		[CONN_END_PROTOCOL] = offsetof(struct sl_relay, closed_protocol),
		[CONN_END_LIMIT] = offsetof(struct sl_relay, closed_limit),
		[CONN_END_SHUTDOWN] = offsetof(struct sl_relay, closed_shutdown),
		[CONN_END_BINDING] = offsetof(struct sl_relay, closed_binding),
	};
	static_assert(sizeof(counters) / sizeof(counters[0]) == CONN_REASONS, "a counter each");

	++*(__u64 *)((char *)stats + counters[reason]);
}

/*
 * A response that was cut must not look complete, and bytes still unsent would pin a
 * namespace that is being deleted, or reach who has the address now.
 */
static bool ends_in_reset(const struct conn *conn, enum conn_reason reason)
{
	if (reason == CONN_END_SHUTDOWN || reason == CONN_END_BINDING)
		return true;
	return reason != CONN_END_OK && (conn->state == CONN_WAITING ||
					 conn->state == CONN_RESPONSE || conn->state == CONN_BODY);
}

void conn_close(struct relay *relay, struct conn *conn, enum conn_reason reason)
{
	if (conn->state == CONN_CLOSING)
		return;
	access_end(relay, conn, conn_reason_name(reason));
	count_end(conn->client_stats, reason);
	conn->client_stats->open--;
	if (conn->client.tcp && ends_in_reset(conn, reason))
		io_reset(conn->client.fd);
	if (conn->state == CONN_WAITING)
		pool_leave(relay, conn);
	conn->state = CONN_CLOSING;
	timer_remove(&conn->timer);
	for (int op = RING_READABLE; op <= RING_RESET; op++)
		if (conn->client.polling & 1 << op)
			ring_cancel(&relay->ring, conn_tag(conn, CLIENT, (enum ring_op)op));
	/* The origin learns at once; a splice in flight still needs its socket. */
	if (conn->origin && !is_flying(conn)) {
		pool_close(relay, conn->origin);
		conn->origin = NULL;
	}
	close_client(conn);
	conn_defer(relay, conn, CONN_TODO_END);
}
