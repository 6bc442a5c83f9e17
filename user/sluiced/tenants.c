/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of tenants, and who is to be in it: by the configuration, by an operator, by a rule of
 * "discover". The gate of each is tenants_gate.c's.
 */
#include "tenants_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../gate/netns.h"
#include "../lib/log.h"
#include "discover.h"
#include "generation.h"
#include "guard_auto.h"
#include "handover.h"
#include "stats.h"
#include "supervise.h"

/*
 * How often what is not attached, or not as it should be, is tried, a part of them at a time:
 * nobody says when another process leaves the address. What is attached is discover.c's to watch.
 */
#define TEND_MS	   3000
#define TEND_PARTS 8

static void on_tend(struct loop_timer *timer);

int tenants_new(struct sluiced *sluiced, struct tenants **ret)
{
	struct tenants *tenants = calloc(1, sizeof(*tenants));

	if (!tenants)
		return -ENOMEM;
	tenants->sluiced = sluiced;
	tenants->next_id = 1;
	loop_timer_start(&sluiced->loop, &tenants->tend, TEND_MS / TEND_PARTS, on_tend);
	*ret = tenants;
	return 0;
}

struct tenant *tenants_from(struct tenants *tenants, uint32_t slot)
{
	for (; slot < tenants->size; slot++)
		if (tenants->slots[slot])
			return tenants->slots[slot];
	return NULL;
}

struct tenant *tenants_next(struct tenants *tenants, const struct tenant *after)
{
	return tenants_from(tenants, after ? after->slot + 1 : 0);
}

struct tenant *tenants_find(struct tenants *tenants, const char *name)
{
	struct index_node *node = index_first(&tenants->by_name, index_hash_text(name));

	for (; node; node = index_again(node)) {
		struct tenant *tenant = container_of(node, struct tenant, by_name);

		if (!strcmp(tenant->want.name, name))
			return tenant;
	}
	return NULL;
}

struct tenant *tenants_next_in(struct tenants *tenants, const char *space,
			       const struct tenant *after)
{
	struct index_node *node = after ? index_again(&after->by_space)
					: index_first(&tenants->by_space, index_hash_text(space));

	for (; node; node = index_again(node)) {
		struct tenant *tenant = container_of(node, struct tenant, by_space);

		if (!strcmp(want_space(tenant->want.netns), space))
			return tenant;
	}
	return NULL;
}

bool tenants_any_stream(struct tenants *tenants)
{
	struct tenant *tenant = NULL;

	while ((tenant = tenants_next(tenants, tenant)))
		if (tenant->want.bridge == CONF_BRIDGE_STREAM)
			return true;
	return false;
}

unsigned tenants_count(const struct tenants *tenants)
{
	return tenants->count;
}

uint32_t tenants_slots(const struct tenants *tenants)
{
	return tenants->size;
}

/* ---- the table ------------------------------------------------------------------------- */

int tenants_grow(struct tenants *tenants, uint32_t least)
{
	uint32_t limit = tenants->sluiced->generation->conf->limits.tenants;
	uint32_t size = limit > least ? limit : least;
	struct tenant **slots;

	if (size <= tenants->size)
		return 0;
	slots = reallocarray(tenants->slots, size, sizeof(struct tenant *));
	if (!slots)
		return -ENOMEM;
	memset(slots + tenants->size, 0, (size - tenants->size) * sizeof(struct tenant *));
	tenants->slots = slots;
	tenants->size = size;
	return 0;
}

void tenants_enter(struct tenants *tenants, struct tenant *tenant)
{
	tenants->slots[tenant->slot] = tenant;
	tenants->count++;
	index_add(&tenants->by_name, &tenant->by_name, index_hash_text(tenant->want.name));
	index_add(&tenants->by_space, &tenant->by_space,
		  index_hash_text(want_space(tenant->want.netns)));
}

/* Not above limit: workers of this generation count no further. */
static bool find_slot(struct tenants *tenants, uint32_t limit, uint32_t *ret_slot)
{
	for (uint32_t i = 0; i < limit; i++) {
		uint32_t slot = tenants->next_slot++ % limit;

		if (!tenants->slots[slot]) {
			*ret_slot = slot;
			return true;
		}
	}
	return false;
}

static struct tenant *add(struct tenants *tenants, const struct tenant_want *want)
{
	uint32_t limit = tenants->sluiced->generation->conf->limits.tenants;
	struct tenant *tenant;
	uint32_t slot;

