/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads for what may take long (finishing an upload, publishing, fsck), so that the
 * threads that serve connections never wait for a disk or a child process.
 */
#ifndef REPO_JOBS_H
#define REPO_JOBS_H

struct jobs;

int jobs_start(unsigned threads, struct jobs **ret_jobs);
/* run(arg) is called once, in one of the threads. -EAGAIN when the queue is full. */
int jobs_add(struct jobs *jobs, void (*run)(void *arg), void *arg);
/* Runs what is queued, then ends the threads. */
void jobs_stop(struct jobs *jobs);

#endif
