/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The books of a direction: what is still to be read, what was taken and sent, and, of a body
 * that is sent on in chunks, the frame that comes next. Both ways of splicing keep them, with
 * every piece of a body: inline.
 */
#ifndef SLUICE_RELAY_PUMP_IMPL_H
#define SLUICE_RELAY_PUMP_IMPL_H

#include <assert.h>
#include <string.h>
#include <sys/types.h>

#include "io.h"
#include "pump.h"
#include "relay.h"

static inline struct end *end_of(struct conn *conn, enum side side)
{
	return side == CLIENT ? &conn->client : &conn->origin->end;
}

static inline int sink_fd(struct conn *conn, enum side from)
{
	return end_of(conn, from == CLIENT ? ORIGIN : CLIENT)->fd;
}

static inline void count_sent(struct conn *conn, enum side from, uint64_t n)
{
	conn->flow[from].sent += n;
	if (from == ORIGIN)
		conn->client_stats->bytes_to_client += n;
}

static inline void count_read(struct conn *conn, enum side from, uint64_t n)
{
	if (from == CLIENT)
		conn->client_stats->bytes_from_client += n;
}

/* Body bytes have left the source's buffer or socket. */
static inline void body_taken(struct flow *flow, uint64_t n)
{
	if (flow->framing == HTTP_FRAMING_LENGTH) {
		flow->left -= n;
		flow->read = flow->left == 0;
	}
}

/* An EOF body toward a bridge: what was read is framed as one chunk. */
static inline void frame_piece(struct flow *flow, uint64_t n)
{
	flow->frame_len = (uint8_t)http_chunk_write_head(flow->frame, n, !flow->framed);
	flow->frame_sent = 0;
	flow->framed = true;
}

static inline void frame_last(struct flow *flow)
{
	size_t n = http_chunk_write_last(flow->frame, !flow->framed);

	static_assert(sizeof("\r\n0\r\n\r\n") <= HTTP_CHUNK_HEAD_MAX, "the last chunk fits");
	memcpy(flow->frame + n, "\r\n", 2);
	flow->frame_len = (uint8_t)(n + 2);
	flow->frame_sent = 0;
}

static inline enum pump_result source_ended(struct flow *flow, ssize_t n)
{
	if (n < 0)
		return PUMP_SOURCE_ERROR;
	if (flow->framing != HTTP_FRAMING_EOF)
		return PUMP_SOURCE_END;
	flow->read = true;
	if (flow->chunk_out)
		frame_last(flow);
	return PUMP_AGAIN;
}

/* Bytes that a splice may take. */
static inline uint64_t spliceable(const struct flow *flow, const struct buf *in)
{
	return flow->framing == HTTP_FRAMING_CHUNKED ? flow->chunk.left : flow->left - buf_len(in);
}

/* Accounts for bytes that went from the source into the pipe. */
static inline void filled(struct conn *conn, enum side from, uint32_t n)
{
	struct flow *flow = &conn->flow[from];

	flow->pipe->held += n;
	flow->spliced = true;
	flow->starved = false;
	count_read(conn, from, n);
	if (flow->framing == HTTP_FRAMING_CHUNKED)
		http_chunk_passed(&flow->chunk, n);
	else
		body_taken(flow, n);
	flow->data += n;
	if (flow->chunk_out)
		frame_piece(flow, n);
}

/*
 * A splice found nothing at the source. When that is so again, the source is asked itself: splice
 * stops before urgent data, which poll reports and recv steps over (net/ipv4/tcp.c, tcp_read_sock).
 */
static inline enum pump_result source_waits(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];

	/* Others may need the pipe while this source has nothing to say. */
	pump_release(relay, flow);
	flow->copying = flow->starved && io_peek(end_of(conn, from)->fd) > 0;
	flow->starved = true;
	return flow->copying ? PUMP_AGAIN : PUMP_READ;
}

/* ---- pump_ring.c ------------------------------------------------------------------------- */

/* Begins a round of splices in the ring: what the pipe holds, or more through it. */
enum pump_result pump_launch(struct relay *relay, struct conn *conn, enum side from);
/* What a round in the ring came to. PUMP_AGAIN: go on. */
enum pump_result pump_land(struct relay *relay, struct conn *conn, enum side from);

#endif
