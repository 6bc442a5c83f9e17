/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages to one worker, in order. What its socket does not take at once waits here with
 * its own copies of the descriptors.
 */
#ifndef SLUICE_SLUICED_MAILBOX_H
#define SLUICE_SLUICED_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

struct mail;

struct mailbox {
	struct mail *first, *last;
	size_t count;
};

/*
 * Sends or queues; fds stay the caller's. Returns 0 when sent, 1 when queued, or -errno:
 * -ENOBUFS when the worker has let too many pile up.
 */
int mailbox_send(struct mailbox *box, int sock, uint16_t type, uint64_t id, const void *body,
		 size_t len, const int *fds, size_t nfds);
/* Sends what waits: 0 when nothing is left, 1 when the socket is full again, or -errno. */
int mailbox_flush(struct mailbox *box, int sock);
void mailbox_clear(struct mailbox *box);

#endif
