/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections to origins. A worker cannot connect: it asks the parent, which returns a
 * connected socket, and keeps the socket for later requests. Replies are not tied to
 * the connection that asked; whoever has waited longest for the service gets the next
 * socket, fresh or given back.
 *
 * For a FRONT worker there is one service, the bridge, whose origins are streams to
 * BACK workers.
 */
#ifndef SLUICE_RELAY_POOL_H
#define SLUICE_RELAY_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "ring.h"
#include "timer.h"

struct relay;
struct msg;

enum origin_state {
	ORIGIN_FREE,
	ORIGIN_IDLE,	/* in the pool, watched for what it should not do: speak, close */
	ORIGIN_BUSY,	/* held by conn */
	ORIGIN_CLOSING, /* the last completions from the ring are awaited */
};

struct origin {
	uint32_t slot, generation;
	enum origin_state state;
	struct end end;
	uint32_t service;
	uint32_t index; /* of the service's origins */
	bool reused;	/* has served a request, or waited for one */
	bool extra;	/* idle beyond its service's size, for a moment */
	struct conn *conn;
	struct origin *prev, *next; /* in the service's idle list */
	struct timer timer;
};

struct pool_service {
	struct origin *idle; /* used last first */
	struct conn *first_waiter, *last_waiter;
	uint32_t idle_count, waiters;
	uint32_t asked;	     /* CONNECTs without a reply */
	int64_t heard_ms;    /* when the last reply came, or the first of those was sent */
	uint32_t next_index; /* which origin is asked for next */
	uint32_t size, idle_ms, origins;
};

struct pool {
	struct origin *origins;
	uint32_t *spare;
	uint32_t spares, fresh, max;
	struct pool_service *services;
	uint32_t service_count;
	uint32_t asked;
	uint32_t extra; /* idle connections of all services that are kept beyond their sizes */
	uint32_t next_id;
	bool stalled;	     /* the parent's socket is full */
	int64_t orphaned_ms; /* when the last parent was lost */
};

/* Services as configured, or the bridge. Room for max origin connections. 0 or -ENOMEM. */
int pool_init(struct relay *relay, uint32_t max);
void pool_free(struct pool *pool);
struct origin *pool_find(struct pool *pool, struct ring_tag tag);

/*
 * False when the origin has sent something or closed: before a request that can only be meant
 * for an earlier one, and must not become the answer to the next.
 */
bool pool_is_quiet(const struct origin *origin);
/* An idle and quiet connection, now BUSY for conn, or NULL. */
struct origin *pool_take(struct relay *relay, struct conn *conn);
/*
 * Queues conn; conn->origin is set and CONN_TODO_CONNECT deferred when a connection comes,
 * or conn_origin_failed() is called. -EPIPE when there is nobody to ask.
 */
int pool_wait(struct relay *relay, struct conn *conn);
/* Without a parent: for how long a successor is still expected; 0: there is nobody to ask. */
uint32_t pool_successor_ms(const struct relay *relay);
/* Leaves the queue; harmless when not in it. */
void pool_leave(struct relay *relay, struct conn *conn);
/* Gives a BUSY connection back for others. */
void pool_give(struct relay *relay, struct origin *origin);
/* Ends one, at once or after its last completion; nobody may use it afterwards. */
void pool_close(struct relay *relay, struct origin *origin);

/* A connection on which nothing was ever answered: the parent lets its origin rest. */
void pool_blame(struct relay *relay, const struct origin *origin);

/*
 * conn has waited for long enough, and leaves the queue. When its service has heard nothing for
 * wait_ms, which is longer than a reply may take, its CONNECTs count as lost.
 */
void pool_late(struct relay *relay, struct conn *conn, uint32_t wait_ms);
/* The parent's reply: fd (or -1) becomes the pool's. -EBADMSG when it names no service. */
int pool_reply(struct relay *relay, const struct msg *msg, int fd);
/* Asks for what waiters need; called again when the parent's socket has room. */
void pool_ask(struct relay *relay);
/* The parent is gone: nobody gets a new connection until there is a successor, if one can come. */
void pool_orphan(struct relay *relay);
/* There is a successor. */
void pool_resume(struct relay *relay);
/* Drain: idle connections are of no use any more. */
void pool_close_idle(struct relay *relay);

void pool_event(struct relay *relay, struct origin *origin, enum ring_op op);
void pool_timeout(struct relay *relay, struct origin *origin);

#endif
