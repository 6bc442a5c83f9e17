/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What waits in user memory (a head, a chunk frame, the source's buffer) goes before what
 * waits in the pipe; each step empties what waits before it reads more, except that once,
 * before a head, what follows it is fetched to leave together with it. Waiting is always for a poll
 * that looks at the socket's present state, so leaving with unsent bytes cannot lose a wakeup.
 */
#include "pump.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "chunks.h"
#include "conn.h"
#include "io.h"
#include "pump_impl.h"
#include "relay.h"

/* From so many bytes on a larger pipe saves calls. */
#define LARGE_BODY (16 << 20)
/* Turns in a row while nobody else wants one. */
#define TURNS_ALONE 8
/* Below, an origin's window is never closed for want of an acknowledgement. */
#define QUICKACK_BODY (256 << 10)

void pump_begin(struct flow *flow, enum http_framing framing, uint64_t length, uint64_t limit)
{
	assert(!flow->pipe && !flow->flying);
	*flow = (struct flow){
		.framing = framing,
		.left = framing == HTTP_FRAMING_LENGTH ? length
			: framing == HTTP_FRAMING_EOF  ? UINT64_MAX
						       : 0,
		.limit = limit,
	};
	flow->read =
		framing == HTTP_FRAMING_NONE || (framing == HTTP_FRAMING_LENGTH && length == 0);
}

bool pump_complete(const struct flow *flow)
{
	return flow->read;
}

void pump_release(struct relay *relay, struct flow *flow)
{
	assert(!flow->flying);
	if (flow->pipe)
		pipe_put(&relay->pipes, flow->pipe);
	flow->pipe = NULL;
}

/* Bytes of the source's buffer that belong to the body and may go. */
static uint32_t sendable(const struct flow *flow, const struct buf *in)
{
	uint32_t len = buf_len(in);

	switch (flow->framing) {
	case HTTP_FRAMING_LENGTH:
		return len < flow->left ? len : (uint32_t)flow->left;
	case HTTP_FRAMING_EOF:
		return len;
	case HTTP_FRAMING_CHUNKED:
		return flow->cleared;
	default:
		return 0;
	}
}

/*
 * Is this send the connection's last? Then its bytes wait for the FIN that hang_up()'s
 * shutdown(2) adds to their segment: one packet less.
 */
static bool ends_with(const struct conn *conn, enum side from, uint32_t body)
{
	const struct flow *flow = &conn->flow[from];

	return from == ORIGIN && conn->closing && !conn->flow[CLIENT].flying &&
	       (flow->framing == HTTP_FRAMING_NONE ||
		(flow->framing == HTTP_FRAMING_LENGTH && flow->left == body));
}

/* Sends what waits in user memory with one call. */
static enum pump_result send_buffered(struct conn *conn, enum side from, int64_t *budget)
{
	struct flow *flow = &conn->flow[from];
	struct buf *head = &conn->head[from], *in = &conn->in[from];
	uint32_t frame = (uint32_t)flow->frame_len - flow->frame_sent;
	uint32_t head_len = buf_len(head), body = sendable(flow, in);
	bool piped = flow->pipe && flow->pipe->held;
	bool last = !piped && ends_with(conn, from, body);
	struct iovec parts[3];
	size_t count = 0, sent;
	ssize_t n;

	assert(!piped || body == 0 || flow->framing == HTTP_FRAMING_LENGTH);
	if (head_len)
		parts[count++] = (struct iovec){ head->data + head->start, head_len };
	if (frame)
		parts[count++] = (struct iovec){ flow->frame + flow->frame_sent, frame };
	if (body)
		parts[count++] = (struct iovec){ in->data + in->start, body };
	flow->corked = last;
	/* Only with a full pipe, or a FIN, is it certain that the next call sends at once. */
	n = io_send(sink_fd(conn, from), parts, count, piped || last);
	if (n == -EAGAIN)
		return PUMP_WRITE;
	if (n < 0)
		return PUMP_SINK_ERROR;
	count_sent(conn, from, (uint64_t)n);
	*budget -= n;
	sent = (size_t)n < head_len ? (size_t)n : head_len;
	buf_consume(head, (uint32_t)sent);
	n -= (ssize_t)sent;
	sent = (size_t)n < frame ? (size_t)n : frame;
	flow->frame_sent += (uint8_t)sent;
	n -= (ssize_t)sent;
	if (n == 0)
		return PUMP_AGAIN;
	buf_consume(in, (uint32_t)n);
	conn->client_stats->bytes_copied += (uint64_t)n;
	if (flow->framing == HTTP_FRAMING_CHUNKED)
		flow->cleared -= (uint32_t)n;
	body_taken(flow, (uint64_t)n);
	return PUMP_AGAIN;
}

/* Where body bytes are read to. A large rest deserves a large buffer. */
static int take_buffer(struct relay *relay, struct buf *in, uint64_t expected)
{
	uint32_t len = buf_len(in);

	if (in->pool != &relay->bulk && expected > relay->heads.size - len) {
		struct buf bulk = { 0 };

		if (buf_take(&relay->bulk, &bulk) == 0) {
			if (len)
				memcpy(bulk.data, in->data + in->start, len);
			bulk.end = len;
			buf_put(in);
			*in = bulk;
			return 0;
		}
	}
	return buf_take(&relay->heads, in);
}

void pump_chunk_out(struct flow *flow, uint32_t buffered)
{
	assert(flow->framing == HTTP_FRAMING_EOF);
	flow->chunk_out = true;
	if (buffered)
		frame_piece(flow, buffered);
}

/* Bytes that may be read without reading into the next message. */
static uint64_t readable(const struct flow *flow, const struct buf *in)
{
	/* Framing has to be looked at anyway; what is read beyond it stays in the buffer. */
	if (flow->framing == HTTP_FRAMING_CHUNKED)
		return UINT64_MAX;
	return flow->left - buf_len(in);
}

static enum pump_result copy_in(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];
	struct buf *in = &conn->in[from];
	uint64_t want = readable(flow, in);
	ssize_t n;

	if (take_buffer(relay, in, flow->framing == HTTP_FRAMING_CHUNKED ? flow->chunk.left : want))
		return PUMP_SOURCE_ERROR;
	buf_compact(in);
	if (want > buf_room(in))
		want = buf_room(in);
	n = io_recv(end_of(conn, from)->fd, in->data + in->end, want);
	if (n == -EAGAIN) {
		if (buf_len(in) == 0)
			buf_put(in);
		return PUMP_READ;
	}
	if (n <= 0)
		return source_ended(flow, n);
	in->end += (uint32_t)n;
	count_read(conn, from, (uint64_t)n);
	if (flow->framing != HTTP_FRAMING_CHUNKED)
		flow->data += (uint64_t)n;
	if (flow->chunk_out)
		frame_piece(flow, (uint64_t)n);
	return PUMP_AGAIN;
}

