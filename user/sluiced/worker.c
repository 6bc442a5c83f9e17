/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's end of one worker. What a worker may ask is the table below; anything else
 * means that it is no longer our program, and kills it.
 */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/log.h"
#include "binder.h"
#include "generation.h"
#include "origins.h"
#include "patience.h"
#include "supervise.h"
#include "tenants.h"

/* Messages taken from one worker before others get their turn. */
#define TURN 64
/* What could not be said for want of memory, here or of descriptors there, is said again. */
#define AGAIN_MS 500

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
	{ .type = PROTO_LOST,
	  .len_min = sizeof(struct proto_lost),
	  .len_max = sizeof(struct proto_lost) },
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
	loop_timer_stop(&worker->sluiced->loop, &worker->again);
	mailbox_clear(&worker->mailbox);
	mailbox_clear(&worker->lost);
}

static void want_write(struct worker *worker, bool want)
{
	if (worker->wants_write == want || worker->message.fd < 0)
		return;
	worker->wants_write = want;
	loop_rewatch(&worker->sluiced->loop, &worker->message, EPOLLIN | (want ? EPOLLOUT : 0));
}

static void on_again(struct loop_timer *timer);

static void say_again(struct worker *worker)
{
	if (!worker->again.set)
		loop_timer_start(&worker->sluiced->loop, &worker->again, AGAIN_MS, on_again);
}

/* What mailbox.h returned; 0, or -errno as worker_send(). */
static int judge(struct worker *worker, int result)
{
	if (result >= 0) {
		want_write(worker, result > 0 && !worker->mailbox.starved);
		if (result > 0 && worker->mailbox.starved)
			say_again(worker);
		return 0;
	}
	/* EPIPE: it has just died; the pidfd will say so. What we are short of is not its fault. */
	if (result != -EPIPE && result != -ECONNRESET && result != -EMFILE && result != -ENFILE &&
	    result != -ENOMEM)
		worker_kill(worker, strerror(-result));
	return result;
}

static void on_again(struct loop_timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, again);

	/* One that reads nothing must not make them grow. */
	if (!worker->mailbox.count)
		mailbox_join(&worker->mailbox, &worker->lost);
	judge(worker, mailbox_flush(&worker->mailbox, worker->sock));
	if (worker->lost.count && worker->state != WORKER_ENDING)
		say_again(worker);
}

int worker_send(struct worker *worker, uint16_t type, uint64_t id, const void *body, size_t len,
		const int *fds, size_t nfds)
{
	if (worker->state == WORKER_ENDING)
		return -ESRCH;
	return judge(worker,
		     mailbox_send(&worker->mailbox, worker->sock, type, id, body, len, fds, nfds));
}

/* ---- what it is told --------------------------------------------------------------------- */

static bool serves(const struct worker *worker, const struct tenant *tenant)
{
	return worker->role ==
	       (tenant->want.bridge == CONF_BRIDGE_STREAM ? PROTO_ROLE_FRONT : PROTO_ROLE_BOTH);
}

/* A listener's message is made when the socket takes it: there are too many to copy all. */
static int make_listen(struct worker *worker, const struct proto_lost *key, void *body, int *ret_fd)
{
	struct tenant *tenant = tenants_at(worker->sluiced->tenants, key->slot);
	bool shared = supervise_shared(worker->sluiced->supervise);
	const char *network;
	struct proto_listen listen = {
		.tenant = key->tenant,
		.slot = key->slot,
		.port = key->port,
		.family = key->family,
		.shared = shared,
	};

	if (!tenant || tenant->id != key->tenant || !tenant->gate.attached ||
	    !serves(worker, tenant))
		return -1;
	network = tenant->want.network;
	strncpy(listen.name, tenant->want.name, sizeof(listen.name) - 1);
	/* One that were cut would be the id of another network. */
	if (network && strlen(network) < sizeof(listen.network))
		strcpy(listen.network, network);
	for (unsigned i = 0; i < tenant->gate.nlisteners; i++) {
		const struct gate_listener *listener = &tenant->gate.listeners[i];

		if (listener->port != key->port || listener->family != key->family ||
		    (!shared && listener->worker != worker->index))
			continue;
		memcpy(body, &listen, sizeof(listen));
		*ret_fd = listener->fd;
		return sizeof(listen);
	}
	return -1;
}

int worker_make(struct mailbox *box, uint16_t type, const void *key, void *body, int *ret_fd)
{
	struct worker *worker = container_of(box, struct worker, mailbox);
	struct proto_lost about;

	if (worker->state != WORKER_STARTING && worker->state != WORKER_SERVING)
		return -1;
	memcpy(&about, key, sizeof(about));
	if (type == PROTO_LISTEN)
		return make_listen(worker, &about, body, ret_fd);
	*ret_fd = worker->sluiced->generation->access_fd;
	return *ret_fd < 0 ? -1 : 0;
}

int worker_listen(struct worker *worker, const struct tenant *tenant)
{
	bool shared = supervise_shared(worker->sluiced->supervise);
	int err = 0;

	if (!tenant->gate.attached || !serves(worker, tenant) || tenant->slot >= worker->nstats)
		return 0;
	for (unsigned i = 0; !err && i < tenant->gate.nlisteners; i++) {
		const struct gate_listener *listener = &tenant->gate.listeners[i];
		struct proto_lost key = {
			.type = PROTO_LISTEN,
			.tenant = tenant->id,
			.slot = tenant->slot,
			.port = listener->port,
			.family = listener->family,
		};

		if (worker->state == WORKER_ENDING)
			return -ESRCH;
		if (shared || listener->worker == worker->index)
			err = judge(worker, mailbox_send_made(&worker->mailbox, worker->sock,
							      PROTO_LISTEN, &key, sizeof(key)));
	}
	return err;
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

/* Its word is taken for no more than what it may have anyway. */
static void hear_lost(struct worker *worker, const struct proto_lost *lost)
{
	bool known = lost->type == PROTO_LISTEN || lost->type == PROTO_LOG;

	if (worker->role == PROTO_ROLE_BACK || !known ||
	    worker->lost.count >= worker->nstats * 2 * SL_PORTS_MAX)
		return;
	mailbox_promise(&worker->lost, (uint16_t)lost->type, lost, sizeof(*lost));
	say_again(worker);
}

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
		patience_heard(worker, loop_now());
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
	case PROTO_LOST: {
		struct proto_lost lost;

		memcpy(&lost, msg->body, sizeof(lost));
		hear_lost(worker, &lost);
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

	if (events & EPOLLOUT)
		judge(worker, mailbox_flush(&worker->mailbox, worker->sock));
	if (worker->state == WORKER_ENDING || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
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
	else if (result < 0 && result != -EAGAIN && result != -ECONNRESET && result != -ENOBUFS &&
		 result != -ENOMEM)
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

int worker_watch(struct worker *worker)
{
	struct loop *loop = &worker->sluiced->loop;
	int err = loop_watch(loop, &worker->ended, worker->pidfd, EPOLLIN, on_end);

	return err ? err : loop_watch(loop, &worker->message, worker->sock, EPOLLIN, on_message);
}
