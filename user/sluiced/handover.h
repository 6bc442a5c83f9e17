/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One parent after another: what is written for a successor, and how a successor takes it
 * over. An upgrade leaves the descriptors in the process; after a crash the workers have them.
 */
#ifndef SLUICE_SLUICED_HANDOVER_H
#define SLUICE_SLUICED_HANDOVER_H

#include "sluiced.h"

struct handover;
struct state;
struct tenant;

#define HANDOVER_FILE  "state"		    /* in RUN_DIR */
#define HANDOVER_FRESH HANDOVER_FILE ".new" /* until it is complete */

int handover_new(struct sluiced *sluiced, struct handover **ret);
/* NULL is fine. orderly: nobody is to take anything over; the file goes. */
void handover_free(struct handover *handover, bool orderly);
/* Workers or their generations have changed: RUN_DIR/state is written soon. */
void handover_touch(struct handover *handover);
/* A tenant has changed, or is about to be freed: soon. */
void handover_tenant(struct handover *handover, const struct tenant *tenant);
/* What is to be written is written at the end of this turn of the loop. */
void handover_hurry(struct handover *handover);
/* It is written now. 0, or -errno: logged, and tried again. */
int handover_flush(struct handover *handover);

/* A memfd with the state, for execve(); its descriptors stay close-on-exec. The fd or -errno. */
int handover_write(struct sluiced *sluiced);
/* Calls fn with every descriptor that the successor needs. 0, or -errno when it could not. */
int handover_each_fd(struct sluiced *sluiced, void (*fn)(int *fd, void *arg), void *arg);

/* Reads a memfd: 0 and *ret, or -errno and *ret_why (malloc'd). */
int handover_read(int fd, struct state **ret, char **ret_why);
/*
 * Finds what a parent that died has left in run_dir: the workers that answer, with all their
 * descriptors. Ends those that do not. NULL when there is nothing to take over.
 */
struct state *handover_find(const char *run_dir);
/* Ends what is there instead. Returns how many workers were alive. */
int handover_discard(const char *run_dir);
/* Makes it ours, once modules and programs stand. Takes out of state what is taken over. */
void handover_adopt(struct sluiced *sluiced, struct state *state);

#endif
