/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file holds no secret and no descriptor, and is only believed from root's directory;
 * what workers give back is believed when its socket cookie or inode is the one in the file.
 */
#include "handover.h"

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
#include "control.h"
#include "generation.h"
#include "origins.h"
#include "rendezvous.h"
#include "state.h"
#include "supervise.h"
#include "tenants.h"
#include "worker.h"

#define FILE_NAME "state"
#define SAVE_MS	  50
#define SAVE_MANY 1000 /* ms; with more tenants than MANY writing takes long */
#define MANY	  256
#define STATE_MAX (256u << 20)
#define ANSWER_MS 3000

struct handover {
	struct sluiced *sluiced;
	struct loop_timer save;
};

/* ---- writing ------------------------------------------------------------------------------ */

static uint64_t inode_of(int fd)
{
	struct stat st;

	return fd < 0 || fstat(fd, &st) ? 0 : st.st_ino;
}

static void collect_generation(struct state *state, const struct generation *generation)
{
	for (unsigned i = 0; i < state->ngenerations; i++)
		if (state->generations[i].conf_fd == generation->conf_fd)
			return;
	state->generations[state->ngenerations++] = (struct state_generation){
		.number = generation->number,
		.conf_inode = inode_of(generation->conf_fd),
		.conf_fd = generation->conf_fd,
		.access_fd = generation->access_fd,
		.uid = generation->uid,
		.gid = generation->gid,
		.nworkers = generation->nworkers,
	};
}

static int collect_worker(struct sluiced *sluiced, struct state *state, const struct worker *worker)
{
	struct state_worker *to = &state->workers[state->nworkers++];

	*to = (struct state_worker){
		.pid = worker->pid,
		.born = rendezvous_born(worker->pid),
		.role = worker->role,
		.index = worker->index,
		.generation = worker->generation->number,
		.phase = worker->state,
		.started_ms = worker->started_ms,
		.drain_by_ms = worker->drain_by_ms,
		.nstats = worker->nstats,
		.stats_inode = inode_of(worker->stats_fd),
		.sock = worker->sock,
		.stats_fd = worker->stats_fd,
	};
	to->connects = calloc(worker->connecting + 1, sizeof(*to->connects));
	if (!to->connects)
		return -ENOMEM;
	to->nconnects = origins_pending(sluiced->origins, worker, to->connects, worker->connecting);
	return 0;
}

/* Tenants are borrowed: release() it, not state_free(). */
static struct state *collect(struct sluiced *sluiced)
{
	struct state *state = calloc(1, sizeof(*state));
	struct worker *worker = NULL;
	struct tenant *tenant = NULL;
	unsigned workers = 1;
	int err = 0;

	if (!state)
		return NULL;
	while ((worker = supervise_next(sluiced->supervise, worker)))
		workers++;
	snprintf(state->version, sizeof(state->version), "%s", SLUICE_VERSION);
	state->started_ms = sluiced->started_ms;
	state->upgrades = sluiced->upgrades;
	state->generation = sluiced->generation->number;
	state->lock_fd = sluiced->lock;
	state->control_fd = control_fd(sluiced->control);
	tenants_numbers(sluiced->tenants, &state->next_id, &state->next_slot);
	state->generations = calloc(workers, sizeof(*state->generations));
	state->workers = calloc(workers, sizeof(*state->workers));
	state->tenants = calloc(tenants_count(sluiced->tenants) + 1u, sizeof(struct tenant *));
	if (!state->generations || !state->workers || !state->tenants)
		err = -ENOMEM;
	if (!err)
		collect_generation(state, sluiced->generation);
	while (!err && (worker = supervise_next(sluiced->supervise, worker))) {
		if (worker->state == WORKER_ENDING)
			continue;
		collect_generation(state, worker->generation);
		err = collect_worker(sluiced, state, worker);
	}
	while (!err && (tenant = tenants_next(sluiced->tenants, tenant)))
		state->tenants[state->ntenants++] = tenant;
	if (!err)
		return state;
	state->ntenants = 0;
	state_free(state);
	return NULL;
}

static void release(struct state *state)
{
	state->ntenants = 0;
	state_free(state);
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_text(struct sluiced *sluiced, bool with_fds, int fd)
{
	struct state *state = collect(sluiced);
	char *text;
	size_t len;
	int err;

	if (!state)
		return -ENOMEM;
	text = state_write(state, with_fds, &len);
	err = text ? write_all(fd, text, len) : -ENOMEM;
	free(text);
	release(state);
	return err;
}

/* By rename, so that a crash leaves the old or the new one. */
static int save(struct sluiced *sluiced)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/" FILE_NAME, sluiced->run_dir);
	snprintf(fresh, sizeof(fresh), "%s/" FILE_NAME ".new", sluiced->run_dir);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = write_text(sluiced, false, fd);
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(fresh, path))
		err = -errno;
	if (err)
		unlink(fresh);
	return err;
}

