/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The response's head: read from the origin, checked, rewritten for the client; 1xx
 * responses go by on the way. Our own answers start here, too.
 */
#include <assert.h>
#include <errno.h>

#include "bridge.h"
#include "conn.h"
#include "io.h"
#include "measure.h"
#include "relay.h"

#define INTERIMS_MAX 16 /* 1xx responses to one request */

static void parse_response(struct relay *relay, struct conn *conn);

void conn_read_response(struct relay *relay, struct conn *conn)
{
	ssize_t n = conn_fill(relay, conn, ORIGIN);

	if (n > 0)
		parse_response(relay, conn);
	else if (n == -ENOBUFS)
		conn_close(relay, conn, CONN_END_LIMIT);
	else if (n != -EAGAIN)
		conn_origin_lost(relay, conn,
				 n == 0 ? "the service closed the connection without an answer"
					: "the service reset the connection");
}

static void count_response(struct sl_relay *stats, unsigned status)
{
	if (status < 300)
		stats->responses_2xx++;
	else if (status < 400)
		stats->responses_3xx++;
	else if (status < 500)
		stats->responses_4xx++;
	else
		stats->responses_5xx++;
}

/* Appends a rewritten head to what goes to the client. */
static int put_head(struct relay *relay, struct conn *conn, const struct http_response_plan *plan)
{
	struct buf *in = &conn->in[ORIGIN], *out = &conn->head[ORIGIN];
	int n = buf_take(&relay->heads, out);

	if (n < 0)
		return n;
	buf_compact(out);
	n = http_response_write(&relay->head, in->data + in->start, plan, out->data + out->end,
				buf_room(out));
	if (n < 0)
		return n;
	out->end += (uint32_t)n;
	return 0;
}

static void bad_response(struct relay *relay, struct conn *conn, const char *reason)
{
	conn->origin_stats->origin_failures++;
	conn_refuse(relay, conn, 502, reason, CONN_END_OK);
}

/* 1xx. False: the exchange is over. */
static bool pass_interim(struct relay *relay, struct conn *conn)
{
	struct http_response_plan plan;

	if (++conn->interims > INTERIMS_MAX) {
		bad_response(relay, conn, "the service sends interim responses without end");
		return false;
	}
	http_response_plan(&relay->head, conn->minor, conn->keep_alive, false, &plan);
	if (!plan.drop && put_head(relay, conn, &plan) < 0) {
		bad_response(relay, conn, "the service's interim responses are too long");
		return false;
	}
	buf_consume(&conn->in[ORIGIN], relay->head.len);
	conn->scanned[ORIGIN] = 0;
	return true;
}

void conn_send_interim(struct relay *relay, struct conn *conn)
{
	struct buf *out = &conn->head[ORIGIN];
	struct iovec part;
	ssize_t n;

	if (buf_len(out) == 0)
		return;
	part = (struct iovec){ out->data + out->start, buf_len(out) };
	n = io_send(conn->client.fd, &part, 1, false);
	if (n == -EAGAIN) {
		conn_await(relay, conn, CLIENT, RING_WRITABLE);
		return;
	}
	if (n < 0) {
		conn_close(relay, conn, CONN_END_CLIENT);
		return;
	}
	buf_consume(out, (uint32_t)n);
	conn->client_stats->bytes_to_client += (uint64_t)n;
	if (buf_len(out))
		conn_await(relay, conn, CLIENT, RING_WRITABLE);
	else
		buf_put(out);
}

