/* SPDX-License-Identifier: BSD-2-Clause */
#include "waiters.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/clock.h"

#define BUCKETS 4096
#define TICK_MS 500
#define OF_ONE	2 /* polls of one instance in a crowd: one may have broken off unnoticed */

struct waiters {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool released, stopping;
	unsigned count, crowd;
	struct request *bucket[BUCKETS]; /* by tenant and instance */
};

/* FNV-1a: the names are few and not secret; a chain at worst holds one tenant's agents. */
static unsigned bucket_of(const char *tenant, const char *instance)
{
	uint32_t hash = 2166136261u;

	for (; *tenant; tenant++)
		hash = (hash ^ (unsigned char)*tenant) * 16777619u;
	hash = (hash ^ '/') * 16777619u;
	for (; *instance; instance++)
		hash = (hash ^ (unsigned char)*instance) * 16777619u;
	return hash % BUCKETS;
}

static bool is_of(const struct request *request, const char *tenant, const char *instance)
{
	return !strcmp(request->who.tenant_name, tenant) &&
	       !strcmp(request->who.instance, instance);
}

/* Unlinks those that match (tenant NULL: whose deadline is over, or all) and returns them. */
static struct request *take(struct waiters *waiters, unsigned bucket, const char *tenant,
			    const char *instance, int64_t now)
{
	struct request **link = &waiters->bucket[bucket], *taken = NULL, *request;

	while ((request = *link)) {
		if (tenant ? !is_of(request, tenant, instance) : request->deadline_ms > now) {
			link = &request->next_waiter;
			continue;
		}
		*link = request->next_waiter;
		request->next_waiter = taken;
		taken = request;
		waiters->count--;
	}
	return taken;
}

/* With as many as may be, the one that waits longest makes way: newer ones are at the front. */
static struct request *take_oldest(struct waiters *waiters, unsigned bucket,
				   const struct request *newer)
{
	struct request **link = &waiters->bucket[bucket], **last = NULL, *oldest;
	unsigned count = 0;

	for (; *link; link = &(*link)->next_waiter)
		if (is_of(*link, newer->who.tenant_name, newer->who.instance)) {
			last = link;
			count++;
		}
	if (count < OF_ONE)
		return NULL;
	oldest = *last;
	*last = oldest->next_waiter;
	oldest->next_waiter = NULL;
	waiters->count--;
	return oldest;
}

/* Without the lock: answering reads the database. */
static void answer(struct request *taken)
{
	struct request *next;

	for (; taken; taken = next) {
		next = taken->next_waiter;
		api_desired_answer(taken);
		request_resume(taken);
	}
}

static void take_all(struct waiters *waiters, int64_t now)
{
	struct request *taken;

	for (unsigned i = 0; i < BUCKETS; i++) {
		pthread_mutex_lock(&waiters->lock);
		taken = take(waiters, i, NULL, NULL, now);
		pthread_mutex_unlock(&waiters->lock);
		answer(taken);
	}
}

static void *watch(void *arg)
{
	struct waiters *waiters = arg;
	struct timespec until;
	bool stopping = false;

	while (!stopping) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_mutex_lock(&waiters->lock);
		if (!waiters->stopping)
			pthread_cond_timedwait(&waiters->wake, &waiters->lock, &until);
		stopping = waiters->stopping;
		pthread_mutex_unlock(&waiters->lock);
		take_all(waiters, clock_ms(CLOCK_MONOTONIC));
	}
	return NULL;
}

int waiters_start(unsigned crowd, struct waiters **ret_waiters)
{
	struct waiters *waiters = calloc(1, sizeof(*waiters));
	pthread_condattr_t attributes;

	if (!waiters)
		return -ENOMEM;
	waiters->crowd = crowd;
	pthread_mutex_init(&waiters->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&waiters->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pthread_create(&waiters->thread, NULL, watch, waiters)) {
		free(waiters);
		return -EAGAIN;
	}
	*ret_waiters = waiters;
	return 0;
}

bool waiters_add(struct waiters *waiters, struct request *request, unsigned seconds)
{
	unsigned bucket = bucket_of(request->who.tenant_name, request->who.instance);
	struct request *oldest = NULL;
	bool added = false;

	request->deadline_ms = clock_ms(CLOCK_MONOTONIC) + (int64_t)seconds * 1000;
	pthread_mutex_lock(&waiters->lock);
	if (!waiters->released && waiters->count >= waiters->crowd)
		oldest = take_oldest(waiters, bucket, request);
	if (!waiters->released && waiters->count < WAITERS_MAX) {
		request->next_waiter = waiters->bucket[bucket];
		waiters->bucket[bucket] = request;
		waiters->count++;
		added = true;
	}
	pthread_mutex_unlock(&waiters->lock);
	answer(oldest);
	return added;
}

void waiters_wake(struct waiters *waiters, const char *tenant, const char *instance)
{
	struct request *taken;

	pthread_mutex_lock(&waiters->lock);
	taken = take(waiters, bucket_of(tenant, instance), tenant, instance, 0);
	pthread_mutex_unlock(&waiters->lock);
	answer(taken);
}

bool waiters_has(struct waiters *waiters, const char *tenant, const char *instance)
{
	struct request *request;

	pthread_mutex_lock(&waiters->lock);
	request = waiters->bucket[bucket_of(tenant, instance)];
	while (request && !is_of(request, tenant, instance))
		request = request->next_waiter;
	pthread_mutex_unlock(&waiters->lock);
	return request;
}

void waiters_release(struct waiters *waiters)
{
	pthread_mutex_lock(&waiters->lock);
	waiters->released = true;
	pthread_mutex_unlock(&waiters->lock);
	take_all(waiters, INT64_MAX);
}

void waiters_stop(struct waiters *waiters)
{
	if (waiters->stopping)
		return;
	waiters_release(waiters);
	pthread_mutex_lock(&waiters->lock);
	waiters->stopping = true;
	pthread_cond_signal(&waiters->wake);
	pthread_mutex_unlock(&waiters->lock);
	pthread_join(waiters->thread, NULL);
}

void waiters_free(struct waiters *waiters)
{
	if (!waiters)
		return;
	waiters_stop(waiters);
	pthread_cond_destroy(&waiters->wake);
	pthread_mutex_destroy(&waiters->lock);
	free(waiters);
}
