/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker's one io_uring: it waits for sockets (polls), accepts, and moves body
 * bytes for the uring engine. Everything submitted carries a ring_tag; every
 * completion comes back as a ring_event, which worker.c dispatches in one switch.
 *
 * Data flows through plain non-blocking recv, send and splice calls (io.h): measured,
 * they cost no more than ring operations, and errors come where the call is made.
 */
#ifndef SLUICE_RELAY_RING_H
#define SLUICE_RELAY_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

/* The two ends of a conversation; the pump's directions are named after their source. */
enum side {
	CLIENT,
	ORIGIN,
	SIDES,
};

enum ring_op {
	RING_MESSAGE,	   /* the parent's socket can be read */
	RING_MESSAGE_ROOM, /* the parent's socket can be written again */
	RING_ACCEPT,	   /* slot: listener */
	RING_READABLE,	   /* slot: connection (CLIENT) or origin connection (ORIGIN) */
	RING_WRITABLE,	   /* as above */
	RING_RESET,	   /* the client's socket was reset */
	RING_FILL,	   /* splice from socket into pipe; side: the direction's source */
	RING_SPILL,	   /* splice from pipe into socket; as above */
	RING_SUCCESSOR,	   /* a connection to the rendezvous */
	RING_CANCEL,	   /* only failures arrive, and mean that the target had ended */
	RING_OPS,
};

/* What identifies an operation; RING_SLOTS bounds every table whose slots appear in tags. */
#define RING_SLOTS	 (1u << 24)
#define RING_GENERATIONS (1u << 24)
struct ring_tag {
	enum ring_op op;
	enum side side;
	uint32_t slot;
	uint32_t generation;
};

struct ring_event {
	struct ring_tag tag;
	int result; /* -errno or what the operation returns */
	bool more;  /* multishot: further completions follow */
};

struct ring {
	struct io_uring uring;
	bool made;
};

/*
 * Makes the ring, disabled until sandbox_ring() has restricted and enabled it. Uses
 * DEFER_TASKRUN and friends where the kernel has them. wq_threads bounds the kernel
 * threads that run splices. Returns 0 or -errno.
 */
int ring_init(struct ring *ring, unsigned wq_threads);
void ring_free(struct ring *ring);

/*
 * One completion when fd is readable (or at its end), writable, or (RING_RESET) broken,
 * where data and FIN do not count.
 */
void ring_poll(struct ring *ring, int fd, struct ring_tag tag);
void ring_accept(struct ring *ring, int fd, bool multishot, struct ring_tag tag);
void ring_cancel(struct ring *ring, struct ring_tag tag);

struct ring_splice {
	int from, to;
	uint32_t len;
	struct ring_tag tag;
};
/* The second starts when the first ends, also when that one was short. */
void ring_splice_pair(struct ring *ring, const struct ring_splice *fill,
		      const struct ring_splice *spill);
void ring_splice(struct ring *ring, const struct ring_splice *splice);

/*
 * Nothing has completed since ring_reap(), as far as memory shared with the kernel tells;
 * where the kernel does not flag pending work (before 6.1), it learns of it in ring_wait().
 */
bool ring_quiet(const struct ring *ring);
/* Submits what is queued and waits at most timeout_ms (0: does not wait). 0 or -errno. */
int ring_wait(struct ring *ring, uint32_t timeout_ms);
/* Takes up to max completions; returns how many. */
unsigned ring_reap(struct ring *ring, struct ring_event *ret_events, unsigned max);

#endif
