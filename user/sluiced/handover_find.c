/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a parent has left: the file, and the workers that it names. They give listening sockets,
 * counters and configurations back, which are believed when their socket cookie or inode is the one
 * in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"
#include "handover.h"
#include "rendezvous.h"
#include "state.h"
#include "worker.h"

#define STATE_MAX (256u << 20)
/* For all of them together: their clients get 503 when no parent comes for 8 s. */
#define ANSWER_MS 6000

int handover_read(int fd, struct state **ret, char **ret_why)
{
	struct stat st;
	void *text;
	int err;

	*ret_why = NULL;
	if (fstat(fd, &st))
		return -errno;
	if (st.st_size <= 0 || st.st_size > STATE_MAX)
		return -EINVAL;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	err = state_read(text, (size_t)st.st_size, ret, ret_why);
	munmap(text, (size_t)st.st_size);
	return err;
}

/* Listeners of the state in the order of their cookies. */
struct wanted {
	struct gate_listener **list;
	size_t count;
};

static int by_cookie(const void *a, const void *b)
{
	const struct gate_listener *const *x = a, *const *y = b;

	return (*x)->cookie < (*y)->cookie ? -1 : (*x)->cookie > (*y)->cookie;
}

static int index_listeners(struct state *state, struct wanted *ret)
{
	struct wanted wanted = { 0 };
	size_t count = 0;

	for (unsigned t = 0; t < state->ntenants; t++)
		count += state->tenants[t]->gate.nlisteners;
	wanted.list = calloc(count + 1, sizeof(struct gate_listener *));
	if (!wanted.list)
		return -ENOMEM;
	for (unsigned t = 0; t < state->ntenants; t++)
		for (unsigned l = 0; l < state->tenants[t]->gate.nlisteners; l++)
			wanted.list[wanted.count++] = &state->tenants[t]->gate.listeners[l];
	qsort(wanted.list, wanted.count, sizeof(struct gate_listener *), by_cookie);
	*ret = wanted;
	return 0;
}

/* Cookies are never given twice, so a listening socket with the right one is the right one. */
static void take_listener(const struct wanted *wanted, int *fd)
{
	struct gate_listener key = { 0 }, *pointer = &key, **found;
	int listening = 0;
	socklen_t len = sizeof(key.cookie), size = sizeof(listening);

	if (getsockopt(*fd, SOL_SOCKET, SO_COOKIE, &key.cookie, &len) ||
	    getsockopt(*fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) || !listening)
		return;
	found = bsearch(&pointer, wanted->list, wanted->count, sizeof(struct gate_listener *),
			by_cookie);
	if (!found || (*found)->fd >= 0)
		return;
	(*found)->fd = *fd;
	*fd = -1;
}

/* Root made it, and the worker can make none: the inode tells which it is. */
static bool is_memfd(int fd, uint64_t inode, off_t least)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_ino == inode && st.st_uid == 0 && st.st_size >= least &&
	       fcntl(fd, F_GET_SEALS) > 0;
}

static int take_over(struct state *state, struct state_worker *worker, struct rendezvous *met,
		     const struct wanted *wanted)
{
	for (size_t i = 0; i < met->nlisteners; i++)
		take_listener(wanted, &met->listeners[i]);
	for (unsigned g = 0; g < state->ngenerations; g++) {
		struct state_generation *generation = &state->generations[g];

		if (generation->number == worker->generation && generation->conf_fd < 0 &&
		    is_memfd(met->conf_fd, generation->conf_inode, 1)) {
			generation->conf_fd = met->conf_fd;
			met->conf_fd = -1;
		}
	}
	if (is_memfd(met->stats_fd, worker->stats_inode, (off_t)proto_stats_size(worker->nstats))) {
		worker->stats_fd = met->stats_fd;
		worker->sock = met->sock;
		met->stats_fd = met->sock = -1;
		worker->phase = met->hello.draining ? WORKER_DRAINING : WORKER_SERVING;
		worker->drain_by_ms = loop_now() + met->hello.drain_left_ms;
		/* What it had asked the dead parent for, it asks again. */
		worker->nconnects = 0;
		return 0;
	}
	return -EBADMSG;
}

/* All are asked before the first is heard: one that hangs holds up nobody's answer. */
static void meet_all(struct state *state, const char *run_dir, const struct wanted *wanted)
{
	struct rendezvous *met = calloc(state->nworkers + 1, sizeof(*met));

	for (unsigned i = 0; met && i < state->nworkers; i++) {
		const struct state_worker *worker = &state->workers[i];

		if (worker->born && rendezvous_born(worker->pid) == worker->born)
			rendezvous_connect(run_dir, worker->pid, &met[i]);
		else
			met[i] = (struct rendezvous){
				.err = -ESRCH, .sock = -1, .conf_fd = -1, .stats_fd = -1
			};
	}
	if (met)
		rendezvous_hear(met, state->nworkers, ANSWER_MS);
	for (unsigned i = 0; met && i < state->nworkers; i++) {
		struct state_worker *worker = &state->workers[i];
		int err = met[i].err;

		if (!err)
			err = take_over(state, worker, &met[i], wanted);
		rendezvous_free(&met[i]);
		if (!err || err == -ESRCH)
			continue;
		log_warn("worker %d of an earlier sluiced does not answer (%s): ended", worker->pid,
			 strerror(-err));
		rendezvous_end(worker->pid);
	}
	free(met);
}

static void forget_fd(int *fd, void *arg)
{
	*fd = -1;
}

static struct state *read_file(const char *run_dir)
{
	char path[PATH_MAX], *why = NULL;
	struct state *state = NULL;
	int fd, err;

	snprintf(path, sizeof(path), "%s/" HANDOVER_FILE, run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return NULL;
	err = handover_read(fd, &state, &why);
	close(fd);
	if (err)
		log_warn("%s: %s; starting anew", path, why ? why : strerror(-err));
	free(why);
	/* Numbers mean nothing in another process. */
	if (state)
		state_each_fd(state, forget_fd, NULL);
	return state;
}

static bool is_known(pid_t pid, const void *arg)
{
	const struct state *state = arg;

	for (unsigned i = 0; state && i < state->nworkers; i++)
		if (state->workers[i].pid == pid && state->workers[i].sock >= 0)
			return true;
	return false;
}

static bool is_nobody(pid_t pid, const void *arg)
{
	return false;
}

int handover_discard(const char *run_dir)
{
	char path[PATH_MAX];
	int ended = rendezvous_sweep(run_dir, is_nobody, NULL);

	snprintf(path, sizeof(path), "%s/" HANDOVER_FILE, run_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" HANDOVER_FRESH, run_dir);
	unlink(path);
	return ended;
}

struct state *handover_find(const char *run_dir)
{
	struct state *state = read_file(run_dir);
	struct wanted wanted = { 0 };

	if (state && !index_listeners(state, &wanted))
		meet_all(state, run_dir, &wanted);
	free(wanted.list);
	rendezvous_sweep(run_dir, is_known, state);
	return state;
}
