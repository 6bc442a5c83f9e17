/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers outlive a parent that dies. So that the next parent finds them, each one has a
 * file RUN_DIR/workers/PID with its start time, which tells it from a later process of the
 * same number.
 */
#ifndef SLUICE_SLUICED_ORPHANS_H
#define SLUICE_SLUICED_ORPHANS_H

#include <sys/types.h>

void orphans_record(const char *run_dir, pid_t pid);
void orphans_forget(const char *run_dir, pid_t pid);
/* Ends the workers of an earlier parent and waits for it. Returns how many. */
int orphans_end(const char *run_dir);

#endif