	if (tenants_grow(tenants, 0) || !find_slot(tenants, limit, &slot))
		return NULL;
	tenant = calloc(1, sizeof(*tenant));
	if (!tenant || want_copy(&tenant->want, want)) {
		free(tenant);
		return NULL;
	}
	tenant->slot = slot;
	tenant->id = tenants->next_id++;
	tenant->state = TENANT_FAILED;
	tenants_enter(tenants, tenant);
	stats_clear(tenants->sluiced, tenant->slot);
	handover_tenant(tenants->sluiced->handover, tenant);
	return tenant;
}

static void remove_tenant(struct tenants *tenants, struct tenant *tenant)
{
	bool attached = tenant->gate.attached;

	tenants_let_go(tenants, tenant);
	log_info("tenant %s: %s", tenant->want.name, attached ? "detached" : "given up");
	tenants->slots[tenant->slot] = NULL;
	tenants->count--;
	index_remove(&tenants->by_name, &tenant->by_name);
	index_remove(&tenants->by_space, &tenant->by_space);
	handover_tenant(tenants->sluiced->handover, tenant);
	want_free(&tenant->want);
	free(tenant->retired_latency);
	free(tenant);
}

/* ---- what the configuration wants -------------------------------------------------------- */

/* Which of the tenants there are the configuration names. */
static void mark_named(struct tenants *tenants, const struct conf *conf)
{
	struct tenant *tenant = NULL;

	while ((tenant = tenants_next(tenants, tenant)))
		tenant->named = false;
	for (unsigned i = 0; i < conf->tenants_count; i++) {
		tenant = tenants_find(tenants, conf->tenants[i].name);
		if (tenant)
			tenant->named = true;
	}
}

/*
 * Brings a tenant to what is wanted now, without a word to its connections: false when that takes
 * another gate.
 */
static bool adjust(struct tenants *tenants, struct tenant *tenant, const struct tenant_want *want)
{
	const char *change = want_change(&tenant->want, want);
	bool guard = tenant->want.guard != want->guard;

	if (change) {
		log_info("tenant %s: attached anew, for another %s", tenant->want.name, change);
		return false;
	}
	if (!guard && tenant->want.fail == want->fail)
		return true;
	tenant->want.fail = want->fail;
	tenant->want.guard = want->guard;
	handover_tenant(tenants->sluiced->handover, tenant);
	if (!tenant->gate.attached)
		return true;
	tenants_resize(tenants, tenant);
	if (guard)
		guard_auto_changed(tenants->sluiced->guard, tenant);
	return true;
}

static void apply_one(struct tenants *tenants, const struct conf_tenant *wish)
{
	struct tenant *tenant = tenants_find(tenants, wish->name);
	struct tenant_want want;

	if (want_from_conf(&want, tenants->sluiced->generation->conf, wish))
		goto fail;
	if (tenant && !adjust(tenants, tenant, &want)) {
		remove_tenant(tenants, tenant);
		tenant = NULL;
	}
	if (!tenant)
		tenant = add(tenants, &want);
	want_free(&want);
	if (!tenant)
		goto fail;
	if (!tenant->from_conf)
		handover_tenant(tenants->sluiced->handover, tenant);
	tenant->from_conf = true;
	/* The process may be another one by now. */
	if (tenant->gate.attached && netns_of_process(tenant->want.netns))
		tenants_tend(tenants, tenant);
	if (tenant->gate.attached) {
		tenants_resize(tenants, tenant);
		return;
	}
	/* The configuration means whoever has the process's number now. */
	if (tenant->cookie)
		handover_tenant(tenants->sluiced->handover, tenant);
	tenant->cookie = 0;
	tenants_try(tenants, tenant);
	return;
fail:
	log_error("tenant %s: no room for it (limits.tenants is %u)", wish->name,
		  tenants->sluiced->generation->conf->limits.tenants);
}

void tenants_refresh(struct tenants *tenants)
{
	struct tenant *tenant = NULL;

	while ((tenant = tenants_next(tenants, tenant)))
		if (tenant->gate.attached)
			tenants_resize(tenants, tenant);
}

void tenants_apply(struct tenants *tenants)
{
	const struct conf *conf = tenants->sluiced->generation->conf;

	mark_named(tenants, conf);
	for (uint32_t i = 0; i < tenants->size; i++) {
		struct tenant *tenant = tenants->slots[i];

		if (tenant && tenant->from_conf && !tenant->named)
			remove_tenant(tenants, tenant);
		else if (tenant && !tenant->from_conf && tenant->gate.attached)
			tenants_resize(tenants, tenant);
	}
	for (unsigned i = 0; i < conf->tenants_count; i++)
		apply_one(tenants, &conf->tenants[i]);
}

/* ---- what an operator wants ---------------------------------------------------------------- */

static enum tenants_error to_error(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENODEV:
	case -ESRCH:
	case -EINVAL:
		return TENANTS_NOT_FOUND;
	case -EBUSY:
		return TENANTS_CONFLICT;
	default:
		return TENANTS_SYSTEM;
	}
}

