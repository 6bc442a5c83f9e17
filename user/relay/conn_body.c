/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bodies under way in both directions, and what follows a response: the next request,
 * or the end of the connection.
 */
#include <errno.h>

#include "conn.h"
#include "io.h"
#include "relay.h"

/* How long and for how many bytes a client that was answered early is listened to. */
#define LINGER_MS    5000
#define LINGER_BYTES (4 << 20)

static void finish_response(struct relay *relay, struct conn *conn);

/* The request cannot go on: say so while nothing of a response is out, else cut. */
static void break_request(struct relay *relay, struct conn *conn, uint16_t status,
			  enum conn_reason reason)
{
	conn->cut = true;
	if (conn->state == CONN_RESPONSE && !conn->flow[CLIENT].flying)
		conn_refuse(relay, conn, status, NULL, reason);
	else
		conn_close(relay, conn, reason);
}

/* What is left of the time for a whole request, but no more than wait. */
static uint32_t within_request(const struct relay *relay, const struct conn *conn, uint32_t wait)
{
	int64_t left = conn->request_deadline_ms - relay->now_ms;

	if (left < 0)
		left = 0;
	return left < wait ? (uint32_t)left : wait;
}

/* The origin's time starts anew as long as it takes the request. */
static void request_moves(struct relay *relay, struct conn *conn)
{
	uint32_t wait = conn_response_timeout(relay, conn);

	if (conn->state != CONN_RESPONSE)
		return;
	if (!conn->flow[CLIENT].done)
		wait = within_request(relay, conn, wait);
	conn_deadline(relay, conn, wait);
}

static void request_pumped(struct relay *relay, struct conn *conn, enum pump_result result)
{
	switch (result) {
	case PUMP_DONE:
		request_moves(relay, conn);
		break;
	case PUMP_READ:
		conn_await(relay, conn, CLIENT, RING_READABLE);
		if (conn->state == CONN_RESPONSE)
			conn_deadline(
				relay, conn,
				within_request(relay, conn, relay->conf->limits.body_timeout));
		break;
	case PUMP_WRITE:
		conn_await(relay, conn, ORIGIN, RING_WRITABLE);
		request_moves(relay, conn);
		break;
	case PUMP_FLYING:
		request_moves(relay, conn);
		break;
	case PUMP_AGAIN:
		conn_defer(relay, conn, 1 << CLIENT);
		request_moves(relay, conn);
		break;
	case PUMP_SOURCE_END:
	case PUMP_SOURCE_ERROR:
		conn_close(relay, conn, CONN_END_CLIENT);
		break;
	case PUMP_SOURCE_INVALID:
		break_request(relay, conn, 400, CONN_END_PROTOCOL);
		break;
	case PUMP_TOO_LONG:
		break_request(relay, conn, 413, CONN_END_LIMIT);
		break;
	case PUMP_SINK_ERROR:
		/* It may have answered before it stopped listening. */
		conn->cut = true;
		conn->origin_keep = false;
		if (conn->state == CONN_RESPONSE)
			conn_read_response(relay, conn);
		break;
	}
}

static void response_pumped(struct relay *relay, struct conn *conn, enum pump_result result)
{
	switch (result) {
	case PUMP_DONE:
		finish_response(relay, conn);
		break;
	case PUMP_READ:
		conn_await(relay, conn, ORIGIN, RING_READABLE);
		conn_deadline(relay, conn, relay->conf->services[conn->service].idle_timeout);
		break;
	case PUMP_WRITE:
		conn_await(relay, conn, CLIENT, RING_WRITABLE);
		conn_deadline(relay, conn, relay->conf->limits.send_timeout);
		break;
	case PUMP_FLYING:
		conn_deadline(relay, conn, relay->conf->services[conn->service].idle_timeout);
		break;
	case PUMP_AGAIN:
		conn_defer(relay, conn, 1 << ORIGIN);
		conn_deadline(relay, conn, relay->conf->services[conn->service].idle_timeout);
		break;
	case PUMP_SOURCE_END:
	case PUMP_SOURCE_ERROR:
	case PUMP_SOURCE_INVALID:
	case PUMP_TOO_LONG:
		conn_close(relay, conn, CONN_END_ORIGIN);
		break;
	case PUMP_SINK_ERROR:
		conn_close(relay, conn, CONN_END_CLIENT);
		break;
	}
}

