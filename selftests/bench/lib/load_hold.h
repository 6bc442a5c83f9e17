/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that do nothing: opened, asked once each, then held; and a server that does no more
 * than to hold them, for what two bare sockets cost.
 */
#ifndef BENCH_LOAD_HOLD_H
#define BENCH_LOAD_HOLD_H

#include <netinet/in.h>

struct hold_plan {
	struct sockaddr_in to;
	const char *host, *path;
	unsigned connections;
};

/*
 * Opens the connections, a few at a time, has one document on each, says so in a line of JSON and
 * holds them until standard input ends. Exits 1 when one could not be had, or was closed meanwhile.
 */
void load_hold(const struct hold_plan *plan);
/* Accepts at that address, answers one request on each connection and keeps it, for ever. */
void load_keep(const struct sockaddr_in *at);

#endif
