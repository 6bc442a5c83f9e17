/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /run/sluice/INSTANCE: the control socket, the lock that keeps a second daemon of the same
 * instance away, and the notes about workers.
 */
#ifndef SLUICE_SLUICED_RUNDIR_H
#define SLUICE_SLUICED_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Letters, digits, '-' and '_'; at most 32 (bpffs takes no dots). */
bool rundir_instance_valid(const char *instance);

/*
 * Makes the directory, writes its path and takes the lock, which lasts as long as *ret_lock is
 * open. -EWOULDBLOCK: *ret_holder runs already; or -errno.
 */
int rundir_open(const char *instance, char *ret_path, size_t size, int *ret_lock,
		pid_t *ret_holder);
/* Its path alone; -ENAMETOOLONG. */
int rundir_path(const char *instance, char *ret_path, size_t size);
/* Removes what is empty and lets the lock go. */
void rundir_close(const char *path, int lock);

#endif
