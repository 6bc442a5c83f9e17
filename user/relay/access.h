/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The access log: one line, one write(2), for each request that a VM made, when its
 * response is complete or its connection ends. The parent opened the file; a worker only
 * has the descriptor, always under the same number, so that the sandbox can name it. On a
 * stream bridge the FRONT half writes, which has the client.
 *
 * A line never holds header fields or a query: secrets travel there. Each tenant may write
 * so many lines a second; how many requests were left out is said once a second.
 *
 * The same lines, always as JSON, go to a pipe while somebody traces requests (proto.h, TRACE); a
 * reader that is slow loses lines, which is said, too.
 *
 * While there is neither, every function here returns at once.
 */
#ifndef SLUICE_RELAY_ACCESS_H
#define SLUICE_RELAY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/abi.h"

#define ACCESS_FD	  255 /* above what a worker has before its first connection */
#define ACCESS_TRACE_FD	  254 /* likewise; /dev/null while nobody traces */
#define ACCESS_PATH_MAX	  256 /* bytes of a path that are logged */
#define ACCESS_METHOD_MAX 16

struct conn;
struct relay;

/* The request under way on a connection. Times are CLOCK_MONOTONIC ns, 0: not yet. */
struct access_entry {
	uint64_t id;
	int64_t began_ns, connected_ns, first_ns;
	uint64_t head_in;  /* bytes of the head as it came */
	uint32_t head_out; /* and as it was sent on */
	int32_t route;	   /* index, -1: none */
	int32_t origin;	   /* of the service's origins; -1: none */
	uint16_t status;
	bool open;	 /* a line is due */
	bool target_cut; /* path is not all of it */
	uint8_t method_len;
	uint16_t path_len;
	char method[ACCESS_METHOD_MAX];
	char path[ACCESS_PATH_MAX];
};

/* What a tenant may still write. */
struct access_tenant {
	int64_t paid_ns;
	uint64_t left_out;
	char name[SL_NAME_MAX]; /* valid while left_out */
};

struct access {
	struct access_entry *entries;  /* by connection slot; NULL: nobody wants lines so far */
	struct access_tenant *tenants; /* by stats slot */
	uint64_t next_id;
	int64_t cost_ns, depth_ns;
	bool left_out; /* some tenant's count is not 0 */
	bool json;
	bool log;	       /* there is a file */
	bool tracing;	       /* there is a pipe */
	uint32_t trace_tenant; /* 0: all */
	int64_t trace_paid_ns; /* lines have a budget, too */
	uint64_t trace_left_out;
};

/* Keeps places for descriptors that come later; before the first connection. 0 or -errno. */
int access_reserve(const struct relay *relay);
/* Takes fd over and begins logging to it. 0 or -errno. */
int access_init(struct relay *relay, int fd);
/* Another file from here on; takes fd over. */
int access_reopen(struct relay *relay, int fd);

/* Takes the pipe over and begins tracing to it; fd -1: ends that. 0 or -errno. */
int access_trace(struct relay *relay, int fd, uint32_t tenant);

/* A request's head is in relay->head and the client's buffer. */
void access_begin(struct relay *relay, struct conn *conn);
void access_routed(struct relay *relay, struct conn *conn, unsigned route);
/* Its rewritten head is in conn->head[CLIENT]; an origin took it; its response has begun. */
void access_rewritten(struct relay *relay, struct conn *conn);
void access_connected(struct relay *relay, struct conn *conn);
void access_answered(struct relay *relay, struct conn *conn, uint16_t status);
/* The response is with the client, or the connection ends before: end says why. */
void access_end(struct relay *relay, struct conn *conn, const char *end);

/* Says what was left out; once a second, and at the worker's end. */
void access_flush(struct relay *relay);

#endif
