/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The origin connections there are: taken by a connection, kept idle while their service has room,
 * closed after their last completion. pool_ask.c brings them in.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io.h"
#include "pool_impl.h"
#include "relay.h"

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

struct origin *pool_new(struct pool *pool, int fd, uint32_t service, uint32_t index)
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

/* It may be about to do, once, what it was asked in full: it learns of the end as ever, by FIN. */
static bool may_act(const struct origin *origin)
{
	const struct conn *conn = origin->conn;

	return conn && !conn->answered && !conn->idempotent && conn->flow[CLIENT].done;
}

/*
 * Who closes first keeps the port for a minute (TIME_WAIT), and a port serves one connection to an
 * origin: requests by the hundred each second, of one VM, would use them up for all. After a reset
 * nothing is kept; nothing that was sent is lost by it, either.
 */
static void let_go_of_port(const struct origin *origin)
{
	if (origin->end.tcp && !may_act(origin) && io_is_settled(origin->end.fd))
		io_reset(origin->end.fd);
}

void pool_close(struct relay *relay, struct origin *origin)
{
	assert(origin->state == ORIGIN_IDLE || origin->state == ORIGIN_BUSY);
	let_go_of_port(origin);
	if (origin->state == ORIGIN_IDLE)
		unlink_idle(&relay->pool, origin);
	timer_remove(&origin->timer);
	origin->state = ORIGIN_CLOSING;
	origin->conn = NULL;
	for (int op = RING_READABLE; op <= RING_WRITABLE; op++)
		if (origin->end.polling & 1 << op)
			ring_cancel(&relay->ring, origin_tag(origin, (enum ring_op)op));
	if (!origin->end.polling)
		origin_free(&relay->pool, origin);
}

bool pool_is_quiet(const struct origin *origin)
{
	return io_peek(origin->end.fd) == -EAGAIN;
}

struct origin *pool_take(struct relay *relay, struct conn *conn)
{
	const struct pool_service *service = pool_service_of(relay, conn);
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

/* pool_size 0: none is ever kept. */
static bool may_keep(const struct relay *relay, const struct pool_service *service)
{
	if (relay->draining || !service->size)
		return false;
	return service->idle_count < service->size || relay->pool.extra < EXTRA_MAX;
}

void pool_keep(struct relay *relay, struct pool_service *service, struct origin *origin)
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
