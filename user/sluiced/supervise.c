/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots and the workers in them. A worker that dies is replaced at once on the same listeners;
 * one that dies young twice in a row waits longer each time. On a reload the new worker of a
 * slot serves before the old one drains. One that falls silent gets no new connections while
 * another is well.
 */
#include "supervise_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../gate/load.h"
#include "../lib/log.h"
#include "binder.h"
#include "generation.h"
#include "handover.h"
#include "origins.h"
#include "patience.h"
#include "stats.h"
#include "tenants.h"
#include "worker_start.h"

#define CHECK_MS 1000
/* A worker that lived shorter than this died quickly; the second time in a row it waits. */
#define QUICK_MS    1000
#define BACKOFF_MS  100
#define BACKOFF_MAX 10000
#define FAREWELL_MS 1000
/*
 * How long a surplus slot's worker goes on accepting what was on its way to its listeners: longer
 * than the kernel keeps a silent connection to itself (DEFER_S in gate/listen.c).
 */
#define RETIRE_MS 2000

static struct slot *slot_of(struct supervise *supervise, const struct worker *worker)
{
	return &supervise->slots[worker->role][worker->index];
}

static void on_retry(struct loop_timer *timer);

static void start(struct slot *slot)
{
	struct supervise *supervise = slot->supervise;
	struct worker *worker;
	int err = worker_start(supervise->sluiced, slot->role, slot->index, &worker);

	if (err) {
		log_error("cannot start worker %s/%u: %s", worker_role_name(slot->role),
			  slot->index, strerror(-err));
		loop_timer_start(&supervise->sluiced->loop, &slot->retry, BACKOFF_MS * 10,
				 on_retry);
		return;
	}
	worker->next = supervise->workers;
	supervise->workers = worker;
	slot->worker = worker;
	slot->spared = false;
	slot_publish(slot);
	handover_touch(supervise->sluiced->handover);
	handover_hurry(supervise->sluiced->handover);
}

static bool needed(struct supervise *supervise, enum proto_role role, unsigned index)
{
	if (supervise->ending || index >= supervise->sluiced->generation->nworkers)
		return false;
	return role == PROTO_ROLE_BOTH || tenants_any_stream(supervise->sluiced->tenants);
}

static void drain(struct supervise *supervise, struct worker *worker)
{
	worker_drain(worker, supervise->sluiced->generation->conf->relay.drain_timeout);
	handover_touch(supervise->sluiced->handover);
}

/* Surplus listeners go when nobody accepts on one of them any more. */
static void settle(struct supervise *supervise)
{
	unsigned wanted = supervise->sluiced->generation->nworkers;

	if (supervise->shared || supervise->ending || supervise->listeners <= wanted)
		return;
	for (int role = 0; role < ROLES; role++)
		for (unsigned i = wanted; i < SL_WORKERS_MAX; i++) {
			const struct slot *slot = &supervise->slots[role][i];

			if (slot->worker || slot->replaced || slot->retire.set)
				return;
		}
	supervise->listeners = wanted;
	tenants_refresh(supervise->sluiced->tenants);
}

static void on_retire(struct loop_timer *timer)
{
	struct slot *slot = container_of(timer, struct slot, retire);

	if (slot->replaced)
		drain(slot->supervise, slot->replaced);
	if (slot->worker)
		drain(slot->supervise, slot->worker);
	slot->replaced = slot->worker = NULL;
	settle(slot->supervise);
}

/*
 * New connections go elsewhere from now on; what has reached the slot's listeners, or is in
 * the middle of its handshake, is still accepted.
 */
static void retire(struct slot *slot)
{
	struct loop *loop = &slot->supervise->sluiced->loop;

	loop_timer_stop(loop, &slot->retry);
	if (slot->supervise->ending || slot->retire.set ||
	    (!slot->worker && !slot->replaced && slot->index >= slot->supervise->listeners))
		return;
	loop_timer_start(loop, &slot->retire, RETIRE_MS, on_retire);
	slot_publish(slot);
}

static void apply_slot(struct slot *slot)
{
	struct supervise *supervise = slot->supervise;

	if (!needed(supervise, slot->role, slot->index)) {
		retire(slot);
		return;
	}
	if (slot->retire.set) {
		loop_timer_stop(&supervise->sluiced->loop, &slot->retire);
		slot->spared = false;
		slot_publish(slot);
	}
	if (slot->worker && slot->worker->generation != supervise->sluiced->generation) {
		/* A worker that never got READY replaces nobody; what it was to replace stays. */
		if (slot->replaced)
			drain(supervise, slot->worker);
		else
			slot->replaced = slot->worker;
		slot->worker = NULL;
	}
	if (!slot->worker && !slot->retry.set)
		start(slot);
}