static enum pump_result fill_pipe(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];
	uint64_t want = spliceable(flow, &conn->in[from]);
	ssize_t n;

	if (want > flow->pipe->size)
		want = flow->pipe->size;
	if (want > relay->conf->relay.turn_budget)
		want = relay->conf->relay.turn_budget;
	n = io_splice(end_of(conn, from)->fd, flow->pipe->write_fd, want);
	if (n == -EAGAIN)
		return source_waits(relay, conn, from);
	if (n == -EINVAL) {
		flow->copying = true;
		pump_release(relay, flow);
		return PUMP_AGAIN;
	}
	if (n <= 0)
		return source_ended(flow, n);
	filled(conn, from, (uint32_t)n);
	return PUMP_AGAIN;
}

static enum pump_result spill_pipe(struct conn *conn, enum side from, int64_t *budget)
{
	struct flow *flow = &conn->flow[from];
	ssize_t n = io_splice(flow->pipe->read_fd, sink_fd(conn, from), flow->pipe->held);

	if (n == -EAGAIN)
		return PUMP_WRITE;
	if (n <= 0)
		return PUMP_SINK_ERROR;
	flow->pipe->held -= (uint32_t)n;
	conn->client_stats->bytes_inline += (uint64_t)n;
	count_sent(conn, from, (uint64_t)n);
	*budget -= n;
	return PUMP_AGAIN;
}

