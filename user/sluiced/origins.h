/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections to services, made by the parent from the management namespace because workers
 * cannot. A worker gets connected sockets only: with an unconnected one it could reach any
 * address by sendto() with MSG_FASTOPEN.
 */
#ifndef SLUICE_SLUICED_ORIGINS_H
#define SLUICE_SLUICED_ORIGINS_H

#include <stdint.h>

#include "../relay/proto.h"
#include "sluiced.h"

struct conf_management;
struct origins;
struct state_connect;
struct worker;

int origins_new(struct sluiced *sluiced, struct origins **ret);
void origins_free(struct origins *origins);

/* Opens the management namespace the configuration names; -errno and *ret_why (malloc'd) when
 * it is not there, and the one in use stays. */
int origins_manage(struct origins *origins, const struct conf_management *management,
		   char **ret_why);

/* Answers a PROTO_CONNECT, now or later. */
void origins_connect(struct origins *origins, struct worker *worker, uint64_t id,
		     const struct proto_connect *connect);
/* Answers a PROTO_FAILED: the origin rests, as one that refuses connections does. */
void origins_blame(struct worker *worker, const struct proto_connect *blamed);
/* Writes what a worker waits for, at most max; returns how many. */
unsigned origins_pending(struct origins *origins, const struct worker *worker,
			 struct state_connect *ret, unsigned max);
/* Drops what a worker that has ended still waited for. */
void origins_forget(struct origins *origins, const struct worker *worker);

#endif
