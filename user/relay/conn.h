/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's connection and its life:
 *
 *	accept ─▶ read head ─▶ check and route ─▶ take origin ─▶ send request
 *	   ▲                                                          │
 *	   └── next request ◀── pump body ◀── relay response head ◀───┘
 *
 * The steps stand in conn_request.c, conn_origin.c, conn_response.c and conn_body.c, in
 * that order; conn.c has the table, what a connection awaits, and its end.
 *
 * Each direction is named after its source: index CLIENT is the request on its way to
 * the origin, ORIGIN the response on its way back. They run side by side, since an
 * origin may answer before it has read the whole request.
 */
#ifndef SLUICE_RELAY_CONN_H
#define SLUICE_RELAY_CONN_H

#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/abi.h"
#include "../lib/http_head.h"
#include "../lib/http_message.h"
#include "buf.h"
#include "pump.h"
#include "ring.h"
#include "timer.h"

struct relay;
struct origin;

/*
 * What is awaited. Every state but CLOSING owns the client's socket; "ends" says what takes the
 * connection out of it beside conn_close(), which any failure calls.
 */
enum conn_state {
	CONN_FREE,    /* the slot is unused; owns nothing */
	CONN_IDLE,    /* a request's first byte; no buffer. Ends: HEAD, or the client leaves */
	CONN_HEAD,    /* the rest of a request head. Ends: WAITING, RESPONSE, BODY (refused) */
	CONN_WAITING, /* an origin connection from pool or parent. Ends: RESPONSE, BODY (refused) */
	CONN_RESPONSE, /* a response head; owns an origin connection. The request may still be
			* on its way. Ends: BODY */
	CONN_BODY,     /* the response's last byte at the client; owns an origin connection unless
			* the answer is ours. Ends: IDLE, HEAD (pipelined), LINGER */
	CONN_LINGER,   /* the client's FIN after ours: what it still sends is thrown away, so
			* that our answer is not lost to a reset. Ends: CLOSING */
	CONN_CLOSING,  /* the last completions from the ring. Ends: FREE */
	CONN_STATES,
};

/* Why a connection ended; each has its counter in struct sl_relay. */
enum conn_reason {
	CONN_END_OK,
	CONN_END_CLIENT, /* the VM cut it */
	CONN_END_ORIGIN, /* the origin failed in mid-response */
	CONN_END_TIMEOUT,
	CONN_END_PROTOCOL,
	CONN_END_LIMIT,
	CONN_END_SHUTDOWN, /* drain, detach */
	CONN_END_BINDING,  /* its port binding changed */
	CONN_REASONS,
};

/* A socket and the polls that the ring holds on it (bits: 1 << enum ring_op). */
struct end {
	int fd;
	uint8_t polling;
	bool tcp;
};
static_assert(RING_RESET < 8, "enum ring_op fits end.polling");

struct conn {
	uint32_t slot, generation;
	enum conn_state state;
	struct end client;
	struct origin *origin; /* NULL or held by this connection */
	struct timer timer;
	int64_t deadline_ms;	     /* of what is awaited */
	int64_t total_deadline_ms;   /* of the exchange; INT64_MAX: none */
	int64_t request_deadline_ms; /* of the whole request, head and body */

	/* Work for the next turn: 1 << direction, or CONN_TODO_* */
	uint8_t todo;
	bool queued;
	struct conn *next_ready;
	struct conn *next_waiter, *prev_waiter; /* pool_ask.c's queue for an origin connection */
	bool waiting;				/* is in it */

	/* Who the client is. A BACK worker learns it anew with every request. */
	uint32_t tenant, stats_slot;
	uint16_t client_port, local_port;
	struct in6_addr address;
	struct in6_addr payer; /* whom limits count: the address, or what stands for a bound MAC */
	char tenant_name[SL_NAME_MAX], network[SL_NAME_MAX];
	bool counted; /* in clients.h's table and its tenant's number */
	bool has_mac;
	uint8_t mac[6];
	uint32_t binding; /* row of bind.h's table, or BINDING_NONE */
	struct sl_relay *client_stats, *origin_stats;

	/* The exchange. */
	int64_t began_us; /* CLOCK_MONOTONIC; 0: answered */
	uint32_t service;
	enum http_method method;
	uint8_t minor;
	bool keep_alive;	 /* the client lets the connection go on */
	bool idempotent;	 /* may be sent again */
	bool has_body;		 /* the request's is not empty */
	uint8_t tries;		 /* how often it was sent again */
	bool answered;		 /* the origin's response, but for its body, has come */
	bool cut;		 /* the origin does not take the rest of the request */
	bool closing;		 /* the connection ends after this response */
	bool refused;		 /* the response is ours */
	bool origin_keep;	 /* the origin connection may be used again */
	uint8_t interims;	 /* 1xx responses so far */
	enum conn_reason reason; /* of the end after this response */
	uint32_t linger_left;	 /* bytes still thrown away in LINGER */

