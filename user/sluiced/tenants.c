/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wanted and standing gates. A gate's listeners go to the workers right after it is
 * attached: what connects in between waits in the accept queue.
 */
#include "tenants_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/log.h"
#include "../lib/text.h"
#include "binder.h"
#include "discover.h"
#include "generation.h"
#include "guard_auto.h"
#include "handover.h"
#include "stats.h"
#include "supervise.h"

/*
 * How often what is not attached is tried, a part of them at a time: nobody says when another
 * process leaves the address. What is attached is discover.c's to watch.
 */
#define TEND_MS	   3000
#define TEND_PARTS 8
#define BLAME_MS   60000

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

struct tenant *tenants_by_iface(struct tenants *tenants, const struct sl_iface_key *key)
{
	struct index_node *node =
		index_first(&tenants->by_gate, index_hash_number(key->netns_cookie));

	for (; node; node = index_again(node)) {
		struct tenant *tenant = container_of(node, struct tenant, by_gate);

		if (!memcmp(&tenant->gate.key, key, sizeof(*key)))
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

/* ---- attaching ----------------------------------------------------------------------- */

struct gate_spec tenants_spec(struct tenants *tenants, const struct tenant *tenant)
{
	const struct conf *conf = tenants->sluiced->generation->conf;
	const struct tenant_want *want = &tenant->want;
	struct gate_spec spec = {
		.name = want->name,
		.tenant = tenant->id,
		.netns = want->netns,
		.interface = want->interface,
		.l3_interface = want->l3_interface,
		.nports = want->nports,
		.ipv6 = want->ipv6,
		.hop_limit = conf->listen.hop_limit,
		.congestion = conf_congestion_name(conf->relay.congestion),
		.nworkers = supervise_listeners(tenants->sluiced->supervise),
		.owner = tenants->sluiced->generation->uid,
		.bound = binder_bound(tenants->sluiced->binder, want->name),
		.fail = want->fail == CONF_FAIL_DROP ? SL_FAIL_DROP : SL_FAIL_PASS,
		.iface_rate = conf->guard.interface_rate,
		.iface_burst = conf->guard.interface_burst,
		.source_rate = conf->guard.source_rate,
		.source_burst = conf->guard.source_burst,
		.syn_rate = conf->guard.syn_rate,
		.syn_burst = conf->guard.syn_burst,
	};

	memcpy(spec.ports, want->ports, sizeof(spec.ports));
	return spec;
}

/* Naming the owner of an address means a walk through /proc: rarely, and a few a second. */
static bool may_blame(struct tenant *tenant)
{
	static struct log_limit limit = LOG_LIMIT(1000, 4);
	uint64_t now = loop_now();
	uint32_t left_out;

	if ((tenant->blamed_ms && now - tenant->blamed_ms < BLAME_MS) ||
	    !log_allowed(&limit, &left_out))
		return false;
	tenant->blamed_ms = now;
	return true;
}

/* Another gate in the same namespace (and, if asked, on the same L3 interface), or NULL. */
static struct gate *neighbour(struct tenants *tenants, const struct gate *gate, bool same_l3)
{
	struct index_node *node =
		index_first(&tenants->by_gate, index_hash_number(gate->key.netns_cookie));

	for (; node; node = index_again(node)) {
		struct gate *other = &container_of(node, struct tenant, by_gate)->gate;

		if (other != gate && other->key.netns_cookie == gate->key.netns_cookie &&
		    (!same_l3 || other->l3_ifindex == gate->l3_ifindex))
			return other;
	}
	return NULL;
}

/* Sets state and reason; a line in the log when either is new. */
static void set_state(struct tenants *tenants, struct tenant *tenant, enum tenant_state state,
		      const char *why)
{
	char reason[sizeof(tenant->reason)];

	/* It may name a process, whose name is anybody's. */
	text_copy(reason, sizeof(reason), why, false);
	if (state == tenant->state && !strcmp(reason, tenant->reason))
		return;
	tenant->state = state;
	strcpy(tenant->reason, reason);
	handover_tenant(tenants->sluiced->handover, tenant);
	if (state == TENANT_ATTACHED)
		log_info("tenant %s: attached to %s in %s", tenant->want.name,
			 tenant->gate.interface, tenant->want.netns);
	else
		log_warn("tenant %s: %s: %s", tenant->want.name, tenant_state_name(state), reason);
}

static int try_attach(struct tenants *tenants, struct tenant *tenant)
{
	struct gate_spec spec = tenants_spec(tenants, tenant);
	char why[GATE_WHY_MAX];
	int err;

	spec.blame = may_blame(tenant);
	err = gate_attach(&tenant->gate, tenants->sluiced->load, &spec, why);
	/* Who it is stays as it was found out. */
	if (err == -EADDRINUSE && tenant->state == TENANT_CONFLICT && !spec.blame)
		return err;
	if (err) {
		set_state(tenants, tenant, err == -EADDRINUSE ? TENANT_CONFLICT : TENANT_FAILED,
			  why);
		return err;
	}
	tenant->blamed_ms = 0;
	tenants_enter_gate(tenants, tenant);
	set_state(tenants, tenant, TENANT_ATTACHED, "");
	if (tenant->want.ipv6 && !tenant->gate.ipv6)
		log_warn("tenant %s: IPv6 is disabled on %s; only IPv4 is served",
			 tenant->want.name, tenant->gate.l3_interface);
	binder_attached(tenants->sluiced->binder, tenant);
	supervise_listen(tenants->sluiced->supervise, tenant);
	guard_auto_attached(tenants->sluiced->guard, tenant);
	return 0;
}

/* What a successor must know of it has changed; NULL is fine. */
static void note_gate(struct tenants *tenants, struct gate *gate)
{
	if (gate)
		handover_tenant(tenants->sluiced->handover,
				container_of(gate, struct tenant, gate));
}

static void detach_gate(struct tenants *tenants, struct tenant *tenant)
{
	struct gate *gate = &tenant->gate, *heir4, *heir6;

	if (!gate->attached)
		return;
	supervise_unlisten(tenants->sluiced->supervise, tenant, true);
	binder_detached(tenants->sluiced->binder, tenant);
	index_remove(&tenants->by_gate, &tenant->by_gate);
	heir4 = neighbour(tenants, gate, false);
	heir6 = neighbour(tenants, gate, true);
	gate_detach(gate, tenants->sluiced->load, heir4, heir6);
	note_gate(tenants, gate);
	note_gate(tenants, heir4);
	note_gate(tenants, heir6);
	tenant->guard.raised_now = tenant->published.there = false;
}

/* ---- the table ------------------------------------------------------------------------- */

int tenants_grow(struct tenants *tenants)
{
	uint32_t size = tenants->sluiced->generation->conf->limits.tenants;
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

void tenants_enter_gate(struct tenants *tenants, struct tenant *tenant)
{
	index_add(&tenants->by_gate, &tenant->by_gate,
		  index_hash_number(tenant->gate.key.netns_cookie));
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

	if (tenants_grow(tenants) || !find_slot(tenants, limit, &slot))
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

	detach_gate(tenants, tenant);
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

/* Budgets, hop limit and workers may have changed for a tenant that did not. */
static void refresh(struct tenants *tenants, struct tenant *tenant)
{
	struct gate_spec spec = tenants_spec(tenants, tenant);
	unsigned listeners = tenant->gate.nlisteners;
	int err = gate_resize(&tenant->gate, tenants->sluiced->load, &spec);

	if (tenant->gate.nlisteners != listeners)
		note_gate(tenants, &tenant->gate);
	if (err)
		log_error("tenant %s: cannot apply the new limits: %s", tenant->want.name,
			  strerror(-err));
}

static void apply_one(struct tenants *tenants, const struct conf_tenant *wish)
{
	struct tenant *tenant = tenants_find(tenants, wish->name);
	struct tenant_want want;

	if (want_from_conf(&want, tenants->sluiced->generation->conf, wish))
		goto fail;
	if (tenant && !want_equal(&tenant->want, &want)) {
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
	if (tenant->gate.attached)
		refresh(tenants, tenant);
	else
		try_attach(tenants, tenant);
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
			refresh(tenants, tenant);
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
			refresh(tenants, tenant);
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
		err = try_attach(tenants, tenant);
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

void tenants_tend(struct tenants *tenants, struct tenant *tenant)
{
	struct gate *gate = &tenant->gate;
	bool route4 = gate->route4, route6 = gate->route6;
	int err;

	if (gate->attached) {
		err = gate_check(gate, tenants->sluiced->load, tenant->want.netns);
		if (gate->route4 != route4 || gate->route6 != route6)
			note_gate(tenants, gate);
		if (err != -ENOENT && err != -ENODEV)
			return;
		detach_gate(tenants, tenant);
		set_state(tenants, tenant, TENANT_FAILED,
			  err == -ENOENT ? "its namespace is gone" : "its interface is gone");
	}
	try_attach(tenants, tenant);
}

static void on_tend(struct loop_timer *timer)
{
	struct tenants *tenants = container_of(timer, struct tenants, tend);

	for (uint32_t slot = tenants->part; slot < tenants->size; slot += TEND_PARTS)
		if (tenants->slots[slot] && !tenants->slots[slot]->gate.attached)
			tenants_tend(tenants, tenants->slots[slot]);
	tenants->part = (tenants->part + 1) % TEND_PARTS;
	loop_timer_start(&tenants->sluiced->loop, timer, TEND_MS / TEND_PARTS, on_tend);
}

struct tenant *tenants_discovered(struct tenants *tenants, const struct tenant_want *want)
{
	struct tenant *tenant = tenants_find(tenants, want->name);

	if (tenant && !want_equal(&tenant->want, want)) {
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
			try_attach(tenants, tenant);
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
