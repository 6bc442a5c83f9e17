/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framing of messages over AF_UNIX SOCK_SEQPACKET, with file descriptors.
 * Parent and workers speak it; which messages exist is relay/proto.h's business.
 * Everything received is checked against a table before anyone looks at it.
 */
#ifndef SLUICE_MSG_H
#define SLUICE_MSG_H

#include <stddef.h>
#include <stdint.h>

#define MSG_FDS_MAX  64	  /* descriptors in one message */
#define MSG_BODY_MAX 4096 /* bytes after the header */

struct msg_head {
	uint16_t type;
	uint16_t nfds; /* descriptors that travel along */
	uint32_t len;  /* bytes of the body */
	uint64_t id;   /* pairs a reply with its request; 0 otherwise */
};

/* What one type may look like. */
struct msg_rule {
	uint16_t type;
	uint16_t fds_min, fds_max;
	uint32_t len_min, len_max;
};

struct msg {
	struct msg_head head;
	int fds[MSG_FDS_MAX]; /* owned by the receiver; unset ones are -1 */
	_Alignas(8) uint8_t body[MSG_BODY_MAX];
};

/*
 * Sends one message; fds stay the caller's. Returns 0, -EAGAIN when the socket is
 * full, or -errno.
 */
int msg_send(int sock, uint16_t type, uint64_t id, const void *body, size_t len, const int *fds,
	     size_t nfds);
/*
 * Receives one message and checks it against rules. Returns 1, 0 at end of stream,
 * -EAGAIN when there is none, -EBADMSG when no rule allows it (received fds are
 * closed), or -errno. Received fds have O_CLOEXEC.
 * -EMFILE: it is a good one, in *ret_msg, but this process may not have its fds; all are closed.
 */
int msg_recv(int sock, const struct msg_rule *rules, size_t nrules, struct msg *ret_msg);
/* Closes what msg still holds. */
void msg_close_fds(struct msg *msg);

#endif
