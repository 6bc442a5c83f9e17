/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An HTTP/1.1 client under load: groups of connections, each fetching one fixed path over
 * and over, on one thread and one epoll. Every response is checked: status 200, one
 * Content-Length of the expected size, no other framing, exactly that many body bytes, and
 * in a hash run the body's SHA-256. Anything else ends the program with a message, for a
 * figure taken over wrong bytes is worth nothing.
 *
 * A timed run counts body bytes and completed requests inside a window after a warm-up and
 * cuts what is under way at its end. A counted run ends when every group has its requests.
 */
#ifndef BENCH_LOAD_HTTP_H
#define BENCH_LOAD_HTTP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"
#include "hist.h"

#define LOAD_GROUPS_MAX 4
#define LOAD_CONNS_MAX	20000

struct load_group {
	const char *path;
	uint64_t size;	      /* of the body, bytes */
	unsigned connections; /* at a time */
	const char *sha256;   /* lower-case hex: hash every body; NULL: do not */
	/* filled by the run */
	uint64_t requests; /* completed in the window */
	uint64_t bytes;	   /* of bodies, in the window */
	struct hist latency;
};

struct load_plan {
	struct sockaddr_in to;
	char host[64];	   /* the Host header */
	bool fresh;	   /* a new connection for every request, closed by the server */
	bool discard;	   /* read bodies with MSG_TRUNC: no copy to user memory */
	double warmup;	   /* seconds */
	double seconds;	   /* the window */
	uint64_t requests; /* per group; 0: a timed run */
	double deadline;   /* of a counted run, seconds */
};

/* Runs the plan and returns the window's length in seconds. cpu spans the window. */
double load_http_run(const struct load_plan *plan, struct load_group *groups, unsigned ngroups,
		     struct cpu *cpu);

#endif
