/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves one direction of an exchange: a rewritten head, body bytes that came along with
 * it, then the rest of the body from socket to socket, through a pipe (never through
 * user memory) or, where that does not pay, through a buffer. Written once for both
 * directions; exactly the bytes of the body are taken from the source, never the next
 * message's.
 *
 * Engines: inline makes splice(2) calls; uring hands them to IORING_OP_SPLICE; copy uses
 * recv and send only.
 */
#ifndef SLUICE_RELAY_PUMP_H
#define SLUICE_RELAY_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/http_chunk.h"
#include "../lib/http_head.h"
#include "ring.h"

struct relay;
struct conn;
struct pipe;

/* The two splices of a round. */
enum flight {
	FLY_FILL,
	FLY_SPILL,
	FLIGHTS,
};

struct flow {
	enum http_framing framing; /* as it comes from the source */
	struct http_chunk chunk;   /* framing CHUNKED */
	uint64_t left;		   /* LENGTH: bytes not yet taken from buffer or socket */
	uint64_t data;		   /* body bytes taken so far, chunk framing not counted */
	uint64_t limit;		   /* data may not exceed it */
	uint64_t sent;		   /* bytes given to the destination, head and framing included */
	uint32_t cleared;	   /* CHUNKED: bytes of the buffer that may be sent */
	bool unchunk;		   /* chunk framing is not sent on: the body ends with FIN */
	bool chunk_out;		   /* an EOF body is sent on in chunks (bridge streams) */
	bool trailers;		   /* the last chunk was seen; its trailer section is awaited */
	bool read;		   /* the source has given all it will */
	bool done;		   /* and it was sent */
	bool splicing;		   /* this body or chunk goes through a pipe */
	bool spliced;		   /* bytes of it went through one */
	bool copying;		   /* the source cannot splice */
	bool gathered;		   /* the source was asked before the head was sent */
	bool shortage;		   /* a pipe was missing, and it was counted */
	bool acked;		   /* TCP_QUICKACK was set for this body */
	bool starved;		   /* the last splice found nothing at the source */
	bool framed;		   /* chunk_out: a chunk has been sent before */
	bool corked;		   /* what was sent last waits for the FIN */
	uint8_t frame_len, frame_sent;
	char frame[HTTP_CHUNK_HEAD_MAX]; /* chunk_out: goes before what is in pipe or buffer */
	struct pipe *pipe;

	/* uring engine: bits 1 << FLY_* of splices in flight, and how they ended. */
	uint8_t flying, landed;
	int result[FLIGHTS];
};

enum pump_result {
	PUMP_DONE,	     /* head and body are with the destination's kernel */
	PUMP_READ,	     /* waits for the source */
	PUMP_WRITE,	     /* waits for the destination */
	PUMP_FLYING,	     /* waits for a splice in the ring */
	PUMP_AGAIN,	     /* its turn is over, there is more to do */
	PUMP_SOURCE_END,     /* the source ended in the middle of the body */
	PUMP_SOURCE_ERROR,   /* reset and the like */
	PUMP_SOURCE_INVALID, /* chunk framing that does not hold */
	PUMP_TOO_LONG,	     /* more data than limit */
	PUMP_SINK_ERROR,     /* the destination takes no more */
};

/* Prepares a direction for a body; what is in the source's buffer belongs to it. */
void pump_begin(struct flow *flow, enum http_framing framing, uint64_t length, uint64_t limit);
/*
 * The body, which ends with the source's FIN, is sent on in chunks; buffered bytes of it
 * have been read already. Called right after pump_begin().
 */
void pump_chunk_out(struct flow *flow, uint32_t buffered);
/* True when nothing of the body is left at the source. */
bool pump_complete(const struct flow *flow);
/* Moves what can be moved within the turn's budget. */
enum pump_result pump_run(struct relay *relay, struct conn *conn, enum side from);
/* A splice of this direction has ended; pump_run() goes on from there. */
void pump_completed(struct relay *relay, struct conn *conn, const struct ring_event *event);
/* Gives pipe back; nothing may be in flight. */
void pump_release(struct relay *relay, struct flow *flow);

#endif
