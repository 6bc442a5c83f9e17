/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One tenant and its gate: made as configuration and tenant want it, let go, resized, looked
 * after, and why it does not stand. A gate's listeners go to the workers right after it is
 * attached: what connects in between waits in the accept queue.
 *
 *   configuration, want ──▶ gate_spec ──▶ gate/ ──▶ state, reason
 *                                          └──────▶ binder.c, supervise.c, guard_auto.c: it stands
 */
#include "tenants_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../gate/netns.h"
#include "../lib/log.h"
#include "../lib/text.h"
#include "binder.h"
#include "generation.h"
#include "guard_auto.h"
#include "handover.h"
#include "supervise.h"

#define BLAME_MS	  60000
#define IPV6_PAUSE_MS	  10000
#define IPV6_PAUSE_MAX_MS 600000

/* ---- which stand where -------------------------------------------------------------------- */

void tenants_enter_gate(struct tenants *tenants, struct tenant *tenant)
{
	index_add(&tenants->by_gate, &tenant->by_gate,
		  index_hash_number(tenant->gate.key.netns_cookie));
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

/* ---- one gate --------------------------------------------------------------------------- */

/* What an interface may is no less than what one of its addresses may; 0 is no limit. */
static uint32_t at_least(uint32_t interface, uint32_t address)
{
	return interface && interface < address ? address : interface;
}

struct gate_spec tenants_spec(struct tenants *tenants, const struct tenant *tenant)
{
	const struct conf *conf = tenants->sluiced->generation->conf;
	const struct tenant_want *want = &tenant->want;
	struct gate_spec spec = {
		.name = want->name,
		.tenant = tenant->id,
		.netns = want->netns,
		.cookie = tenant->cookie,
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
		.iface_syn_rate = at_least(conf->guard.interface_syn_rate, conf->guard.syn_rate),
		.iface_syn_burst = at_least(conf->guard.interface_syn_burst, conf->guard.syn_burst),
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

/* Each try cuts connections of IPv4 off: what does not pass is tried ever more rarely. */
static void put_ipv6_off(struct tenant *tenant)
{
	uint32_t pause = 2 * tenant->ipv6_pause_ms;

	if (pause < IPV6_PAUSE_MS)
		pause = IPV6_PAUSE_MS;
	if (pause > IPV6_PAUSE_MAX_MS)
		pause = IPV6_PAUSE_MAX_MS;
	tenant->ipv6_pause_ms = pause;
	tenant->ipv6_again_ms = loop_now() + pause;
}

static bool ipv6_is_off(const struct tenant *tenant)
{
	return tenant->ipv6_pause_ms && loop_now() < tenant->ipv6_again_ms;
}

/* served: it stood a moment ago, and IPv4 is not given up for want of IPv6. */
static int attach(struct tenants *tenants, struct tenant *tenant, bool served)
{
	char why[GATE_WHY_MAX], ipv6_why[GATE_WHY_MAX] = "";
	struct gate_spec spec;
	int err;

	if (!tenant->cookie && netns_of_process(tenant->want.netns) &&
	    !netns_cookie_of(tenant->want.netns, &tenant->cookie))
		handover_tenant(tenants->sluiced->handover, tenant);
	spec = tenants_spec(tenants, tenant);
	spec.blame = may_blame(tenant);
	err = gate_attach(&tenant->gate, tenants->sluiced->load, &spec, why);
	if (err && served && spec.ipv6) {
		snprintf(ipv6_why, sizeof(ipv6_why), GATE_NO_IPV6 "%.240s", why);
		spec.ipv6 = false;
		err = gate_attach(&tenant->gate, tenants->sluiced->load, &spec, why);
	}
	if (!err && ipv6_why[0])
		put_ipv6_off(tenant);
	else if (!err)
		tenant->ipv6_pause_ms = 0;
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
	set_state(tenants, tenant, ipv6_why[0] ? TENANT_FAILED : TENANT_ATTACHED, ipv6_why);
	if (spec.ipv6 && !tenant->gate.ipv6)
		log_warn("tenant %s: IPv6 is disabled on %s; only IPv4 is served",
			 tenant->want.name, tenant->gate.l3_interface);
	binder_attached(tenants->sluiced->binder, tenant);
	supervise_listen(tenants->sluiced->supervise, tenant);
	guard_auto_attached(tenants->sluiced->guard, tenant);
	return 0;
}

int tenants_try(struct tenants *tenants, struct tenant *tenant)
{
	return attach(tenants, tenant, false);
}

/* What a successor must know of it has changed; NULL is fine. */
static void note_gate(struct tenants *tenants, struct gate *gate)
{
	if (gate)
		handover_tenant(tenants->sluiced->handover,
				container_of(gate, struct tenant, gate));
}

void tenants_let_go(struct tenants *tenants, struct tenant *tenant)
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

void tenants_resize(struct tenants *tenants, struct tenant *tenant)
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

static bool lacks_ipv6(const struct tenant *tenant)
{
	return tenant->state == TENANT_FAILED &&
	       !strncmp(tenant->reason, GATE_NO_IPV6, strlen(GATE_NO_IPV6));
}

/* Does it stand, and need not be attached anew? */
static bool stands(struct tenants *tenants, struct tenant *tenant)
{
	struct gate_spec spec = tenants_spec(tenants, tenant);
	struct gate *gate = &tenant->gate;
	bool route4 = gate->route4, route6 = gate->route6, off = ipv6_is_off(tenant);
	char why[GATE_WHY_MAX];
	int err;

	if (off)
		spec.ipv6 = false;
	/* Who keeps IPv6 from it is named when it is looked for again. */
	spec.blame = tenant->state == TENANT_FAILED && may_blame(tenant);
	err = gate_check(gate, tenants->sluiced->load, &spec, why);
	if (gate->route4 != route4 || gate->route6 != route6)
		note_gate(tenants, gate);
	switch (err) {
	case 0:
		tenant->blamed_ms = 0;
		if (off) {
			/* Another reason may have come and gone. */
			if (!lacks_ipv6(tenant))
				set_state(tenants, tenant, TENANT_FAILED,
					  GATE_NO_IPV6 "it could not be attached, and is tried "
						       "again within ten minutes");
			return true;
		}
		set_state(tenants, tenant, TENANT_ATTACHED, "");
		return true;
	case -EADDRINUSE:
		/* As in attach(). */
		if (spec.blame || !lacks_ipv6(tenant))
			set_state(tenants, tenant, TENANT_FAILED, why);
		return true;
	case -EAGAIN:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return true;
	case -ESTALE:
		log_info("tenant %s: %s; it is attached anew", tenant->want.name, why);
		tenants_let_go(tenants, tenant);
		return false;
	case -ENOENT:
	case -ENODEV:
	case -EBUSY:
		tenants_let_go(tenants, tenant);
		set_state(tenants, tenant, TENANT_FAILED, why);
		return false;
	default:
		set_state(tenants, tenant, TENANT_FAILED, why);
		return true;
	}
}

/* Who has the process's number next is somebody else. The configuration means them, too. */
static bool has_ended(const struct tenant *tenant)
{
	uint64_t cookie;
	int err;

	if (tenant->from_conf || !netns_of_process(tenant->want.netns))
		return false;
	err = netns_cookie_of(tenant->want.netns, &cookie);
	if (!err)
		return tenant->cookie && cookie != tenant->cookie;
	return err == -ESRCH || err == -ENOENT;
}

void tenants_tend(struct tenants *tenants, struct tenant *tenant)
{
	bool served = tenant->gate.attached;

	if ((served && stands(tenants, tenant)) || !attach(tenants, tenant, served) ||
	    !has_ended(tenant))
		return;
	tenants_drop(tenants, tenant);
	supervise_apply(tenants->sluiced->supervise);
}
