/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Its first messages, in this order: configuration with counters, its way to our successor, pipes,
 * port bindings, traces; then listeners. They wait in its socket, or in its mailbox, until it
 * reads.
 */
#include "worker_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/log.h"
#include "binder.h"
#include "generation.h"
#include "rendezvous.h"
#include "spawn.h"
#include "state.h"
#include "tenants.h"
#include "trace.h"

#define PIPES_PER_MESSAGE 32
#define SMALL_PIPE	  (256 * 1024)
#define LARGE_PIPE	  (1024 * 1024)
/* Per connection: client, origin, and a margin for pipes and the rest. */
#define FDS_PER_CONNECTION 2
#define FDS_BESIDES	   4096

/* ---- equipment ---------------------------------------------------------------------- */

static int map_stats(struct worker *worker, int fd, uint32_t count)
{
	void *map = mmap(NULL, proto_stats_size(count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	worker->stats = map;
	worker->latency = (struct latency *)(worker->stats + count);
	worker->nstats = count;
	worker->stats_fd = fd;
	return 0;
}

/* Tenants that a worker has room for: a limit that was lowered leaves those that are there. */
static uint32_t places(const struct sluiced *sluiced)
{
	uint32_t limit = sluiced->generation->conf->limits.tenants;
	uint32_t slots = tenants_slots(sluiced->tenants);

	return slots > limit ? slots : limit;
}

/* The seals keep a worker from cutting the file short under the parent's mapping. */
static int make_stats(struct worker *worker)
{
	uint32_t count = places(worker->sluiced);
	int fd = memfd_create("sluice-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)proto_stats_size(count)) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		err = -errno;
	else
		err = map_stats(worker, fd, count);
	if (err)
		close(fd);
	return err;
}

static int send_config(struct worker *worker)
{
	struct generation *generation = worker->generation;
	struct proto_config config = {
		.index = worker->index,
		.role = worker->role,
		.generation = generation->number,
	};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int conf = worker->role == PROTO_ROLE_FRONT ? generation->front_fd : generation->conf_fd;
	int fds[] = { conf, -1, null, generation->access_fd };
	int err;

	if (null < 0)
		return -errno;
	err = make_stats(worker);
	if (!err) {
		fds[1] = worker->stats_fd;
		config.tenants = worker->nstats;
		err = worker_send(worker, PROTO_CONFIG, 0, &config, sizeof(config), fds,
				  generation->access_fd >= 0 ? 4 : 3);
	}
	close(null);
	return err;
}

/* Its way to whoever comes after us. */
static int send_rendezvous(struct worker *worker)
{
	int sock = rendezvous_open(worker->sluiced->run_dir, worker->pid);
	int err;

	if (sock < 0)
		return sock;
	err = worker_send(worker, PROTO_KEEP, 0, NULL, 0, &sock, 1);
	close(sock);
	return err;
}

static int send_pipes(struct worker *worker, uint32_t count, size_t size)
{
	while (count) {
		uint32_t batch = count < PIPES_PER_MESSAGE ? count : PIPES_PER_MESSAGE;
		struct proto_pipes pipes = { .count = batch };
		int fds[2 * PIPES_PER_MESSAGE];
		size_t got;
		int err = spawn_pipes(worker->generation->uid, batch, size, fds, &got);

		if (err)
			return err;
		if (got < size)
			log_warn("pipes of %zu KiB instead of %zu: raise fs.pipe-max-size",
				 got / 1024, size / 1024);
		pipes.size = (uint32_t)got;
		err = worker_send(worker, PROTO_PIPES, 0, &pipes, sizeof(pipes), fds,
				  (size_t)batch * 2);
		for (uint32_t i = 0; i < 2 * batch; i++)
			close(fds[i]);
		if (err)
			return err;
		count -= batch;
	}
	return 0;
}

static int equip(struct worker *worker)
{
	const struct conf *conf = worker->generation->conf;
	const struct tenant *tenant = NULL;
	int err = send_config(worker);

	if (!err)
		err = send_rendezvous(worker);
	if (!err)
		err = send_pipes(worker, conf->relay.pipes_small, SMALL_PIPE);
	if (!err)
		err = send_pipes(worker, conf->relay.pipes_large, LARGE_PIPE);
	if (!err)
		err = binder_equip(worker->sluiced->binder, worker);
	if (!err)
		err = trace_equip(worker->sluiced->trace, worker);
	while (!err && (tenant = tenants_next(worker->sluiced->tenants, tenant)))
		err = worker_listen(worker, tenant);
	return err;
}

/* ---- birth and burial ------------------------------------------------------------------- */

static struct worker *new_worker(struct sluiced *sluiced, struct generation *generation,
				 enum proto_role role, unsigned index)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->sluiced = sluiced;
	worker->role = role;
	worker->index = index;
	worker->sock = worker->pidfd = worker->stats_fd = -1;
	worker->message.fd = worker->ended.fd = -1;
	worker->mailbox.make = worker_make;
	worker->generation = generation_ref(generation);
	worker->started_ms = worker->pulse_ms = loop_now();
	return worker;
}

int worker_start(struct sluiced *sluiced, enum proto_role role, unsigned index, struct worker **ret)
{
	struct generation *generation = sluiced->generation;
	struct spawn_spec spec = {
		.option = "--worker",
		.uid = generation->uid,
		.gid = generation->gid,
		.descriptors = generation->conf->limits.connections * FDS_PER_CONNECTION +
			       FDS_BESIDES + places(sluiced) * 2 * SL_PORTS_MAX,
	};
	struct worker *worker = new_worker(sluiced, generation, role, index);
	struct spawned spawned;
	int err;

	if (!worker)
		return -ENOMEM;
	err = spawn_worker(&spec, &spawned);
	if (err) {
		worker_free(worker);
		return err;
	}
	worker->pid = spawned.pid;
	worker->pidfd = spawned.pidfd;
	worker->sock = spawned.sock;
	err = worker_watch(worker);
	if (!err)
		err = equip(worker);
	if (err) {
		kill(worker->pid, SIGKILL);
		waitpid(worker->pid, NULL, 0);
		worker_free(worker);
		return err;
	}
	*ret = worker;
	return 0;
}

int worker_adopt(struct sluiced *sluiced, struct generation *generation,
		 const struct state_worker *from, struct worker **ret)
{
	struct worker *worker = new_worker(sluiced, generation, from->role, from->index);
	int err;

	if (!worker)
		return -ENOMEM;
	worker->state = (enum worker_state)from->phase;
	worker->started_ms = from->started_ms;
	worker->drain_by_ms = from->drain_by_ms;
	worker->pidfd = (int)syscall(SYS_pidfd_open, from->pid, 0);
	err = worker->pidfd < 0 ? -errno : map_stats(worker, from->stats_fd, from->nstats);
	worker->sock = from->sock;
	if (!err)
		err = worker_watch(worker);
	if (err) {
		worker->sock = worker->stats_fd = -1;
		worker_free(worker);
		return err;
	}
	worker->pid = from->pid;
	*ret = worker;
	return 0;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	loop_unwatch(&worker->sluiced->loop, &worker->message);
	loop_unwatch(&worker->sluiced->loop, &worker->ended);
	loop_timer_stop(&worker->sluiced->loop, &worker->again);
	if (worker->sock >= 0)
		close(worker->sock);
	if (worker->pidfd >= 0)
		close(worker->pidfd);
	if (worker->stats_fd >= 0)
		close(worker->stats_fd);
	if (worker->pid)
		rendezvous_remove(worker->sluiced->run_dir, worker->pid);
	mailbox_clear(&worker->mailbox);
	mailbox_clear(&worker->lost);
	if (worker->stats)
		munmap(worker->stats, proto_stats_size(worker->nstats));
	generation_unref(worker->generation);
	free(worker);
}
