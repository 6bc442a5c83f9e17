/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads for what may take long (finishing an upload, publishing, fsck), so that the
 * threads that serve connections never wait for a disk or a child process.
 */
#ifndef REPO_JOBS_H
#define REPO_JOBS_H

struct jobs;

int jobs_start(unsigned threads, struct jobs **ret_jobs);
/* run(arg) is called once, in one of the threads. -EAGAIN: the queue is full, or it has been
 * stopped. */
int jobs_add(struct jobs *jobs, void (*run)(void *arg), void *arg);
/* Runs what is queued, then ends the threads. */
void jobs_stop(struct jobs *jobs);
/* The same when that has not been done. Nobody may add any more; NULL is fine. */
void jobs_free(struct jobs *jobs);

#endif
