/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the parent's modules to a state: all of it for an upgrade, with its descriptors; what has
 * changed for the file of handover_save.c.
 */
#include "handover_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "generation.h"
#include "origins.h"
#include "rendezvous.h"
#include "supervise.h"
#include "tenants.h"
#include "worker.h"

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
	uint64_t born;

	/* One that cannot be looked up now would be taken for another by a successor. */
	errno = 0;
	born = rendezvous_born(worker->pid);
	if (!born && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return -errno;
	*to = (struct state_worker){
		.pid = worker->pid,
		.born = born,
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

int handover_collect_workers(struct sluiced *sluiced, struct state *state)
{
	struct worker *worker = NULL;
	unsigned count = 1;
	int err = 0;

	while ((worker = supervise_next(sluiced->supervise, worker)))
		count++;
	state->generations = calloc(count, sizeof(*state->generations));
	state->workers = calloc(count, sizeof(*state->workers));
	if (!state->generations || !state->workers)
		return -ENOMEM;
	collect_generation(state, sluiced->generation);
	while (!err && (worker = supervise_next(sluiced->supervise, worker))) {
		if (worker->state == WORKER_ENDING)
			continue;
		collect_generation(state, worker->generation);
		err = collect_worker(sluiced, state, worker);
	}
	return err;
}

struct state *handover_collect(struct sluiced *sluiced, size_t room)
{
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	snprintf(state->version, sizeof(state->version), "%s", SLUICE_VERSION);
	state->started_ms = sluiced->started_ms;
	state->upgrades = sluiced->upgrades;
	state->generation = sluiced->generation->number;
	state->lock_fd = sluiced->lock;
	state->control_fd = control_fd(sluiced->control);
	tenants_numbers(sluiced->tenants, &state->next_id, &state->next_slot);
	state->tenants = calloc(room + 1, sizeof(struct tenant *));
	if (!state->tenants) {
		state_free(state);
		return NULL;
	}
	return state;
}

void handover_release(struct state *state)
{
	state->ntenants = 0;
	state_free(state);
}

/* All there is. 0 and *ret, to be released, or -errno. */
static int collect_all(struct sluiced *sluiced, struct state **ret)
{
	struct state *state = handover_collect(sluiced, tenants_count(sluiced->tenants));
	struct tenant *tenant = NULL;
	int err;

	if (!state)
		return -ENOMEM;
	err = handover_collect_workers(sluiced, state);
	if (err) {
		handover_release(state);
		return err;
	}
	while ((tenant = tenants_next(sluiced->tenants, tenant)))
		state->tenants[state->ntenants++] = tenant;
	*ret = state;
	return 0;
}

int handover_write_at(int fd, const char *text, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, text, len, at);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

/* ---- for an upgrade -------------------------------------------------------------------------- */

static int write_all(struct sluiced *sluiced, int fd)
{
	struct state *state;
	char *text;
	size_t len;
	int err = collect_all(sluiced, &state);

	if (err)
		return err;
	text = state_write(state, true, &len);
	err = text ? handover_write_at(fd, text, len, 0) : -ENOMEM;
	free(text);
	handover_release(state);
	return err;
}

int handover_write(struct sluiced *sluiced)
{
	int fd = memfd_create("sluice-state", MFD_CLOEXEC);
	/* Should the new program fail to start, the next one finds the file. */
	int err = fd < 0 ? -errno : handover_flush(sluiced->handover);

	if (!err)
		err = write_all(sluiced, fd);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

int handover_each_fd(struct sluiced *sluiced, void (*fn)(int *fd, void *arg), void *arg)
{
	struct state *state;
	int err = collect_all(sluiced, &state);

	if (err)
		return err;
	state_each_fd(state, fn, arg);
	handover_release(state);
	return 0;
}
