/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a worker finds a new parent when the one it had is gone. The parent gave it a listening
 * AF_UNIX socket at birth; whoever connects there as root is the successor and gets back what
 * would otherwise be lost: configuration, counters, and every listening socket.
 */
#ifndef SLUICE_RELAY_HANDOVER_H
#define SLUICE_RELAY_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "ring.h"

struct relay;

struct handover {
	int rendezvous; /* -1: none */
	bool accepting; /* the ring holds an accept */
	bool telling;	/* the successor has not been told everything yet */
	bool greeted;	/* it has got HELLO */
	uint32_t next;	/* listener to be handed over next */
	int conf_fd, stats_fd;
};

void handover_init(struct handover *handover);
/* The rendezvous; takes fd over. -EEXIST when there is one already. */
int handover_keep(struct relay *relay, int fd);
/* Somebody connected. True: fd *ret_fd is the new parent's, the old one's is to be let go. */
bool handover_event(struct relay *relay, const struct ring_event *event, int *ret_fd);
/* Begins, and goes on when the successor's socket has room; harmless when there is nothing to tell.
 */
void handover_begin(struct relay *relay);
void handover_continue(struct relay *relay);
/* Once a second: accepts again after a shortage of descriptors. */
void handover_rearm(struct relay *relay);
/* Nobody to ask now, but somebody may come. */
bool handover_expected(const struct relay *relay);

#endif
