/* SPDX-License-Identifier: BSD-2-Clause */
#include "jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX 16
#define QUEUE_MAX   1024

struct job {
	void (*run)(void *arg);
	void *arg;
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job queue[QUEUE_MAX];
	unsigned first, count, threads;
	bool stopping;
	pthread_t thread[THREADS_MAX];
};

/* With the lock. */
static bool take(struct jobs *jobs, struct job *ret_job)
{
	if (!jobs->count)
		return false;
	*ret_job = jobs->queue[jobs->first];
	jobs->first = (jobs->first + 1) % QUEUE_MAX;
	jobs->count--;
	return true;
}

static void *work(void *arg)
{
	struct jobs *jobs = arg;
	struct job job;
	bool taken;

	for (;;) {
		pthread_mutex_lock(&jobs->lock);
		while (!jobs->count && !jobs->stopping)
			pthread_cond_wait(&jobs->wake, &jobs->lock);
		taken = take(jobs, &job);
		pthread_mutex_unlock(&jobs->lock);
		if (!taken)
			return NULL;
		job.run(job.arg);
	}
}

int jobs_start(unsigned threads, struct jobs **ret_jobs)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs)
		return -ENOMEM;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->wake, NULL);
	while (jobs->threads < threads && jobs->threads < THREADS_MAX) {
		if (pthread_create(&jobs->thread[jobs->threads], NULL, work, jobs)) {
			jobs_free(jobs);
			return -EAGAIN;
		}
		jobs->threads++;
	}
	*ret_jobs = jobs;
	return 0;
}

int jobs_add(struct jobs *jobs, void (*run)(void *arg), void *arg)
{
	int err = 0;

	pthread_mutex_lock(&jobs->lock);
	if (jobs->count == QUEUE_MAX || jobs->stopping) {
		err = -EAGAIN;
	} else {
		jobs->queue[(jobs->first + jobs->count) % QUEUE_MAX] = (struct job){ run, arg };
		jobs->count++;
		pthread_cond_signal(&jobs->wake);
	}
	pthread_mutex_unlock(&jobs->lock);
	return err;
}

void jobs_close(struct jobs *jobs)
{
	struct job job;
	bool taken;

	do {
		pthread_mutex_lock(&jobs->lock);
		jobs->stopping = true;
		pthread_cond_broadcast(&jobs->wake);
		taken = take(jobs, &job);
		pthread_mutex_unlock(&jobs->lock);
		if (taken)
			job.run(job.arg);
	} while (taken);
}

bool jobs_stop(struct jobs *jobs, unsigned milliseconds)
{
	struct timespec until;

	jobs_close(jobs);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (jobs->threads) {
		if (pthread_clockjoin_np(jobs->thread[jobs->threads - 1], NULL, CLOCK_MONOTONIC,
					 &until))
			return false;
		jobs->threads--;
	}
	return true;
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	while (!jobs_stop(jobs, 1000))
		continue;
	pthread_cond_destroy(&jobs->wake);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}