void conn_pump(struct relay *relay, struct conn *conn, enum side from)
{
	if (from == ORIGIN) {
		response_pumped(relay, conn, pump_run(relay, conn, ORIGIN));
		return;
	}
	if (conn->state == CONN_BODY && conn->flow[ORIGIN].done) {
		finish_response(relay, conn);
		return;
	}
	if (conn->cut || !conn->origin || conn->flow[CLIENT].done)
		return;
	request_pumped(relay, conn, pump_run(relay, conn, CLIENT));
}

static void hang_up(struct relay *relay, struct conn *conn)
{
	char unread[256];

	conn->state = CONN_LINGER;
	/* A close that finds something unread would throw away what waits for the FIN. */
	if (conn->flow[ORIGIN].corked)
		io_shutdown(conn->client.fd);
	/* close(2) with unread bytes sends a reset, which can overtake the answer. */
	if (pump_complete(&conn->flow[CLIENT]) && buf_len(&conn->in[CLIENT]) == 0 &&
	    (!conn->keep_alive || io_recv(conn->client.fd, unread, sizeof(unread)) <= 0)) {
		conn_close(relay, conn, conn->reason);
		return;
	}
	io_shutdown(conn->client.fd);
	buf_put(&conn->in[CLIENT]);
	conn->linger_left = LINGER_BYTES;
	conn->total_deadline_ms = INT64_MAX;
	conn_deadline(relay, conn, LINGER_MS);
	conn_linger(relay, conn);
}

void conn_linger(struct relay *relay, struct conn *conn)
{
	char unread[16384];

	for (int i = 0; i < 4; i++) {
		ssize_t n = io_recv(conn->client.fd, unread, sizeof(unread));

		if (n == -EAGAIN)
			break;
		if (n <= 0 || (uint32_t)n >= conn->linger_left) {
			conn_close(relay, conn, conn->reason);
			return;
		}
		conn->linger_left -= (uint32_t)n;
	}
	conn_await(relay, conn, CLIENT, RING_READABLE);
}

static void finish_response(struct relay *relay, struct conn *conn)
{
	bool whole = conn->flow[CLIENT].done && !conn->cut;

	/* The request's splice uses the origin's socket: its completion comes back here. */
	if (conn->flow[CLIENT].flying)
		return;
	access_end(relay, conn,
		   conn->reason != CONN_END_OK ? conn_reason_name(conn->reason)
		   : conn->refused	       ? "refused"
					       : "complete");
	if (conn->origin) {
		if (conn->origin_keep && whole && buf_len(&conn->in[ORIGIN]) == 0)
			pool_give(relay, conn->origin);
		else
			pool_close(relay, conn->origin);
		conn->origin = NULL;
	}
	pump_release(relay, &conn->flow[CLIENT]);
	pump_release(relay, &conn->flow[ORIGIN]);
	buf_put(&conn->in[ORIGIN]);
	buf_put(&conn->head[ORIGIN]);
	buf_put(&conn->head[CLIENT]);
	if (conn->closing || !pump_complete(&conn->flow[CLIENT]))
		hang_up(relay, conn);
	else
		conn_next(relay, conn);
}

void conn_next(struct relay *relay, struct conn *conn)
{
	conn->total_deadline_ms = INT64_MAX;
	if (buf_len(&conn->in[CLIENT])) {
		/* Pipelined: others go first. */
		conn_begin_head(relay, conn);
		conn_deadline(relay, conn, relay->conf->limits.head_timeout);
		conn_defer(relay, conn, CONN_TODO_NEXT);
		return;
	}
	buf_put(&conn->in[CLIENT]);
	conn->state = CONN_IDLE;
	conn_deadline(relay, conn, relay->conf->limits.keepalive_timeout);
	conn_await(relay, conn, CLIENT, RING_READABLE);
}
