/* SPDX-License-Identifier: BSD-2-Clause */
#include "chunks.h"

#include <assert.h>
#include <string.h>

#include "conn.h"
#include "relay.h"

#include "../lib/http_message.h"

/* The trailer section stands at the front of the buffer. */
static enum pump_result trailers_step(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];
	struct buf *in = &conn->in[from], *out = &conn->head[from];
	struct http_refusal refusal;
	int n;

	switch (http_trailers_parse(in->data + in->start, buf_len(in), &conn->scanned[from],
				    &relay->limits, &relay->head, &refusal)) {
	case HTTP_MORE:
		return PUMP_READ;
	case HTTP_REFUSED:
		return PUMP_SOURCE_INVALID;
	case HTTP_OK:
		break;
	}
	if (!flow->unchunk) {
		if (buf_take(&relay->heads, out) < 0)
			return PUMP_SOURCE_ERROR;
		assert(buf_len(out) == 0);
		n = http_trailers_write(&relay->head, in->data + in->start, out->data, out->size);
		if (n < 0)
			return PUMP_SOURCE_INVALID;
		out->start = 0;
		out->end = (uint32_t)n;
	}
	buf_consume(in, relay->head.len);
	flow->read = true;
	return PUMP_AGAIN;
}

/* Bytes move only once something before them was taken out. */
static void move_back(char *to, const char *from, uint32_t n)
{
	if (to != from)
		memmove(to, from, n);
}

enum pump_result chunks_step(struct relay *relay, struct conn *conn, enum side from)
{
	struct flow *flow = &conn->flow[from];
	struct buf *in = &conn->in[from];
	/* Bytes before "to" are cleared; those from "at" on are still to be looked at. */
	uint32_t at = in->start, to = in->start;
	bool more = true;

	assert(flow->cleared == 0);
	if (buf_len(in) == 0)
		return PUMP_READ;
	if (flow->trailers)
		return trailers_step(relay, conn, from);
	while (more && at < in->end) {
		uint32_t take;
		size_t used;

		switch (http_chunk_next(&flow->chunk, in->data + at, in->end - at, &used)) {
		case HTTP_CHUNK_REFUSED:
			return PUMP_SOURCE_INVALID;
		case HTTP_CHUNK_MORE:
			more = false;
			break;
		case HTTP_CHUNK_TRAILERS:
			flow->trailers = true;
			conn->scanned[from] = 0;
			more = false;
			break;
		case HTTP_CHUNK_DATA:
			break;
		}
		if (!flow->unchunk) {
			move_back(in->data + to, in->data + at, (uint32_t)used);
			to += (uint32_t)used;
		}
		at += (uint32_t)used;
		if (!more || flow->chunk.left == 0)
			continue;
		if (flow->chunk.left > flow->limit - flow->data)
			return PUMP_TOO_LONG;
		flow->splicing = false;
		take = in->end - at;
		if (take > flow->chunk.left)
			take = (uint32_t)flow->chunk.left;
		move_back(in->data + to, in->data + at, take);
		http_chunk_passed(&flow->chunk, take);
		flow->data += take;
		to += take;
		at += take;
	}
	flow->cleared = to - in->start;
	move_back(in->data + to, in->data + at, in->end - at);
	in->end -= at - to;
	return flow->cleared || flow->trailers ? PUMP_AGAIN : PUMP_READ;
}
