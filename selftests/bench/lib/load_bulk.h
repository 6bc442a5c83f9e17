/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plain TCP bulk in one direction, for measuring what a gateway's other traffic notices.
 * A client opens connections to a server and says with one byte who sends: 'u' the client,
 * 'd' the server. Both ends avoid copies (sendfile from memory, MSG_TRUNC), so that the
 * gateway is as large a part of the path's cost as it can be.
 */
#ifndef BENCH_LOAD_BULK_H
#define BENCH_LOAD_BULK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"

#define BULK_CONNS_MAX 64

struct bulk_plan {
	struct sockaddr_in to;
	bool up;
	unsigned connections;
	double warmup, seconds;
};

/* Serves until killed; prints "ready" on stdout once it listens. */
void load_bulk_serve(const struct sockaddr_in *address);

/*
 * Runs the plan; returns the window's length in seconds and in *ret_bytes what the
 * receiver's TCP had by its end: read here (down), acknowledged by the other side (up).
 */
double load_bulk_run(const struct bulk_plan *plan, struct cpu *cpu, uint64_t *ret_bytes);

#endif