void supervise_apply(struct supervise *supervise)
{
	if (!supervise->shared && supervise->sluiced->generation->nworkers > supervise->listeners) {
		supervise->listeners = supervise->sluiced->generation->nworkers;
		tenants_refresh(supervise->sluiced->tenants);
	}
	for (int role = 0; role < ROLES; role++)
		for (unsigned i = 0; i < SL_WORKERS_MAX; i++)
			apply_slot(&supervise->slots[role][i]);
}

static void on_retry(struct loop_timer *timer)
{
	apply_slot(container_of(timer, struct slot, retry));
}

void supervise_ready(struct supervise *supervise, struct worker *worker)
{
	struct slot *slot = slot_of(supervise, worker);

	handover_touch(supervise->sluiced->handover);
	if (slot->worker != worker || !slot->replaced)
		return;
	drain(supervise, slot->replaced);
	slot->replaced = NULL;
}

static void unlink_worker(struct supervise *supervise, struct worker *worker)
{
	struct worker **link = &supervise->workers;

	while (*link && *link != worker)
		link = &(*link)->next;
	if (*link)
		*link = worker->next;
}

void supervise_ended(struct supervise *supervise, struct worker *worker)
{
	struct slot *slot = slot_of(supervise, worker);
	uint64_t lived = loop_now() - worker->started_ms;
	bool current = slot->worker == worker, accepted = current || slot->replaced == worker;

	if (slot->replaced == worker)
		slot->replaced = NULL;
	if (current)
		slot->worker = NULL;
	unlink_worker(supervise, worker);
	handover_touch(supervise->sluiced->handover);
	origins_forget(supervise->sluiced->origins, worker);
	stats_retire(supervise->sluiced, worker);
	worker_free(worker);
	binder_look(supervise->sluiced->binder);
	if (!accepted || supervise->ending)
		return;
	if (current)
		slot->spared = false;
	slot_publish(slot);
	if (!current)
		return;
	slot->restarts++;
	slot->quick = lived < QUICK_MS ? slot->quick + 1 : 0;
	if (slot->quick > 1) {
		unsigned shift = slot->quick < 9 ? slot->quick - 2 : 7;
		uint64_t delay = (uint64_t)BACKOFF_MS << shift;

		if (delay > BACKOFF_MAX)
			delay = BACKOFF_MAX;
		loop_timer_start(&supervise->sluiced->loop, &slot->retry, delay, on_retry);
		return;
	}
	apply_slot(slot);
}

void supervise_listen(struct supervise *supervise, const struct tenant *tenant)
{
	for (struct worker *worker = supervise->workers; worker; worker = worker->next)
		if ((worker->state == WORKER_STARTING || worker->state == WORKER_SERVING) &&
		    worker_listen(worker, tenant) == -ENOMEM)
			log_error("tenant %s: no memory to tell worker %s/%u of it; sluice reload "
				  "does so",
				  tenant->want.name, worker_role_name(worker->role), worker->index);
	for (unsigned i = 0; i < SL_WORKERS_MAX; i++) {
		enum proto_role role = tenant->want.bridge == CONF_BRIDGE_STREAM ? PROTO_ROLE_FRONT
										 : PROTO_ROLE_BOTH;
		const struct slot *slot = &supervise->slots[role][i];
		const struct worker *worker = slot_acceptor(slot);

		if (slot->worker || slot->replaced)
			gate_publish_worker(&tenant->gate, supervise->sluiced->load, i,
					    worker ? (uint32_t)worker->pid : 0);
	}
}

void supervise_unlisten(struct supervise *supervise, const struct tenant *tenant, bool reset)
{
	struct proto_unlisten unlisten = { .tenant = tenant->id, .abort = reset };

	for (struct worker *worker = supervise->workers; worker; worker = worker->next)
		if (worker->role != PROTO_ROLE_BACK)
			worker_send(worker, PROTO_UNLISTEN, 0, &unlisten, sizeof(unlisten), NULL,
				    0);
}

void supervise_adopt(struct supervise *supervise, struct worker *worker)
{
	struct slot *slot = slot_of(supervise, worker);
	struct worker *other = slot->worker;

	worker->next = supervise->workers;
	supervise->workers = worker;
	if (worker->state != WORKER_STARTING && worker->state != WORKER_SERVING)
		return;
	/* Two in one slot: the younger one was to replace the other. */
	if (other && other->generation->number > worker->generation->number) {
		slot->replaced = worker;
		return;
	}
	slot->replaced = other;
	slot->worker = worker;
}

void supervise_adopt_listeners(struct supervise *supervise, unsigned count)
{
	if (!supervise->shared && count > supervise->listeners)
		supervise->listeners = count;
}

