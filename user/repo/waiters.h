/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests that wait for something new (long poll). They are suspended: a waiting agent
 * costs a socket and some memory, no thread. One thread watches the deadlines.
 */
#ifndef REPO_WAITERS_H
#define REPO_WAITERS_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"

#define WAITERS_MAX 20000

/* crowd: from so many on, one VM does not take up more of everybody's room. */
int waiters_start(unsigned crowd, struct waiters **ret_waiters);
/*
 * Parks a suspended request of a tenant's instance, for at most seconds. In a crowd an instance
 * with two or more lets its oldest go for it, with what that would get at its end. False: too
 * many, or the daemon is stopping.
 */
bool waiters_add(struct waiters *waiters, struct request *request, unsigned seconds);
/* Answers those of an instance: api_desired_answer() decides with what. */
void waiters_wake(struct waiters *waiters, const char *tenant, const char *instance);
/* Is an agent of this instance waiting now? */
bool waiters_has(struct waiters *waiters, const char *tenant, const char *instance);
/* Answers everybody; from now on nobody may wait. */
void waiters_release(struct waiters *waiters);
/* The same, and ends the thread. From one thread, as waiters_free(). */
void waiters_stop(struct waiters *waiters);
/* The same when that has not been done. Nobody may ask any more; NULL is fine. */
void waiters_free(struct waiters *waiters);

/* api_instruct.c: sets the reply, the document when there is a newer one, else 204. */
void api_desired_answer(struct request *request);

#endif
