/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The birth of a worker: what the parent takes away between fork and exec, and the pipes it
 * makes for one.
 */
#ifndef SLUICE_SLUICED_SPAWN_H
#define SLUICE_SLUICED_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn_spec {
	uid_t uid;
	gid_t gid;
	uint32_t descriptors; /* RLIMIT_NOFILE */
	const char *option;   /* what it shall be: "--worker", "--exporter" */
};

struct spawned {
	pid_t pid;
	int pidfd; /* readable when the worker has ended */
	int sock;  /* our end of the pair; non-blocking */
};

/* Starts "sluiced OPTION". 0 or -errno. */
int spawn_worker(const struct spawn_spec *spec, struct spawned *ret);

/*
 * Makes count pipes of size bytes, charged to uid, as { read, write, read, … }. Returns 0 and
 * in *ret_size what every one of them really has at least, or -errno with nothing made.
 */
int spawn_pipes(uid_t uid, size_t count, size_t size, int *ret_fds, size_t *ret_size);

#endif
