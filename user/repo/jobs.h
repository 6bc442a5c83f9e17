/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads for what may take long (finishing an upload, publishing, fsck), so that the
 * threads that serve connections never wait for a disk or a child process.
 */
#ifndef REPO_JOBS_H
#define REPO_JOBS_H

#include <stdbool.h>

struct jobs;

int jobs_start(unsigned threads, struct jobs **ret_jobs);
/* run(arg) is called once, in one of the threads or by jobs_close(). -EAGAIN: the queue is full, or
 * it has been closed. */
int jobs_add(struct jobs *jobs, void (*run)(void *arg), void *arg);
/* Takes no more, and runs here what is queued, for the threads may all be at work for long. */
void jobs_close(struct jobs *jobs);
/* The same, and ends the threads; false when some are at work after so long: then the process may
 * only exit. */
bool jobs_stop(struct jobs *jobs, unsigned milliseconds);
/* For one that has been stopped, or never had a job. Nobody may add any more; NULL is fine. */
void jobs_free(struct jobs *jobs);

#endif