enum tenants_error tenants_attach(struct tenants *tenants, const struct tenant_want *want,
				  struct tenant **ret, char why[GATE_WHY_MAX])
{
	struct tenant *tenant = tenants_find(tenants, want->name);
	int err = 0;

	if (tenant && !want_equal(&tenant->want, want)) {
		snprintf(why, GATE_WHY_MAX, "tenant %s is attached with other arguments",
			 want->name);
		return TENANTS_EXISTS;
	}
	if (!tenant) {
		tenant = add(tenants, want);
		if (!tenant) {
			snprintf(why, GATE_WHY_MAX, "no room for another tenant");
			return TENANTS_FULL;
		}
		supervise_apply(tenants->sluiced->supervise);
	}
	if (!tenant->gate.attached)
		err = tenants_try(tenants, tenant);
	if (err && err != -EADDRINUSE && !tenant->from_conf) {
		snprintf(why, GATE_WHY_MAX, "%s", tenant->reason);
		remove_tenant(tenants, tenant);
		supervise_apply(tenants->sluiced->supervise);
		return to_error(err);
	}
	discover_tenant(tenants->sluiced->discover, tenant);
	*ret = tenant;
	return TENANTS_OK;
}

bool tenants_detach(struct tenants *tenants, const char *name)
{
	struct tenant *tenant = tenants_find(tenants, name);

	if (!tenant)
		return false;
	remove_tenant(tenants, tenant);
	supervise_apply(tenants->sluiced->supervise);
	return true;
}

/* ---- tending --------------------------------------------------------------------------------- */

/* One whose gate stands, and is not whole, is none. */
static bool tenant_serves(const struct tenant *tenant)
{
	return tenant->gate.attached && tenant->state == TENANT_ATTACHED;
}

static void on_tend(struct loop_timer *timer)
{
	struct tenants *tenants = container_of(timer, struct tenants, tend);

	for (uint32_t slot = tenants->part; slot < tenants->size; slot += TEND_PARTS)
		if (tenants->slots[slot] && !tenant_serves(tenants->slots[slot]))
			tenants_tend(tenants, tenants->slots[slot]);
	tenants->part = (tenants->part + 1) % TEND_PARTS;
	loop_timer_start(&tenants->sluiced->loop, timer, TEND_MS / TEND_PARTS, on_tend);
}

struct tenant *tenants_discovered(struct tenants *tenants, const struct tenant_want *want)
{
	struct tenant *tenant = tenants_find(tenants, want->name);

	if (tenant && !adjust(tenants, tenant, want)) {
		remove_tenant(tenants, tenant);
		tenant = NULL;
	}
	if (!tenant)
		tenant = add(tenants, want);
	if (!tenant)
		return NULL;
	tenant->discovered = true;
	tenants_tend(tenants, tenant);
	return tenant;
}

void tenants_drop(struct tenants *tenants, struct tenant *tenant)
{
	remove_tenant(tenants, tenant);
}

void tenants_retry(struct tenants *tenants)
{
	struct tenant *tenant = NULL;

	while ((tenant = tenants_next(tenants, tenant)))
		if (!tenant->gate.attached)
			tenants_try(tenants, tenant);
}

void tenants_publish_worker(struct tenants *tenants, enum conf_bridge bridge, unsigned worker,
			    uint32_t pid)
{
	struct tenant *tenant = NULL;

	while ((tenant = tenants_next(tenants, tenant)))
		if (tenant->gate.attached && tenant->want.bridge == bridge)
			gate_publish_worker(&tenant->gate, tenants->sluiced->load, worker, pid);
}

void tenants_detach_all(struct tenants *tenants)
{
	if (!tenants)
		return;
	loop_timer_stop(&tenants->sluiced->loop, &tenants->tend);
	for (uint32_t i = 0; i < tenants->size; i++)
		if (tenants->slots[i])
			remove_tenant(tenants, tenants->slots[i]);
}

void tenants_free(struct tenants *tenants)
{
	if (!tenants)
		return;
	index_free(&tenants->by_name);
	index_free(&tenants->by_space);
	index_free(&tenants->by_gate);
	free(tenants->slots);
	free(tenants);
}

const char *tenant_state_name(enum tenant_state state)
{
	static const char *const names[] = { [TENANT_ATTACHED] = "attached",
					     [TENANT_CONFLICT] = "conflict",
					     [TENANT_FAILED] = "failed" };

	return names[state];
}

const char *tenant_guard_name(const struct tenant *tenant)
{
	if (!tenant->guard.raised_now)
		return "tc";
	return tenant->guard.hook == GATE_LOAD_XDP_NATIVE ? "xdp-native" : "xdp-generic";
}