/* Decides, once for a body or a chunk, whether it goes through a pipe, and has one then. */
static bool may_splice(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];
	uint64_t left = spliceable(flow, &conn->in[from]);

	if (relay->engine == CONF_ENGINE_COPY || flow->copying || left == 0)
		return false;
	if (!flow->splicing) {
		/* How long an EOF body is shows only as it comes. */
		if (flow->framing == HTTP_FRAMING_EOF ? flow->data < relay->conf->relay.copy_below
						      : left < relay->conf->relay.copy_below)
			return false;
		flow->splicing = true;
	}
	if (flow->pipe)
		return true;
	flow->pipe = pipe_take(&relay->pipes,
			       left >= LARGE_BODY && left != UINT64_MAX ? PIPE_LARGE : PIPE_SMALL);
	if (!flow->pipe) {
		/* A buffer serves until one is free again. */
		if (!flow->shortage)
			conn->client_stats->pipe_shortage++;
		flow->shortage = true;
		return false;
	}
	if (buf_len(&conn->in[from]) == 0)
		buf_put(&conn->in[from]);
	/* Delayed acknowledgements would stall the origin for 40 ms at the body's end. */
	if (from == ORIGIN && conn->origin->end.tcp && !flow->acked && left >= QUICKACK_BODY) {
		io_quickack(conn->origin->end.fd);
		flow->acked = true;
	}
	return true;
}

static enum pump_result splice_step(struct relay *relay, struct conn *conn, enum side from,
				    int64_t *budget)
{
	struct flow *flow = &conn->flow[from];

	assert(buf_len(&conn->in[from]) == 0 && buf_len(&conn->head[from]) == 0);
	/* A frame must be sent between filling and spilling: not a case for the ring. */
	if (relay->engine == CONF_ENGINE_URING && !flow->chunk_out)
		return pump_launch(relay, conn, from);
	if (flow->pipe->held)
		return spill_pipe(conn, from, budget);
	return fill_pipe(relay, conn, from);
}

/*
 * Before a head is sent: what of the body is there already goes with it. One send less is
 * one pass through the stack and one wakeup of the destination less. How the source ends
 * is looked at later, when there is nothing before it.
 */
static void gather(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];

	flow->gathered = true;
	if (flow->framing != HTTP_FRAMING_LENGTH || flow->left <= buf_len(&conn->in[from]))
		return;
	if (!may_splice(relay, conn, from))
		copy_in(relay, conn, from);
	else if (relay->engine == CONF_ENGINE_INLINE)
		fill_pipe(relay, conn, from);
}

/* One thing at a time; PUMP_AGAIN means that it went forward. */
static enum pump_result step(struct relay *relay, struct conn *conn, enum side from,
			     int64_t *budget)
{
	struct flow *flow = &conn->flow[from];
	struct buf *in = &conn->in[from];

	if (buf_len(&conn->head[from]) && !flow->gathered)
		gather(relay, conn, from);
	if (buf_len(&conn->head[from]) || flow->frame_len > flow->frame_sent || sendable(flow, in))
		return send_buffered(conn, from, budget);
	if (flow->pipe && flow->pipe->held)
		return splice_step(relay, conn, from, budget);
	if (flow->read) {
		flow->done = true;
		pump_release(relay, flow);
		return PUMP_DONE;
	}
	if (flow->framing == HTTP_FRAMING_CHUNKED) {
		enum pump_result result = chunks_step(relay, conn, from);

		if (result != PUMP_READ)
			return result;
	}
	if (buf_len(in) == 0 && may_splice(relay, conn, from))
		return splice_step(relay, conn, from, budget);
	return copy_in(relay, conn, from);
}

enum pump_result pump_run(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];
	int64_t budget = relay->conf->relay.turn_budget;
	unsigned turns = 1;
	enum pump_result result;

	if (flow->flying)
		return PUMP_FLYING;
	if (flow->landed) {
		result = pump_land(relay, conn, from);
		if (result != PUMP_AGAIN)
			return result;
	}
	do {
		result = step(relay, conn, from, &budget);
		if (budget <= 0 && turns < TURNS_ALONE && conn_alone(relay)) {
			budget = relay->conf->relay.turn_budget;
			turns++;
		}
	} while (result == PUMP_AGAIN && (budget > 0 || flow->corked));
	return result;
}