	uint32_t head_len;	 /* of a request head still in in[CLIENT] */
	size_t scanned[SIDES];	 /* http_*_parse()'s memory */
	struct buf in[SIDES];	 /* read from that side, not sent on */
	struct buf head[SIDES];	 /* rewritten head from that side, to be sent first */
	struct flow flow[SIDES]; /* the body from that side */
};

/* Continue with the next request. The other bits are 1 << CLIENT and 1 << ORIGIN. */
#define CONN_TODO_NEXT	  (1 << 2)
#define CONN_TODO_CONNECT (1 << 3) /* an origin connection has come */
#define CONN_TODO_END	  (1 << 4) /* CLOSING: nothing may be in flight any more */

struct conn_table {
	struct conn *conns;
	uint32_t *spare;
	uint32_t spares, fresh, max;
	uint32_t open;
	struct conn *ready, **ready_tail;
	struct conn *running; /* the rest of those that have their turn now */
};

/* conn.c: the table. */
int conn_table_init(struct conn_table *table, uint32_t max);
void conn_table_free(struct conn_table *table);
/* The connection a tag means; asserts that the slot was not reused. */
struct conn *conn_find(struct conn_table *table, struct ring_tag tag);

/* A new connection for fd, which it takes over. NULL when the table is full; fd stays. */
struct conn *conn_new(struct relay *relay, int fd);
/* Takes back conn_new(): nothing has happened on it; fd is the caller's again. */
void conn_drop(struct relay *relay, struct conn *conn);
/* Starts it: the first request is awaited. */
void conn_start(struct relay *relay, struct conn *conn);

/* What a connection waits for: once readable (a byte, FIN, an error) or writable. */
void conn_await(struct relay *relay, struct conn *conn, enum side side, enum ring_op op);
/*
 * Reads more of a head from that side into in[side]: how much came, 0 at the end, -EAGAIN when it
 * is awaited, -ENOBUFS without a buffer, or -errno.
 */
ssize_t conn_fill(struct relay *relay, struct conn *conn, enum side side);
void conn_deadline(struct relay *relay, struct conn *conn, uint32_t after_ms);
/* Puts work off to the next turn. */
void conn_defer(struct relay *relay, struct conn *conn, uint8_t todo);
/* True when no other connection has anything to do. */
bool conn_alone(const struct relay *relay);
/* Does what was put off up to now. */
void conn_run_ready(struct relay *relay);

/* Completions. */
void conn_ready_event(struct relay *relay, struct conn *conn, enum side side, enum ring_op op);
/* A direction's splices have all come back from the ring. */
void conn_landed(struct relay *relay, struct conn *conn, enum side from);
void conn_timeout(struct relay *relay, struct conn *conn);

/*
 * The only way to end. Nothing of the connection may be used afterwards. With a reason
 * other than OK while a response is on its way, the client gets a reset: a response
 * that was cut must not look complete.
 */
void conn_close(struct relay *relay, struct conn *conn, enum conn_reason reason);

/* The steps, in the order of life. Each ends in a wait, a deferral or conn_close(). */
void conn_read_head(struct relay *relay, struct conn *conn); /* conn_request.c */
void conn_begin_head(const struct relay *relay, struct conn *conn);
void conn_parse_head(struct relay *relay, struct conn *conn);
void conn_take_origin(struct relay *relay, struct conn *conn); /* conn_origin.c */
uint32_t conn_response_timeout(const struct relay *relay, const struct conn *conn);
void conn_origin_come(struct relay *relay, struct conn *conn);	/* conn->origin is set */
void conn_origin_given(struct relay *relay, struct conn *conn); /* the same, after waiting */
void conn_origin_failed(struct relay *relay, struct conn *conn, int error);
/* For how long: a parent has connect_timeout, a successor of the parent has not. */
void conn_await_origin(struct relay *relay, struct conn *conn);
void conn_origin_late(struct relay *relay, struct conn *conn);
void conn_origin_lost(struct relay *relay, struct conn *conn, const char *why);
void conn_read_response(struct relay *relay, struct conn *conn); /* conn_response.c */
void conn_send_interim(struct relay *relay, struct conn *conn);
void conn_pump(struct relay *relay, struct conn *conn, enum side from); /* conn_body.c */
void conn_next(struct relay *relay, struct conn *conn);
void conn_linger(struct relay *relay, struct conn *conn);

/*
 * Our own answer instead of an origin's. With end CONN_END_OK the connection goes on
 * when the request is complete; otherwise it ends after the answer, for that reason.
 */
void conn_answer(struct relay *relay, struct conn *conn, const struct http_error *error,
		 enum conn_reason end); /* conn_response.c */
/* The same with a status and a reason (NULL: the status's own) only. */
void conn_refuse(struct relay *relay, struct conn *conn, uint16_t status, const char *reason,
		 enum conn_reason end);
const char *conn_reason_name(enum conn_reason reason);

#endif
