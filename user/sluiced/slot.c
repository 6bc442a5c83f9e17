/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which worker of a slot gets what is new: the one in it, the one it replaces while it does not
 * serve, or nobody.
 */
#include "supervise_priv.h"

#include "../lib/log.h"
#include "patience.h"
#include "tenants.h"

static enum conf_bridge bridge_of(enum proto_role role)
{
	return role == PROTO_ROLE_FRONT ? CONF_BRIDGE_STREAM : CONF_BRIDGE_FD;
}

const struct worker *slot_acceptor(const struct slot *slot)
{
	if (slot->retire.set || slot->spared)
		return NULL;
	return slot->worker ? slot->worker : slot->replaced;
}

void slot_publish(struct slot *slot)
{
	struct supervise *supervise = slot->supervise;
	const struct worker *worker = slot_acceptor(slot);
	pid_t pid = worker ? worker->pid : 0;

	/* A slot with pid 0 gets no new connections; a shared listener has others to accept. */
	if (!pid && supervise->shared)
		return;
	if (slot->role != PROTO_ROLE_BACK)
		tenants_publish_worker(supervise->sluiced->tenants, bridge_of(slot->role),
				       slot->index, (uint32_t)pid);
}

struct worker *slot_taker(const struct slot *slot)
{
	bool serves = slot->worker && slot->worker->state == WORKER_SERVING;

	return slot->replaced && !serves ? slot->replaced : slot->worker;
}

static bool takes_more(const struct slot *slot, uint64_t now)
{
	return slot->worker && slot->worker->state == WORKER_SERVING && !slot->spared &&
	       !slot->retire.set && !patience_silent(slot->worker, now);
}

/* Somebody else does what slot does, and is well. */
static bool has_substitute(const struct slot *slot, uint64_t now)
{
	const struct slot *slots = slot->supervise->slots[slot->role];

	for (unsigned i = 0; i < SL_WORKERS_MAX; i++)
		if (&slots[i] != slot && takes_more(&slots[i], now))
			return true;
	return false;
}

void slot_spare(struct slot *slot, uint64_t now)
{
	const struct worker *worker = slot->worker;

	/* A shared listener is whoever's that comes, and a BACK worker has none. */
	if (slot->supervise->shared || slot->role == PROTO_ROLE_BACK || slot->retire.set ||
	    !worker || worker->state != WORKER_SERVING ||
	    patience_silent(worker, now) == slot->spared)
		return;
	if (!slot->spared && !has_substitute(slot, now))
		return;
	slot->spared = !slot->spared;
	log_warn("worker %s/%u (pid %d) %s", worker_role_name(worker->role), worker->index,
		 worker->pid,
		 slot->spared ? "is silent: new connections go to others"
			      : "is heard of again, and gets new connections");
	slot_publish(slot);
}
