/* SPDX-License-Identifier: BSD-2-Clause */
#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/msg.h"
#include "io.h"
#include "relay.h"

/* CONNECTs without a reply, of all services together. */
#define ASKED_MAX 256
/* A parent that died is started anew within so long, or not soon. */
#define SUCCESSOR_MS 8000
/* A FRONT worker's idle streams to BACK workers. */
#define BRIDGE_IDLE    64
#define BRIDGE_IDLE_MS 60000
/*
 * Beyond pool_size: where more ask at once than that, each would have a connection of its own
 * opened and closed for each request. What was in use a moment ago is kept for another moment.
 */
#define EXTRA_MAX 1024 /* of all services together */
#define EXTRA_MS  1000

static void *reserve(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int pool_init(struct relay *relay, uint32_t max)
{
	struct pool *pool = &relay->pool;
	const struct conf *conf = relay->conf;
	bool front = relay->role == PROTO_ROLE_FRONT;

	*pool = (struct pool){ .service_count = front ? 1 : conf->services_count };
	max += EXTRA_MAX;
	if (front)
		max += BRIDGE_IDLE;
	for (unsigned i = 0; !front && i < conf->services_count; i++)
		max += conf->services[i].pool_size;
	pool->max = max;
	pool->origins = reserve(sizeof(*pool->origins) * max);
	pool->spare = reserve(sizeof(*pool->spare) * max);
	pool->services = calloc(pool->service_count + 1, sizeof(*pool->services));
	if (!pool->origins || !pool->spare || !pool->services) {
		pool_free(pool);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < pool->service_count; i++) {
		struct pool_service *service = &pool->services[i];

		service->size = front ? BRIDGE_IDLE : conf->services[i].pool_size;
		service->idle_ms = front ? BRIDGE_IDLE_MS : conf->services[i].pool_idle;
		service->origins = front ? 1 : conf->services[i].origins_count;
	}
	return 0;
}

void pool_free(struct pool *pool)
{
	if (pool->origins)
		munmap(pool->origins, sizeof(*pool->origins) * pool->max);
	if (pool->spare)
		munmap(pool->spare, sizeof(*pool->spare) * pool->max);
	free(pool->services);
	*pool = (struct pool){ 0 };
}

static struct pool_service *service_of(struct relay *relay, const struct conn *conn)
{
	return &relay->pool.services[relay->role == PROTO_ROLE_FRONT ? 0 : conn->service];
}

static struct ring_tag origin_tag(const struct origin *origin, enum ring_op op)
{
	return (struct ring_tag){ op, ORIGIN, origin->slot, origin->generation };
}

struct origin *pool_find(struct pool *pool, struct ring_tag tag)
{
	struct origin *origin;

	assert(tag.slot < pool->fresh);
	origin = &pool->origins[tag.slot];
	assert(origin->state != ORIGIN_FREE && origin->generation == tag.generation);
	return origin;
}

static struct origin *origin_new(struct pool *pool, int fd, uint32_t service, uint32_t index)
{
	uint32_t slot, generation;
	struct origin *origin;

	if (pool->spares)
		slot = pool->spare[--pool->spares];
	else if (pool->fresh < pool->max)
		slot = pool->fresh++;
	else
		return NULL;
	origin = &pool->origins[slot];
	generation = (origin->generation + 1) % RING_GENERATIONS;
	*origin = (struct origin){
		.slot = slot,
		.generation = generation,
		.state = ORIGIN_BUSY,
		.end = { .fd = fd, .tcp = io_is_tcp(fd) },
		.service = service,
		.index = index,
	};
	if (origin->end.tcp)
		io_nodelay(fd);
	return origin;
}

static void origin_free(struct pool *pool, struct origin *origin)
{
	assert(!origin->end.polling);
	close(origin->end.fd);
	origin->end.fd = -1;
	origin->state = ORIGIN_FREE;
	pool->spare[pool->spares++] = origin->slot;
}

static void unlink_idle(struct pool *pool, struct origin *origin)
{
	struct pool_service *service = &pool->services[origin->service];

	if (origin->prev)
		origin->prev->next = origin->next;
	else
		service->idle = origin->next;
	if (origin->next)
		origin->next->prev = origin->prev;
	origin->prev = origin->next = NULL;
	service->idle_count--;
	pool->extra -= origin->extra;
}

void pool_close(struct relay *relay, struct origin *origin)
{
	assert(origin->state == ORIGIN_IDLE || origin->state == ORIGIN_BUSY);
	if (origin->state == ORIGIN_IDLE)
		unlink_idle(&relay->pool, origin);
	timer_remove(&origin->timer);
	origin->state = ORIGIN_CLOSING;
	origin->conn = NULL;
	for (int op = RING_READABLE; op <= RING_WRITABLE; op++)
		if (origin->end.polling & 1 << op)
			ring_poll_cancel(&relay->ring, origin_tag(origin, (enum ring_op)op));
	if (!origin->end.polling)
		origin_free(&relay->pool, origin);
}

bool pool_is_quiet(const struct origin *origin)
{
	return io_peek(origin->end.fd) == -EAGAIN;
}

struct origin *pool_take(struct relay *relay, struct conn *conn)
{
	const struct pool_service *service = service_of(relay, conn);
	struct origin *origin;

	/* What an idle one has said or done may not have come out of the ring yet. */
	while ((origin = service->idle) && !pool_is_quiet(origin))
		pool_close(relay, origin);
	if (!origin)
		return NULL;
	unlink_idle(&relay->pool, origin);
	origin->state = ORIGIN_BUSY;
	origin->conn = conn;
	return origin;
}

static void link_waiter(struct pool_service *service, struct conn *conn)
{
	conn->prev_waiter = service->last_waiter;
	conn->next_waiter = NULL;
	if (service->last_waiter)
		service->last_waiter->next_waiter = conn;
	else
		service->first_waiter = conn;
	service->last_waiter = conn;
	conn->waiting = true;
	service->waiters++;
}

static void unlink_waiter(struct pool_service *service, struct conn *conn)
{
	if (conn->prev_waiter)
		conn->prev_waiter->next_waiter = conn->next_waiter;
	else
		service->first_waiter = conn->next_waiter;
	if (conn->next_waiter)
		conn->next_waiter->prev_waiter = conn->prev_waiter;
	else
		service->last_waiter = conn->prev_waiter;
	conn->prev_waiter = conn->next_waiter = NULL;
	conn->waiting = false;
	service->waiters--;
}

int pool_wait(struct relay *relay, struct conn *conn)
{
	if (relay->parent_fd < 0 && pool_successor_ms(relay) == 0)
		return -EPIPE;
	link_waiter(service_of(relay, conn), conn);
	pool_ask(relay);
	return 0;
}

uint32_t pool_successor_ms(const struct relay *relay)
{
	int64_t left = relay->pool.orphaned_ms + SUCCESSOR_MS - relay->now_ms;

	return handover_expected(relay) && left > 0 ? (uint32_t)left : 0;
}

void pool_leave(struct relay *relay, struct conn *conn)
{
	if (conn->waiting)
		unlink_waiter(service_of(relay, conn), conn);
}

static void hand_over(struct relay *relay, struct pool_service *service, struct origin *origin)
{
	struct conn *conn = service->first_waiter;

	unlink_waiter(service, conn);
	origin->state = ORIGIN_BUSY;
	origin->conn = conn;
	conn->origin = origin;
	conn_defer(relay, conn, CONN_TODO_CONNECT);
}

/* pool_size 0: none is ever kept. */
static bool may_keep(const struct relay *relay, const struct pool_service *service)
{
	if (relay->draining || !service->size)
		return false;
	return service->idle_count < service->size || relay->pool.extra < EXTRA_MAX;
}

static void put_idle(struct relay *relay, struct pool_service *service, struct origin *origin)
{
	uint32_t keep_ms = service->idle_ms;

	if (!may_keep(relay, service)) {
		pool_close(relay, origin);
		return;
	}
	origin->extra = service->idle_count >= service->size;
	relay->pool.extra += origin->extra;
	if (origin->extra && keep_ms > EXTRA_MS)
		keep_ms = EXTRA_MS;
	origin->state = ORIGIN_IDLE;
	origin->reused = true;
	origin->conn = NULL;
	origin->next = service->idle;
	if (service->idle)
		service->idle->prev = origin;
	service->idle = origin;
	service->idle_count++;
	timer_set(&relay->wheel, &origin->timer, relay->now_ms + keep_ms);
	/* It stays watched when it is taken: the first thing it says is the response. */
	if (!(origin->end.polling & 1 << RING_READABLE)) {
		origin->end.polling |= 1 << RING_READABLE;
		ring_poll(&relay->ring, origin->end.fd, origin_tag(origin, RING_READABLE));
	}
}

void pool_give(struct relay *relay, struct origin *origin)
{
	struct pool_service *service = &relay->pool.services[origin->service];
	const struct conn *waiter = service->first_waiter;

	origin->reused = true;
	/* Not for a request that must not meet a connection about to be closed. */
	if (waiter && waiter->idempotent && !waiter->tries)
		hand_over(relay, service, origin);
	else
		put_idle(relay, service, origin);
}

static int ask(struct relay *relay, uint32_t index)
{
	struct pool *pool = &relay->pool;
	struct pool_service *service = &pool->services[index];
	bool bridge = relay->role == PROTO_ROLE_FRONT;
	struct proto_connect request = {
		.service = bridge ? PROTO_SERVICE_BRIDGE : index,
		.origin = service->next_index,
	};
	int rc;

	/* The reply's id says which service it is for. */
	rc = msg_send(relay->parent_fd, PROTO_CONNECT, (uint64_t)index << 32 | pool->next_id,
		      &request, sizeof(request), NULL, 0);
	if (rc < 0)
		return rc;
	pool->next_id++;
	pool->asked++;
	service->asked++;
	service->next_index = (service->next_index + 1) % service->origins;
	return 0;
}

void pool_ask(struct relay *relay)
{
	struct pool *pool = &relay->pool;

	if (relay->parent_fd < 0 || relay->handover.telling || pool->stalled)
		return;
	for (uint32_t i = 0; i < pool->service_count; i++) {
		struct pool_service *service = &pool->services[i];

		while (service->asked < service->waiters && pool->asked < ASKED_MAX) {
			int rc = ask(relay, i);

			if (rc == -EAGAIN) {
				static const struct ring_tag tag = { .op = RING_MESSAGE_ROOM };

				pool->stalled = true;
				ring_poll(&relay->ring, relay->parent_fd, tag);
				return;
			}
			if (rc < 0)
				return; /* the end of the socket is seen where it is read */
		}
	}
}

void pool_blame(struct relay *relay, const struct origin *origin)
{
	const struct proto_connect about = { origin->service, origin->index };

	/* It goes before the next CONNECT. When the socket is full, the next one blames. */
	if (relay->role != PROTO_ROLE_FRONT && relay->parent_fd >= 0 && !relay->handover.telling)
		msg_send(relay->parent_fd, PROTO_FAILED, 0, &about, sizeof(about), NULL, 0);
}

void pool_forget(struct relay *relay, const struct conn *conn)
{
	struct pool_service *service = service_of(relay, conn);

	if (service->asked) {
		service->asked--;
		relay->pool.asked--;
	}
}

int pool_reply(struct relay *relay, const struct msg *msg, int fd)
{
	static struct log_limit limit = LOG_LIMIT(10000, 5);
	struct pool *pool = &relay->pool;
	const struct proto_origin *reply = (const void *)msg->body;
	uint32_t index = (uint32_t)(msg->head.id >> 32), left_out;
	struct pool_service *service;
	struct origin *origin = NULL;
	struct conn *conn;

	if (index >= pool->service_count || reply->origin >= pool->services[index].origins) {
		if (fd >= 0)
			close(fd);
		return -EBADMSG;
	}
	service = &pool->services[index];
	if (service->asked) {
		service->asked--;
		pool->asked--;
	}
	conn = service->first_waiter;
	if (fd >= 0) {
		origin = origin_new(pool, fd, index, reply->origin);
		if (!origin)
			close(fd);
	}
	if (origin) {
		if (conn) {
			conn->origin_stats->origin_connects++;
			hand_over(relay, service, origin);
		} else {
			put_idle(relay, service, origin);
		}
	} else if (conn) {
		if (log_allowed(&limit, &left_out))
			log_warn("service %s: no connection (error %d, %u lines left out)",
				 relay->role == PROTO_ROLE_FRONT
					 ? "bridge"
					 : relay->conf->services[index].name,
				 reply->error, left_out);
		unlink_waiter(service, conn);
		conn_origin_failed(relay, conn, reply->error);
	}
	pool_ask(relay);
	return 0;
}

void pool_orphan(struct relay *relay)
{
	relay->pool.orphaned_ms = relay->now_ms;
	for (uint32_t i = 0; i < relay->pool.service_count; i++) {
		struct pool_service *service = &relay->pool.services[i];

		service->asked = 0;
		/* Whoever waits goes on waiting for a successor. */
		for (struct conn *conn = service->first_waiter; conn; conn = conn->next_waiter)
			conn_await_origin(relay, conn);
	}
	relay->pool.asked = 0;
}

void pool_resume(struct relay *relay)
{
	for (uint32_t i = 0; i < relay->pool.service_count; i++)
		for (struct conn *conn = relay->pool.services[i].first_waiter; conn;
		     conn = conn->next_waiter)
			conn_await_origin(relay, conn);
	relay->pool.stalled = false;
	pool_ask(relay);
}

void pool_close_idle(struct relay *relay)
{
	for (uint32_t i = 0; i < relay->pool.service_count; i++)
		while (relay->pool.services[i].idle)
			pool_close(relay, relay->pool.services[i].idle);
}

void pool_event(struct relay *relay, struct origin *origin, enum ring_op op)
{
	switch (origin->state) {
	case ORIGIN_BUSY:
		conn_ready_event(relay, origin->conn, ORIGIN, op);
		break;
	case ORIGIN_IDLE:
		/* Its FIN, or bytes that nobody asked for. */
		if (op == RING_READABLE)
			pool_close(relay, origin);
		break;
	case ORIGIN_CLOSING:
		if (!origin->end.polling)
			origin_free(&relay->pool, origin);
		break;
	case ORIGIN_FREE:
		break;
	}
}

void pool_timeout(struct relay *relay, struct origin *origin)
{
	if (origin->state == ORIGIN_IDLE)
		pool_close(relay, origin);
}
