/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The origin's side of a request: a connection from the pool or the parent, the head
 * and body sent on it, and what happens when it turns out to be dead.
 */
#include <errno.h>
#include <stdint.h>

#include "conn.h"
#include "relay.h"

/*
 * The parent reports a failed connect itself; beyond that it may be held up for seconds, by
 * its own replacement, by the kernel's lock of the network configuration, by a slow log.
 */
#define PARENT_SLACK_MS 10000
#define HALF_SLACK_MS	1000 /* between the two halves of a bridge */
#define TRIES_MAX	3    /* times a request is sent again */

static const char no_parent[] = "The relay is being restarted; ask again.";

static const struct conf_service *service_of(const struct relay *relay, const struct conn *conn)
{
	return &relay->conf->services[conn->service];
}

static void no_origin(struct relay *relay, struct conn *conn, const char *reason)
{
	conn->origin_stats->origin_failures++;
	conn_answer(relay, conn,
		    &(struct http_error){ .status = 503, .reason = reason, .retry_after = 5 },
		    CONN_END_OK);
}

void conn_take_origin(struct relay *relay, struct conn *conn)
{
	/*
	 * A request that cannot be sent twice must not meet a connection that the origin
	 * is closing just now.
	 */
	if (conn->idempotent && !conn->tries)
		conn->origin = pool_take(relay, conn);
	conn->state = CONN_WAITING;
	if (conn->origin) {
		conn_origin_come(relay, conn);
		return;
	}
	if (pool_wait(relay, conn) < 0)
		no_origin(relay, conn, no_parent);
	else
		conn_await_origin(relay, conn);
}

/* As long as it may take to be told of a connection: one origin after the other may be tried. */
static uint32_t connect_wait(const struct conf_service *service)
{
	uint64_t wait =
		(uint64_t)service->connect_timeout * service->origins_count + PARENT_SLACK_MS;

	return wait < INT32_MAX ? (uint32_t)wait : INT32_MAX;
}

void conn_await_origin(struct relay *relay, struct conn *conn)
{
	uint32_t wait = connect_wait(service_of(relay, conn));

	if (relay->parent_fd < 0 && wait > pool_successor_ms(relay))
		wait = pool_successor_ms(relay);
	conn_deadline(relay, conn, wait);
}

void conn_origin_late(struct relay *relay, struct conn *conn)
{
	if (relay->parent_fd < 0) {
		no_origin(relay, conn, no_parent);
		return;
	}
	pool_late(relay, conn, connect_wait(service_of(relay, conn)));
	conn_refuse(relay, conn, 504, "no connection to the service in time", CONN_END_TIMEOUT);
}

void conn_origin_come(struct relay *relay, struct conn *conn)
{
	if (conn->origin->reused)
		conn->origin_stats->origin_reuses++;
	access_connected(relay, conn);
	conn->state = CONN_RESPONSE;
	conn->scanned[ORIGIN] = 0;
	conn_deadline(relay, conn, conn_response_timeout(relay, conn));
	/* An answer may come before the request is through. */
	conn_await(relay, conn, ORIGIN, RING_READABLE);
	conn_pump(relay, conn, CLIENT);
}

/* Origins of the service beside the one that failed; a FRONT worker leaves that to BACK. */
static bool has_others(const struct relay *relay, const struct conn *conn)
{
	return relay->role != PROTO_ROLE_FRONT && service_of(relay, conn)->origins_count > 1;
}

/* A connection that came straight from another request, or from the parent. */
void conn_origin_given(struct relay *relay, struct conn *conn)
{
	bool again = conn->origin->reused;

	if (pool_is_quiet(conn->origin)) {
		conn_origin_come(relay, conn);
		return;
	}
	if (!again) {
		pool_blame(relay, conn->origin);
		/* Nothing of the request has been sent, whatever it may do. */
		again = has_others(relay, conn) && conn->tries++ < TRIES_MAX;
	}
	pool_close(relay, conn->origin);
	conn->origin = NULL;
	if (again) {
		conn_take_origin(relay, conn);
		return;
	}
	conn->origin_stats->origin_failures++;
	conn_refuse(relay, conn, 502, "the service spoke or hung up before it was asked",
		    CONN_END_OK);
}

uint32_t conn_response_timeout(const struct relay *relay, const struct conn *conn)
{
	const struct conf_service *service = service_of(relay, conn);

	if (relay->role != PROTO_ROLE_FRONT)
		return service->response_timeout;
	/* The half that sees the origin answers first. */
	return service->response_timeout + connect_wait(service) + HALF_SLACK_MS;
}

void conn_origin_failed(struct relay *relay, struct conn *conn, int error)
{
	if (error != ETIMEDOUT) {
		/*
		 * EAGAIN: the parent has as many to connect for this worker as it may;
		 * EADDRNOTAVAIL: local ports are used up.
		 */
		no_origin(relay, conn,
			  error == EMFILE || error == EAGAIN || error == EADDRNOTAVAIL
				  ? "the relay is overloaded"
				  : "the service is not there");
		return;
	}
	conn->origin_stats->origin_failures++;
	conn_refuse(relay, conn, 504, "the service takes no connection in time", CONN_END_OK);
}

/*
 * May the request go out once more? Not when it could have an effect twice, and not when
 * anything of an answer was seen. A pooled connection that dies was probably closed while it
 * was idle; a fresh one that does says something about that origin, and others are asked.
 */
static bool may_ask_again(const struct relay *relay, const struct conn *conn)
{
	return conn->idempotent && conn->tries < TRIES_MAX && !conn->interims &&
	       buf_len(&conn->in[ORIGIN]) == 0 && (conn->origin->reused || has_others(relay, conn));
}

/* Nothing of a response has come and none will. */
void conn_origin_lost(struct relay *relay, struct conn *conn, const char *why)
{
	if (!conn->origin->reused && !conn->interims && buf_len(&conn->in[ORIGIN]) == 0)
		pool_blame(relay, conn->origin);
	if (!may_ask_again(relay, conn)) {
		conn->origin_stats->origin_failures++;
		conn_refuse(relay, conn, 502, why, CONN_END_OK);
		return;
	}
	pool_close(relay, conn->origin);
	conn->origin = NULL;
	conn->tries++;
	conn->cut = false;
	conn->origin_stats->origin_retries++;
	conn->head[CLIENT].start = 0;
	buf_put(&conn->in[ORIGIN]);
	pump_begin(&conn->flow[CLIENT], HTTP_FRAMING_NONE, 0, 0);
	conn_take_origin(relay, conn);
}
