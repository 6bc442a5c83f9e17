/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listening sockets from the parent and the connections they yield. Limits are enforced
 * here: what is over one is answered 503 with Retry-After, without reading a byte.
 */
#ifndef SLUICE_RELAY_LISTEN_H
#define SLUICE_RELAY_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "proto.h"
#include "ring.h"

struct relay;

struct listener {
	int fd; /* -1: the slot is free */
	uint32_t generation;
	bool accepting; /* the ring holds an accept */
	bool ending;	/* closed as soon as it does not, and nobody waits to be accepted */
	bool aborted;	/* what it still yields is reset */
	struct proto_listen about;
};

struct listeners {
	struct listener *table;
	uint32_t max, high; /* slots from high on were never used */
	uint32_t hole;	    /* no slot below it is free */
	uint32_t open;
	int64_t paused_until_ms; /* 0: accepting */
};

int listen_init(struct listeners *listeners, uint32_t max);
void listen_free(struct listeners *listeners);

/* Takes fd over, also on failure. 0, -ENOSPC, or -EINVAL for a slot out of range. */
int listen_add(struct relay *relay, int fd, const struct proto_listen *about);
/*
 * Stops accepting for a tenant; with abort, connections accepted meanwhile are reset. Returns where
 * the tenant is counted, UINT32_MAX when nothing of it was there.
 */
uint32_t listen_remove(struct relay *relay, uint32_t tenant, bool abort);
/* Stops accepting altogether, once the queues are empty. */
void listen_stop(struct relay *relay);
/* Accepts again after a shortage, when its time has come. */
void listen_tick(struct relay *relay);
void listen_event(struct relay *relay, const struct ring_event *event);
/* A bridge stream (BACK): served like an accepted connection. Takes fd over. */
void listen_stream(struct relay *relay, int fd);

#endif
