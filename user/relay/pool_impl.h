/* SPDX-License-Identifier: BSD-2-Clause */
/* What pool_ask.c needs of pool.c. */
#ifndef SLUICE_RELAY_POOL_IMPL_H
#define SLUICE_RELAY_POOL_IMPL_H

#include "pool.h"
#include "relay.h"

static inline struct pool_service *pool_service_of(struct relay *relay, const struct conn *conn)
{
	return &relay->pool.services[relay->role == PROTO_ROLE_FRONT ? 0 : conn->service];
}

/* A service's new connection, BUSY; takes fd over. NULL: there is no room, fd is the caller's. */
struct origin *pool_new(struct pool *pool, int fd, uint32_t service, uint32_t index);
/* Nobody needs it now: idle in its service, or closed where that has enough. */
void pool_keep(struct relay *relay, struct pool_service *service, struct origin *origin);

#endif
