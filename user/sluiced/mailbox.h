/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages to one worker, in order. What its socket does not take at once waits here, with its own
 * copies of the descriptors; or, of what there are many, as a promise: a key, from which the
 * message is made when its turn comes.
 */
#ifndef SLUICE_SLUICED_MAILBOX_H
#define SLUICE_SLUICED_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail;

struct mailbox {
	struct mail *first, *last;
	size_t count, promises;
	bool starved; /* the kernel has no memory for the first: only time helps */
	/* Writes what a promise is to say, at most MSG_BODY_MAX bytes, and a descriptor that stays
	 * its owner's. Returns the length; -1: it need not be said any more. */
	int (*make)(struct mailbox *box, uint16_t type, const void *key, void *body, int *ret_fd);
};

/*
 * Sends or queues; fds stay the caller's. Returns 0 when sent, 1 when queued, or -errno:
 * -EMFILE, -ENFILE or -ENOMEM when it can neither be sent nor queued now, -EOVERFLOW when the
 * worker has let too many pile up.
 */
int mailbox_send(struct mailbox *box, int sock, uint16_t type, uint64_t id, const void *body,
		 size_t len, const int *fds, size_t nfds);
/* The same for what make() writes. */
int mailbox_send_made(struct mailbox *box, int sock, uint16_t type, const void *key, size_t len);
/* Queues it alone: 1, or -ENOMEM. */
int mailbox_promise(struct mailbox *box, uint16_t type, const void *key, size_t len);
/* Sends what waits: 0 when nothing is left, 1 when some must wait again, or -errno. */
int mailbox_flush(struct mailbox *box, int sock);
/* What waits in other waits behind all in box from now on. */
void mailbox_join(struct mailbox *box, struct mailbox *other);
void mailbox_clear(struct mailbox *box);

#endif
