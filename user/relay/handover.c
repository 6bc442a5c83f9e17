/* SPDX-License-Identifier: BSD-2-Clause */
#include "handover.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/msg.h"
#include "relay.h"
#include "sandbox.h"

SANDBOX_ALLOW_OPTION(getsockopt, SOL_SOCKET, SO_PEERCRED);

static const struct ring_tag tag = { .op = RING_SUCCESSOR };

void handover_init(struct handover *handover)
{
	*handover = (struct handover){ .rendezvous = -1, .conf_fd = -1, .stats_fd = -1 };
}

void handover_rearm(struct relay *relay)
{
	struct handover *handover = &relay->handover;

	if (handover->rendezvous < 0 || handover->accepting)
		return;
	ring_accept(&relay->ring, handover->rendezvous, true, tag);
	handover->accepting = true;
}

int handover_keep(struct relay *relay, int fd)
{
	if (relay->handover.rendezvous >= 0) {
		close(fd);
		return -EEXIST;
	}
	relay->handover.rendezvous = fd;
	handover_rearm(relay);
	return 0;
}

bool handover_expected(const struct relay *relay)
{
	return relay->handover.rendezvous >= 0;
}

bool handover_event(struct relay *relay, const struct ring_event *event, int *ret_fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (!event->more)
		relay->handover.accepting = false;
	if (event->result < 0)
		return false;
	handover_rearm(relay);
	/* The kernel noted it when the peer connected. */
	if (getsockopt(event->result, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != 0) {
		log_error("worker %u: somebody who is not root wanted to be the parent",
			  relay->index);
		close(event->result);
		return false;
	}
	*ret_fd = event->result;
	return true;
}

void handover_begin(struct relay *relay)
{
	relay->handover.telling = true;
	relay->handover.greeted = false;
	relay->handover.next = 0;
	handover_continue(relay);
}

static int greet(struct relay *relay)
{
	int64_t left = relay->drain_deadline_ms - relay->now_ms;
	struct proto_hello hello = {
		.index = relay->index,
		.role = relay->role,
		.generation = relay->generation,
		.tenants = relay->stats_count,
		.draining = relay->draining,
		.drain_left_ms = relay->draining && left > 0 ? (uint32_t)left : 0,
	};
	int fds[] = { relay->handover.conf_fd, relay->handover.stats_fd };

	return msg_send(relay->parent_fd, PROTO_HELLO, 0, &hello, sizeof(hello), fds, 2);
}

/* The successor knows a socket by its cookie, so that sockets are all it needs. */
static int give_listeners(struct relay *relay)
{
	struct handover *handover = &relay->handover;

	while (handover->next < relay->listeners.high) {
		int fds[MSG_FDS_MAX];
		uint32_t at = handover->next, count = 0;
		int rc;

		for (; at < relay->listeners.high && count < MSG_FDS_MAX; at++)
			if (relay->listeners.table[at].fd >= 0)
				fds[count++] = relay->listeners.table[at].fd;
		rc = count ? msg_send(relay->parent_fd, PROTO_HELD, 0, NULL, 0, fds, count) : 0;
		if (rc < 0)
			return rc;
		handover->next = at;
	}
	return 0;
}

/*
 * The socket is full, or the kernel is short of what it takes. All workers are one user, of whom no
 * more descriptors may be on their way than one of them may have open (net/unix/scm.c,
 * too_many_unix_fds): what others have sent is to be read first.
 */
static bool is_for_now(int error)
{
	return error == -EAGAIN || error == -ETOOMANYREFS || error == -ENOBUFS || error == -ENOMEM;
}

void handover_continue(struct relay *relay)
{
	struct handover *handover = &relay->handover;
	int rc = 0;

	if (!handover->telling || relay->parent_fd < 0)
		return;
	if (!handover->greeted)
		rc = greet(relay);
	if (!rc) {
		handover->greeted = true;
		rc = give_listeners(relay);
	}
	if (!rc)
		rc = msg_send(relay->parent_fd, PROTO_READY, 0, NULL, 0, NULL, 0);
	if (is_for_now(rc))
		return; /* asked again every turn of the loop */
	handover->telling = false;
	if (rc < 0) {
		log_error("worker %u: cannot tell the new parent: error %d", relay->index, -rc);
		return; /* its end is seen where its messages are read */
	}
	log_info("worker %u: there is a new parent", relay->index);
	pool_resume(relay);
}
