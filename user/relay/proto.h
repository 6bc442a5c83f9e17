/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What parent (sluiced/) and worker (relay/) say to each other over one
 * SOCK_SEQPACKET pair, framed by lib/msg. The parent answers a fixed table of
 * requests; anything else is a compromised worker and is killed.
 *
 * A worker is born as "sluiced --worker" with the pair on fd 3, already in an empty
 * network namespace, under its own uid, without capabilities. First come CONFIG and
 * PIPES, then LISTEN for each listener; the worker says READY when it serves.
 *
 * A parent that finds workers of one that died connects to the rendezvous that each of them was
 * given (KEEP), and is told HELLO, HELD as often as needed, and READY.
 */
#ifndef SLUICE_RELAY_PROTO_H
#define SLUICE_RELAY_PROTO_H

#include <stdint.h>

#include "../../bpf/abi.h"
#include "../lib/latency.h"
#include "../lib/msg.h"

#define PROTO_WORKER_FD 3
/* Raised by every change that a parent and a worker of two builds would misread. */
#define PROTO_VERSION 3

/* Which networks' sockets a worker holds. */
enum proto_role {
	PROTO_ROLE_BOTH,  /* bridge fd: tenant listeners and origin sockets */
	PROTO_ROLE_FRONT, /* bridge stream, tenant half: listeners and bridge streams */
	PROTO_ROLE_BACK,  /* bridge stream, management half: bridge streams and origin sockets */
};

enum proto_type {
	/* parent → worker */
	PROTO_CONFIG = 1, /* proto_config; fds: conf memfd, stats memfd, /dev/null, [access log] */
	PROTO_PIPES,	  /* proto_pipes; fds: read end, write end, read end, … (≤ 32 pipes) */
	PROTO_LISTEN,	  /* proto_listen; fds: one listening socket */
	PROTO_UNLISTEN,	  /* proto_unlisten */
	PROTO_ORIGIN,	  /* proto_origin, id of the CONNECT; fds: one connected socket, or none */
	PROTO_STREAM,	  /* proto_stream (BACK); fds: one end of a bridge stream */
	PROTO_DRAIN,	  /* proto_drain */
	PROTO_LOG,	  /* empty; fds: the access log, opened anew */
	/* worker → parent */
	PROTO_READY,   /* empty */
	PROTO_CONNECT, /* proto_connect, id chosen by the worker */
	PROTO_DRAINED, /* empty: no connection is left; the worker exits next */
	PROTO_PULSE,   /* empty: the loop turns; once a second */
	PROTO_FAILED,  /* proto_connect: this origin took a connection and said nothing on it */
	/* parent → worker */
	PROTO_KEEP, /* empty; fds: a listening AF_UNIX SEQPACKET socket */
	/* worker → the parent's successor */
	PROTO_HELLO, /* proto_hello; fds: conf memfd, stats memfd */
	PROTO_HELD,  /* empty; fds: listening sockets, as LISTEN brought them */
	/* parent → worker that has listeners */
	PROTO_BINDINGS, /* proto_bindings; fds: a table of lib/binding_table.h, a sealed memfd */
	/* worker → parent */
	PROTO_BOUND, /* proto_bindings: it is in force, and nothing that differs from it is left */
	/* parent → worker that has clients */
	PROTO_TRACE, /* proto_trace; fds: a pipe that gets a line for each request, or none: no more
		      */
	/* worker → parent */
	PROTO_LOST, /* proto_lost: no descriptor was to be had for what came with this; once more */
};

struct proto_config {
	uint32_t index;	     /* the worker's slot */
	uint32_t role;	     /* enum proto_role */
	uint32_t generation; /* rises with every reload */
	uint32_t tenants;    /* entries in the stats memfd, by tenant slot */
};

/* The stats memfd: struct sl_relay for each slot, then struct latency for each. */
static inline size_t proto_stats_size(uint32_t tenants)
{
	return (sizeof(struct sl_relay) + sizeof(struct latency)) * tenants;
}

struct proto_pipes {
	uint32_t size;	/* bytes, as F_GETPIPE_SZ said */
	uint32_t count; /* pipes in this message; fds are twice as many */
};

struct proto_listen {
	uint32_t tenant; /* id, key of map "tenants" */
	uint32_t slot;	 /* index into the stats memfd */
	uint16_t port;	 /* host order */
	uint8_t family;	 /* 4 or 6 */
	uint8_t shared;	 /* 1: other workers accept on the same socket (kernel < 6.6) */
	char name[SL_NAME_MAX];
	char network[SL_NAME_MAX]; /* where identity neutron finds an id; empty: not known */
};

/* Stop accepting for a tenant; with abort, reset its connections now (linger 0). */
struct proto_unlisten {
	uint32_t tenant;
	uint32_t abort;
};

struct proto_bindings {
	uint64_t serial; /* chosen by the parent; rises, also from one parent to the next */
	uint64_t size;	 /* bytes of the table */
};

struct proto_lost {
	uint32_t type; /* LISTEN or LOG; what follows is of LISTEN's */
	uint32_t tenant, slot;
	uint16_t port;
	uint8_t family;
	uint8_t pad;
};

struct proto_origin {
	int32_t error;	 /* 0 or errno of the connect */
	uint32_t origin; /* index that answered */
};

struct proto_stream {
	uint32_t unused;
	uint32_t pad;
};

struct proto_drain {
	uint32_t deadline_ms; /* then what is left is cut */
	uint32_t pad;
};

struct proto_hello {
	uint32_t index, role, generation, tenants; /* as in proto_config */
	uint32_t draining;
	uint32_t drain_left_ms;
};

struct proto_trace {
	uint32_t tenant; /* 0: all */
	uint32_t pad;
};

/*
 * Ask for a connection. PROTO_SERVICE_BRIDGE (FRONT only) asks for a stream to a BACK
 * worker. origin is an index into the service's origins, to be tried first.
 */
#define PROTO_SERVICE_BRIDGE UINT32_MAX
struct proto_connect {
	uint32_t service;
	uint32_t origin;
};

#endif
