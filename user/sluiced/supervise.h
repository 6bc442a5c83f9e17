/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workers together: how many of which role run, and what happens when one dies or hangs.
 * A slot (role, index) always has its listeners, which the parent keeps open; workers come
 * and go in it, and connections wait in the accept queue meanwhile.
 */
#ifndef SLUICE_SLUICED_SUPERVISE_H
#define SLUICE_SLUICED_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "worker.h"

struct supervise;
struct tenant;

int supervise_new(struct sluiced *sluiced, struct supervise **ret);
/* Ends every worker: a moment to finish, then SIGKILL. NULL is fine. */
void supervise_free(struct supervise *supervise);

/*
 * Brings the sets of workers to what configuration and tenants need now: missing ones are
 * started, those of an older generation replaced and drained, superfluous ones drained.
 */
void supervise_apply(struct supervise *supervise);

/* Hands a tenant's listeners to the workers of its bridge, or takes them back. */
void supervise_listen(struct supervise *supervise, const struct tenant *tenant);
void supervise_unlisten(struct supervise *supervise, const struct tenant *tenant, bool reset);

/* From worker.c: it serves; it has ended, and is freed here. */
void supervise_ready(struct supervise *supervise, struct worker *worker);
void supervise_ended(struct supervise *supervise, struct worker *worker);

/* The BACK worker that gets new streams of a FRONT one, or NULL. */
struct worker *supervise_partner(struct supervise *supervise, const struct worker *front);
/* All living workers, draining ones included: start with NULL, ends with NULL. */
struct worker *supervise_next(struct supervise *supervise, const struct worker *after);
unsigned supervise_restarts(struct supervise *supervise, const struct worker *worker);
/* Listeners per family and port that a gate shall have: 1 on kernels before 6.6. */
unsigned supervise_listeners(const struct supervise *supervise);
/* All workers accept on the same ones. */
bool supervise_shared(const struct supervise *supervise);

/* From a handover: a worker that an earlier parent started, and how many listeners gates have. */
void supervise_adopt(struct supervise *supervise, struct worker *worker);
void supervise_adopt_listeners(struct supervise *supervise, unsigned count);
struct worker *supervise_find(struct supervise *supervise, pid_t pid);
/* No message waits for a worker to read. */
bool supervise_quiet(const struct supervise *supervise);

#endif
