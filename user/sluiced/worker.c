/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's end of one worker. What a worker may ask is the table below; anything else
 * means that it is no longer our program, and kills it.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/log.h"
#include "binder.h"
#include "generation.h"
#include "origins.h"
#include "rendezvous.h"
#include "spawn.h"
#include "state.h"
#include "supervise.h"
#include "tenants.h"
#include "trace.h"

#define PIPES_PER_MESSAGE 32
#define SMALL_PIPE	  (256 * 1024)
#define LARGE_PIPE	  (1024 * 1024)
/* Per connection: client, origin, and a margin for pipes and the rest. */
#define FDS_PER_CONNECTION 2
#define FDS_BESIDES	   4096
/* Messages taken from one worker before others get their turn. */
#define TURN 64

static const struct msg_rule rules[] = {
	{ .type = PROTO_READY },
	{ .type = PROTO_CONNECT,
	  .len_min = sizeof(struct proto_connect),
	  .len_max = sizeof(struct proto_connect) },
	{ .type = PROTO_DRAINED },
	{ .type = PROTO_PULSE },
	{ .type = PROTO_BOUND,
	  .len_min = sizeof(struct proto_bindings),
	  .len_max = sizeof(struct proto_bindings) },
	{ .type = PROTO_FAILED,
	  .len_min = sizeof(struct proto_connect),
	  .len_max = sizeof(struct proto_connect) },
};

const char *worker_role_name(enum proto_role role)
{
	static const char *const names[] = {
		[PROTO_ROLE_BOTH] = "both", [PROTO_ROLE_FRONT] = "front", [PROTO_ROLE_BACK] = "back"
	};

	return names[role];
}

const char *worker_state_name(enum worker_state state)
{
	static const char *const names[] = { [WORKER_STARTING] = "starting",
					     [WORKER_SERVING] = "serving",
					     [WORKER_DRAINING] = "draining",
					     [WORKER_ENDING] = "ending" };

	return names[state];
}

void worker_kill(struct worker *worker, const char *why)
{
	if (worker->state == WORKER_ENDING)
		return;
	log_error("worker %s/%u (pid %d) is killed: %s", worker_role_name(worker->role),
		  worker->index, worker->pid, why);
	worker->state = WORKER_ENDING;
	syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
	/* Nothing it still says is believed. */
	loop_unwatch(&worker->sluiced->loop, &worker->message);
	mailbox_clear(&worker->mailbox);
}

static void want_write(struct worker *worker, bool want)
{
	if (worker->wants_write == want || worker->message.fd < 0)
		return;
	worker->wants_write = want;
	loop_rewatch(&worker->sluiced->loop, &worker->message, EPOLLIN | (want ? EPOLLOUT : 0));
}

int worker_send(struct worker *worker, uint16_t type, uint64_t id, const void *body, size_t len,
		const int *fds, size_t nfds)
{
	int err;

	if (worker->state == WORKER_ENDING)
		return -ESRCH;
	err = mailbox_send(&worker->mailbox, worker->sock, type, id, body, len, fds, nfds);
	if (err >= 0) {
		want_write(worker, err > 0);
		return 0;
	}
	/* EPIPE: it has just died; the pidfd will say so. */
	if (err != -EPIPE && err != -ECONNRESET)
		worker_kill(worker, strerror(-err));
	return err;
}

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

