/* SPDX-License-Identifier: BSD-2-Clause */
#include "cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define PATHS_MAX 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[PATHS_MAX];

static void signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGHUP);
}

/* A child that still writes can put a file into what is being removed: once more, then. */
static void *wait_for_end(void *arg)
{
	sigset_t set;
	int number = SIGTERM;

	signals(&set);
	sigwait(&set, &number);
	pthread_mutex_lock(&lock);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < PATHS_MAX; i++)
			if (paths[i])
				file_remove_tree(paths[i]);
	_exit(128 + number);
}

int cleanup_start(void)
{
	pthread_t thread;
	sigset_t set;

	signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return -pthread_create(&thread, NULL, wait_for_end, NULL);
}

void cleanup_add(const char *path)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < PATHS_MAX; i++) {
		if (!paths[i]) {
			paths[i] = strdup(path);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

void cleanup_remove(const char *path)
{
	pthread_mutex_lock(&lock);
	file_remove_tree(path);
	for (int i = 0; i < PATHS_MAX; i++) {
		if (paths[i] && !strcmp(paths[i], path)) {
			free(paths[i]);
			paths[i] = NULL;
		}
	}
	pthread_mutex_unlock(&lock);
}
