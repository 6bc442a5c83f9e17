/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where workers and the successor of a dead parent meet: a listening socket per worker,
 * RUN_DIR/workers/PID, made by the parent that starts the worker and held by the worker alone.
 * The directory is root's, so that only root comes to it.
 */
#ifndef SLUICE_SLUICED_RENDEZVOUS_H
#define SLUICE_SLUICED_RENDEZVOUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../relay/proto.h"

/* What a worker gave back. Unset descriptors are -1; all are the caller's. */
struct rendezvous {
	int err;  /* 0: it has told all; -EAGAIN: not yet; or why it never will */
	int sock; /* to the worker, non-blocking; it takes us for its parent */
	int conf_fd, stats_fd;
	struct proto_hello hello;
	int *listeners;
	size_t nlisteners;
};

/* The listening socket for worker pid, or -errno. */
int rendezvous_open(const char *run_dir, pid_t pid);
/* Removes its name. */
void rendezvous_remove(const char *run_dir, pid_t pid);
/* Ends every process that still listens under a name for which keep() does not speak, and removes
 * those names; an empty directory, too. Returns how many were ended. */
int rendezvous_sweep(const char *run_dir, bool (*keep)(pid_t pid, const void *arg),
		     const void *arg);
/* SIGKILL, and waits until it has ended (bounded). */
void rendezvous_end(pid_t pid);

/* Becomes the worker's parent, and it begins to tell what it has. ret is the caller's to free. */
void rendezvous_connect(const char *run_dir, pid_t pid, struct rendezvous *ret);
/*
 * Waits until all of these have told all, or failed. Who has not within budget_ms of waiting, time
 * in which we stood still not counted, fails with -ETIMEDOUT.
 */
void rendezvous_hear(struct rendezvous *met, size_t count, unsigned budget_ms);
void rendezvous_free(struct rendezvous *met);

/* When a process was born, in clock ticks after boot; 0 when there is none. With its number it
 * tells a process from any other. */
uint64_t rendezvous_born(pid_t pid);

#endif