/* The seals keep a worker from cutting the file short under the parent's mapping. */
static int make_stats(struct worker *worker)
{
	uint32_t limit = worker->generation->conf->limits.tenants;
	uint32_t slots = tenants_slots(worker->sluiced->tenants);
	/* A limit that was lowered leaves those that are there. */
	uint32_t count = slots > limit ? slots : limit;
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

static bool serves(const struct worker *worker, const struct tenant *tenant)
{
	return worker->role ==
	       (tenant->want.bridge == CONF_BRIDGE_STREAM ? PROTO_ROLE_FRONT : PROTO_ROLE_BOTH);
}

void worker_listen(struct worker *worker, const struct tenant *tenant)
{
	bool shared = supervise_shared(worker->sluiced->supervise);
	const char *network = tenant->want.network;

	if (!tenant->gate.attached || !serves(worker, tenant) || tenant->slot >= worker->nstats)
		return;
	for (unsigned i = 0; i < tenant->gate.nlisteners; i++) {
		const struct gate_listener *listener = &tenant->gate.listeners[i];
		struct proto_listen listen = {
			.tenant = tenant->id,
			.slot = tenant->slot,
			.port = listener->port,
			.family = listener->family,
			.shared = shared,
		};

		if (!shared && listener->worker != worker->index)
			continue;
		strncpy(listen.name, tenant->want.name, sizeof(listen.name) - 1);
		/* One that were cut would be the id of another network. */
		if (network && strlen(network) < sizeof(listen.network))
			strcpy(listen.network, network);
		if (worker_send(worker, PROTO_LISTEN, 0, &listen, sizeof(listen), &listener->fd, 1))
			return;
	}
}

void worker_drain(struct worker *worker, uint32_t deadline_ms)
{
	struct proto_drain drain = { .deadline_ms = deadline_ms };

	if (worker->state == WORKER_ENDING || worker->state == WORKER_DRAINING)
		return;
	worker->state = WORKER_DRAINING;
	worker->drain_by_ms = loop_now() + deadline_ms;
	worker_send(worker, PROTO_DRAIN, 0, &drain, sizeof(drain), NULL, 0);
}

/* ---- what it says ---------------------------------------------------------------------- */

static void handle(struct worker *worker, struct msg *msg)
{
	switch (msg->head.type) {
	case PROTO_READY:
		if (worker->state == WORKER_STARTING)
			worker->state = WORKER_SERVING;
		worker->pulse_ms = loop_now();
		supervise_ready(worker->sluiced->supervise, worker);
		break;
	case PROTO_PULSE:
		worker->pulse_ms = loop_now();
		break;
	case PROTO_CONNECT: {
		struct proto_connect connect;

		memcpy(&connect, msg->body, sizeof(connect));
		origins_connect(worker->sluiced->origins, worker, msg->head.id, &connect);
		break;
	}
	case PROTO_FAILED: {
		struct proto_connect blamed;

		memcpy(&blamed, msg->body, sizeof(blamed));
		origins_blame(worker, &blamed);
		break;
	}
	case PROTO_BOUND: {
		struct proto_bindings bound;

		memcpy(&bound, msg->body, sizeof(bound));
		binder_said(worker->sluiced->binder, worker, bound.serial);
		break;
	}
	case PROTO_DRAINED:
		if (worker->state != WORKER_DRAINING)
			worker_kill(worker, "drained without being asked");
		break;
	}
}

static void on_message(struct loop_watch *watch, uint32_t events)
{
	struct worker *worker = container_of(watch, struct worker, message);
	static struct msg msg; /* 4 KiB; one thread */
	int result = 1;

	if (events & EPOLLOUT) {
		int left = mailbox_flush(&worker->mailbox, worker->sock);

		if (left < 0 && left != -EPIPE && left != -ECONNRESET) {
			worker_kill(worker, strerror(-left));
			return;
		}
		want_write(worker, left > 0);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	for (int i = 0; i < TURN && worker->state != WORKER_ENDING; i++) {
		result = msg_recv(worker->sock, rules, sizeof(rules) / sizeof(rules[0]), &msg);
		if (result <= 0)
			break;
		handle(worker, &msg);
		msg_close_fds(&msg);
	}
	if (result == -EBADMSG)
		worker_kill(worker, "sent a message that is not in the table");
	else if (result < 0 && result != -EAGAIN && result != -ECONNRESET)
		worker_kill(worker, strerror(-result));
	else if (result == 0 || result == -ECONNRESET)
		loop_unwatch(&worker->sluiced->loop, &worker->message); /* the pidfd follows */
}

static void on_end(struct loop_watch *watch, uint32_t events)
{
	struct worker *worker = container_of(watch, struct worker, ended);
	siginfo_t info = { 0 };

	/* WNOWAIT is not wanted: this buries it. One that an earlier parent started is not our
	 * child, and nobody tells us how it ended. */
	if (waitid(P_PID, (id_t)worker->pid, &info, WEXITED | WNOHANG)) {
		if (errno != ECHILD)
			return;
		info.si_code = CLD_EXITED;
	} else if (!info.si_pid) {
		return;
	}
	if (worker->state != WORKER_ENDING &&
	    (worker->state != WORKER_DRAINING || info.si_code != CLD_EXITED || info.si_status))
		log_error("worker %s/%u (pid %d) ended: %s %d", worker_role_name(worker->role),
			  worker->index, worker->pid,
			  info.si_code == CLD_EXITED ? "exit code" : "signal", info.si_status);
	worker->state = WORKER_ENDING;
	supervise_ended(worker->sluiced->supervise, worker);
}

/* ---- birth and burial ------------------------------------------------------------------- */

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
		worker_listen(worker, tenant);
	return err;
}

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
	worker->generation = generation_ref(generation);
	worker->started_ms = worker->pulse_ms = loop_now();
	return worker;
}

static int watch(struct worker *worker)
{
	struct loop *loop = &worker->sluiced->loop;
	int err = loop_watch(loop, &worker->ended, worker->pidfd, EPOLLIN, on_end);

	return err ? err : loop_watch(loop, &worker->message, worker->sock, EPOLLIN, on_message);
}

int worker_start(struct sluiced *sluiced, enum proto_role role, unsigned index, struct worker **ret)
{
	struct generation *generation = sluiced->generation;
	struct spawn_spec spec = {
		.option = "--worker",
		.uid = generation->uid,
		.gid = generation->gid,
		.descriptors = generation->conf->limits.connections * FDS_PER_CONNECTION +
			       FDS_BESIDES + generation->conf->limits.tenants * 2 * SL_PORTS_MAX,
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
	err = watch(worker);
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
		err = watch(worker);
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
	if (worker->sock >= 0)
		close(worker->sock);
	if (worker->pidfd >= 0)
		close(worker->pidfd);
	if (worker->stats_fd >= 0)
		close(worker->stats_fd);
	if (worker->pid)
		rendezvous_remove(worker->sluiced->run_dir, worker->pid);
	mailbox_clear(&worker->mailbox);
	if (worker->stats)
		munmap(worker->stats, proto_stats_size(worker->nstats));
	generation_unref(worker->generation);
	free(worker);
}