struct worker *supervise_find(struct supervise *supervise, pid_t pid)
{
	struct worker *worker = supervise->workers;

	while (worker && worker->pid != pid)
		worker = worker->next;
	return worker;
}

/* Every second: the counters, and who has lost its pulse, or its deadline? */
static void on_check(struct loop_timer *timer)
{
	struct supervise *supervise = container_of(timer, struct supervise, check);
	/* We stood still, and most likely they did, too. */
	uint64_t now = loop_now(), late = now - timer->due_ms;

	for (struct worker *worker = supervise->workers; worker; worker = worker->next) {
		const char *why;

		if (late > CHECK_MS)
			patience_lend(worker, late - CHECK_MS, now);
		why = patience_over(worker, now);
		if (why)
			worker_kill(worker, why);
	}
	for (int role = 0; role < ROLES; role++)
		for (unsigned i = 0; i < SL_WORKERS_MAX; i++)
			slot_spare(&supervise->slots[role][i], now);
	stats_publish(supervise->sluiced);
	heap_give_back(&supervise->heap);
	loop_timer_start(&supervise->sluiced->loop, timer, CHECK_MS, on_check);
}

int supervise_new(struct sluiced *sluiced, struct supervise **ret)
{
	struct supervise *supervise = calloc(1, sizeof(*supervise));

	if (!supervise)
		return -ENOMEM;
	supervise->sluiced = sluiced;
	for (int role = 0; role < ROLES; role++)
		for (unsigned i = 0; i < SL_WORKERS_MAX; i++) {
			struct slot *slot = &supervise->slots[role][i];

			slot->supervise = supervise;
			slot->role = (enum proto_role)role;
			slot->index = i;
		}
	supervise->shared = !gate_load_features(sluiced->load)->reuseport_assign;
	supervise->listeners = supervise->shared ? 1 : sluiced->generation->nworkers;
	loop_timer_start(&sluiced->loop, &supervise->check, CHECK_MS, on_check);
	*ret = supervise;
	return 0;
}

/* Waits until the first worker of the list ends; false when time is over. */
static bool bury_one(struct supervise *supervise, uint64_t deadline)
{
	struct worker *worker = supervise->workers;
	struct pollfd ended = { .fd = worker->pidfd, .events = POLLIN };
	uint64_t now = loop_now();

	if (poll(&ended, 1, now < deadline ? (int)(deadline - now) : 0) <= 0)
		return false;
	waitpid(worker->pid, NULL, 0);
	supervise_ended(supervise, worker);
	return true;
}

void supervise_free(struct supervise *supervise)
{
	uint64_t deadline = loop_now() + FAREWELL_MS;

	if (!supervise)
		return;
	supervise->ending = true;
	loop_timer_stop(&supervise->sluiced->loop, &supervise->check);
	for (struct worker *worker = supervise->workers; worker; worker = worker->next)
		worker_drain(worker, 0);
	while (supervise->workers && bury_one(supervise, deadline))
		;
	for (struct worker *worker = supervise->workers; worker; worker = worker->next)
		kill(worker->pid, SIGKILL);
	while (supervise->workers && bury_one(supervise, UINT64_MAX))
		;
	for (int role = 0; role < ROLES; role++)
		for (unsigned i = 0; i < SL_WORKERS_MAX; i++) {
			struct slot *slot = &supervise->slots[role][i];

			loop_timer_stop(&supervise->sluiced->loop, &slot->retry);
			loop_timer_stop(&supervise->sluiced->loop, &slot->retire);
		}
	free(supervise);
}

struct worker *supervise_partner(struct supervise *supervise, const struct worker *front)
{
	unsigned count = supervise->sluiced->generation->nworkers;
	struct slot *slots = supervise->slots[PROTO_ROLE_BACK];
	struct worker *back = slot_taker(&slots[front->index]);

	/* Its own has gone before it, or waits to be started. */
	for (unsigned i = 0; !back && i < count; i++)
		back = slot_taker(&slots[(front->index + i) % count]);
	return back;
}

struct worker *supervise_next(struct supervise *supervise, const struct worker *after)
{
	return after ? after->next : supervise->workers;
}

unsigned supervise_restarts(struct supervise *supervise, const struct worker *worker)
{
	return slot_of(supervise, worker)->restarts;
}

unsigned supervise_listeners(const struct supervise *supervise)
{
	return supervise->listeners;
}

bool supervise_shared(const struct supervise *supervise)
{
	return supervise->shared;
}

bool supervise_quiet(const struct supervise *supervise)
{
	for (const struct worker *worker = supervise->workers; worker; worker = worker->next)
		if (worker->mailbox.count)
			return false;
	return true;
}