static void on_save(struct loop_timer *timer)
{
	struct handover *handover = container_of(timer, struct handover, save);
	static struct log_limit limit = LOG_LIMIT(60000, 1);
	uint32_t left_out;
	int err = save(handover->sluiced);

	if (err && log_allowed(&limit, &left_out))
		log_error("%s/" FILE_NAME ": %s; a successor after a crash would start anew",
			  handover->sluiced->run_dir, strerror(-err));
}

void handover_touch(struct handover *handover)
{
	if (!handover || handover->save.set)
		return;
	loop_timer_start(&handover->sluiced->loop, &handover->save,
			 tenants_count(handover->sluiced->tenants) > MANY ? SAVE_MANY : SAVE_MS,
			 on_save);
}

int handover_new(struct sluiced *sluiced, struct handover **ret)
{
	struct handover *handover = calloc(1, sizeof(*handover));

	if (!handover)
		return -ENOMEM;
	handover->sluiced = sluiced;
	*ret = handover;
	return 0;
}

void handover_free(struct handover *handover, bool orderly)
{
	char path[PATH_MAX];

	if (!handover)
		return;
	loop_timer_stop(&handover->sluiced->loop, &handover->save);
	if (orderly) {
		snprintf(path, sizeof(path), "%s/" FILE_NAME, handover->sluiced->run_dir);
		unlink(path);
	}
	free(handover);
}

int handover_write(struct sluiced *sluiced)
{
	int fd = memfd_create("sluice-state", MFD_CLOEXEC);
	/* Should the new program fail to start, the next one finds the file. */
	int err = fd < 0 ? -errno : save(sluiced);

	if (!err)
		err = write_text(sluiced, true, fd);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

void handover_each_fd(struct sluiced *sluiced, void (*fn)(int *fd, void *arg), void *arg)
{
	struct state *state = collect(sluiced);

	if (!state)
		return;
	state_each_fd(state, fn, arg);
	release(state);
}

/* ---- finding ------------------------------------------------------------------------------- */

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

static int meet(struct state *state, struct state_worker *worker, const char *run_dir,
		const struct wanted *wanted)
{
	struct rendezvous met;
	int err = rendezvous_call(run_dir, worker->pid, ANSWER_MS, &met);

	if (err)
		return err;
	for (size_t i = 0; i < met.nlisteners; i++)
		take_listener(wanted, &met.listeners[i]);
	for (unsigned g = 0; g < state->ngenerations; g++) {
		struct state_generation *generation = &state->generations[g];

		if (generation->number == worker->generation && generation->conf_fd < 0 &&
		    is_memfd(met.conf_fd, generation->conf_inode, 1)) {
			generation->conf_fd = met.conf_fd;
			met.conf_fd = -1;
		}
	}
	if (is_memfd(met.stats_fd, worker->stats_inode, (off_t)proto_stats_size(worker->nstats))) {
		worker->stats_fd = met.stats_fd;
		worker->sock = met.sock;
		met.stats_fd = met.sock = -1;
		worker->phase = met.hello.draining ? WORKER_DRAINING : WORKER_SERVING;
		worker->drain_by_ms = loop_now() + met.hello.drain_left_ms;
		/* What it had asked the dead parent for, it asks again. */
		worker->nconnects = 0;
	} else {
		err = -EBADMSG;
	}
	rendezvous_free(&met);
	return err;
}

static void meet_all(struct state *state, const char *run_dir, const struct wanted *wanted)
{
	for (unsigned i = 0; i < state->nworkers; i++) {
		struct state_worker *worker = &state->workers[i];
		int err;

		if (!worker->born || rendezvous_born(worker->pid) != worker->born)
			continue;
		err = meet(state, worker, run_dir, wanted);
		if (!err)
			continue;
		log_warn("worker %d of an earlier sluiced does not answer (%s): ended", worker->pid,
			 strerror(-err));
		rendezvous_end(worker->pid);
	}
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

	snprintf(path, sizeof(path), "%s/" FILE_NAME, run_dir);
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

	snprintf(path, sizeof(path), "%s/" FILE_NAME, run_dir);
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