/* The final head is there: how the response reaches the client is decided here. */
static void pass_response(struct relay *relay, struct conn *conn)
{
	struct http_head *head = &relay->head;
	struct flow *flow = &conn->flow[ORIGIN];
	struct buf *out = &conn->head[ORIGIN];
	struct http_response_plan plan;
	bool until_close = bridge_unmark(head, conn->in[ORIGIN].data + conn->in[ORIGIN].start);
	bool to_bridge = relay->role == PROTO_ROLE_BACK && head->framing == HTTP_FRAMING_EOF;
	enum http_framing framing = head->framing;

	/* Answered before the request was through: the rest of it is not wanted. */
	if (!conn->flow[CLIENT].done)
		conn->closing = true;
	if (to_bridge)
		head->framing = HTTP_FRAMING_CHUNKED;
	if (until_close && relay->role == PROTO_ROLE_FRONT && framing == HTTP_FRAMING_CHUNKED)
		head->framing = HTTP_FRAMING_EOF;
	http_response_plan(head, conn->minor, conn->keep_alive, conn->closing || relay->draining,
			   &plan);
	if (put_head(relay, conn, &plan) < 0) {
		bad_response(relay, conn, "the service's response head is too long");
		return;
	}
	pump_begin(flow, framing, head->length, UINT64_MAX);
	flow->unchunk = framing == HTTP_FRAMING_CHUNKED && plan.framing == HTTP_FRAMING_EOF;
	if (to_bridge) {
		int n = bridge_mark(out->data, out->end, out->size);

		if (n < 0) {
			/* The head stands in the buffer already: no answer may follow it. */
			conn_close(relay, conn, CONN_END_ORIGIN);
			return;
		}
		out->end = (uint32_t)n;
	}
	conn->closing |= plan.close;
	conn->answered = true;
	/* An origin that left the body unread would take it for the next request. */
	conn->origin_keep = head->keep_alive && framing != HTTP_FRAMING_EOF && !conn->has_body;
	count_response(conn->client_stats, head->status);
	measure_answered(relay, conn);
	access_answered(relay, conn, head->status);
	buf_consume(&conn->in[ORIGIN], head->len);
	if (to_bridge)
		pump_chunk_out(flow, buf_len(&conn->in[ORIGIN]));
	if (conn->flow[CLIENT].done)
		buf_put(&conn->head[CLIENT]);
	conn->state = CONN_BODY;
	conn_pump(relay, conn, ORIGIN);
}

static void parse_response(struct relay *relay, struct conn *conn)
{
	struct buf *in = &conn->in[ORIGIN];
	struct http_refusal refusal;
	enum http_verdict verdict;

	for (;;) {
		verdict = http_response_parse(in->data + in->start, buf_len(in),
					      &conn->scanned[ORIGIN], &relay->limits, conn->method,
					      &relay->head, &refusal);
		if (verdict != HTTP_OK || relay->head.status >= 200)
			break;
		if (!pass_interim(relay, conn))
			return;
	}
	switch (verdict) {
	case HTTP_MORE:
		conn_await(relay, conn, ORIGIN, RING_READABLE);
		conn_send_interim(relay, conn);
		break;
	case HTTP_OK:
		pass_response(relay, conn);
		break;
	case HTTP_REFUSED:
		bad_response(relay, conn, refusal.reason);
		break;
	}
}

void conn_answer(struct relay *relay, struct conn *conn, const struct http_error *error,
		 enum conn_reason end)
{
	struct buf *out = &conn->head[ORIGIN];
	struct http_error answer = *error;
	int n;

	assert(conn->state == CONN_HEAD || conn->state == CONN_WAITING ||
	       conn->state == CONN_RESPONSE);
	if (conn->flow[CLIENT].flying) {
		/* The ring looks descriptors up when it comes to them: none may change now. */
		conn_close(relay, conn, end != CONN_END_OK ? end : CONN_END_ORIGIN);
		return;
	}
	access_answered(relay, conn, answer.status);
	if (conn->state == CONN_WAITING)
		pool_leave(relay, conn);
	if (conn->origin)
		pool_close(relay, conn->origin);
	conn->origin = NULL;
	conn->refused = true;
	conn->reason = end;
	conn->closing = end != CONN_END_OK || !conn->keep_alive || relay->draining ||
			!pump_complete(&conn->flow[CLIENT]);
	answer.head_request = conn->method == HTTP_HEAD;
	answer.close = conn->closing;
	answer.keep_alive = conn->minor == 0 && !conn->closing;
	buf_consume(&conn->in[CLIENT], conn->head_len);
	conn->head_len = 0;
	if (buf_take(&relay->heads, out) < 0) {
		conn_close(relay, conn, CONN_END_LIMIT);
		return;
	}
	buf_compact(out);
	n = http_error_write(&answer, out->data + out->end, buf_room(out));
	if (n < 0) {
		conn_close(relay, conn, end);
		return;
	}
	out->end += (uint32_t)n;
	conn->client_stats->refused_requests++;
	count_response(conn->client_stats, answer.status);
	measure_answered(relay, conn);
	conn->state = CONN_BODY;
	pump_begin(&conn->flow[ORIGIN], HTTP_FRAMING_NONE, 0, 0);
	conn_pump(relay, conn, ORIGIN);
}

void conn_refuse(struct relay *relay, struct conn *conn, uint16_t status, const char *reason,
		 enum conn_reason end)
{
	struct http_error error = {
		.status = status,
		.reason = reason,
		.retry_after = status == 503 ? 5 : 0,
	};

	conn_answer(relay, conn, &error, end);
}
