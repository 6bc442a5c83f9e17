/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits for an origin connection, and what is asked of the parent for them: as many CONNECTs
 * as there are waiters. A connection that comes, by a reply or given back by another, goes to who
 * has waited longest, or into the pool.
 */
#include <errno.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/msg.h"
#include "pool_impl.h"
#include "relay.h"

/*
 * CONNECTs without a reply: a service may have as many as are left for all, so that one whose hosts
 * are silent leaves others some. All are fewer than the parent takes of a worker.
 */
#define ASKED_MAX 512
/* A parent that died is started anew within so long, or not soon. */
#define SUCCESSOR_MS 8000

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
	link_waiter(pool_service_of(relay, conn), conn);
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
		unlink_waiter(pool_service_of(relay, conn), conn);
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

void pool_give(struct relay *relay, struct origin *origin)
{
	struct pool_service *service = &relay->pool.services[origin->service];
	const struct conn *waiter = service->first_waiter;

	origin->reused = true;
	/* Not for a request that must not meet a connection about to be closed. */
	if (waiter && waiter->idempotent && !waiter->tries)
		hand_over(relay, service, origin);
	else
		pool_keep(relay, service, origin);
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
	if (!service->asked)
		service->heard_ms = relay->now_ms;
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

		while (service->asked < service->waiters &&
		       service->asked < ASKED_MAX - pool->asked) {
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

void pool_late(struct relay *relay, struct conn *conn, uint32_t wait_ms)
{
	struct pool_service *service = pool_service_of(relay, conn);

	pool_leave(relay, conn);
	/* Where replies come, none need be lost: more wait than are asked for at once. */
	if (relay->now_ms - service->heard_ms < wait_ms)
		return;
	relay->pool.asked -= service->asked;
	service->asked = 0;
	pool_ask(relay);
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
	service->heard_ms = relay->now_ms;
	if (service->asked) {
		service->asked--;
		pool->asked--;
	}
	conn = service->first_waiter;
	if (fd >= 0) {
		origin = pool_new(pool, fd, index, reply->origin);
		if (!origin)
			close(fd);
	}
	if (origin) {
		if (conn) {
			conn->origin_stats->origin_connects++;
			hand_over(relay, service, origin);
		} else {
			pool_keep(relay, service, origin);
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
