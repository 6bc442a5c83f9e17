/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One worker as its parent sees it: talked to, listened to, and buried. How it comes is
 * worker_start.c's, which workers there shall be supervise.c's.
 */
#ifndef SLUICE_SLUICED_WORKER_H
#define SLUICE_SLUICED_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../relay/proto.h"
#include "mailbox.h"
#include "sluiced.h"

enum worker_state {
	WORKER_STARTING, /* until READY */
	WORKER_SERVING,
	WORKER_DRAINING, /* finishes what it has; gets nothing new */
	WORKER_ENDING,	 /* said DRAINED, or was killed */
};

struct tenant;

struct worker {
	struct sluiced *sluiced;
	struct worker *next;
	enum proto_role role;
	unsigned index;
	enum worker_state state;
	pid_t pid;
	struct generation *generation;
	uint64_t started_ms, pulse_ms, drain_by_ms;
	int sock, pidfd; /* -1: none */
	struct loop_watch message, ended;
	struct mailbox mailbox, lost; /* lost: it had no descriptor for these; once more, later */
	struct loop_timer again;
	bool wants_write;
	uint64_t bound;	     /* serial of the last PROTO_BOUND */
	unsigned unbound;    /* how often that was looked for in vain */
	unsigned connecting; /* PROTO_CONNECTs not answered yet */
	/* Shared with the worker: one struct sl_relay per tenant slot. */
	struct sl_relay *stats;
	struct latency *latency; /* behind them; likewise */
	uint32_t nstats;
	int stats_fd; /* what stats maps; a successor of ours maps it, too */
};

/*
 * 0, or -errno: -EMFILE, -ENFILE and -ENOMEM say that we have no room for it now; after others the
 * worker is being killed, or has died. fds stay the caller's.
 */
int worker_send(struct worker *worker, uint16_t type, uint64_t id, const void *body, size_t len,
		const int *fds, size_t nfds);
int worker_listen(struct worker *worker, const struct tenant *tenant);
/* For worker_start.c: what the mailbox's promises say. */
int worker_make(struct mailbox *box, uint16_t type, const void *key, void *body, int *ret_fd);
void worker_drain(struct worker *worker, uint32_t deadline_ms);
/* SIGKILL, with a log line; it is buried when the kernel says it has ended. */
void worker_kill(struct worker *worker, const char *why);

/* Begins to hear what it says, and its end. 0 or -errno. */
int worker_watch(struct worker *worker);

const char *worker_role_name(enum proto_role role);
const char *worker_state_name(enum worker_state state);

#endif
