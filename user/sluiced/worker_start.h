/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The beginning and the end of a worker: a process started and equipped with configuration,
 * counters, pipes and listeners, or one taken over from another parent; and what is let go when it
 * has ended. What is said in between is worker.c's.
 */
#ifndef SLUICE_SLUICED_WORKER_START_H
#define SLUICE_SLUICED_WORKER_START_H

#include "worker.h"

struct state_worker;

/* Forks and equips a worker of the generation in force. 0 or -errno. */
int worker_start(struct sluiced *sluiced, enum proto_role role, unsigned index,
		 struct worker **ret);
/*
 * Takes over one that another parent started: its socket, counters and pid are in from, whose
 * descriptors become ours on success alone. 0 or -errno.
 */
int worker_adopt(struct sluiced *sluiced, struct generation *generation,
		 const struct state_worker *from, struct worker **ret);
/* Lets go of one that has ended (or never ran). */
void worker_free(struct worker *worker);

#endif
