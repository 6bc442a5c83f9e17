/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four times a second the verdicts of all interfaces are read in one go; drops per second
 * decide. Drop samples in the ring buffer stay there for whoever looks (the ring overwrites
 * nothing: when it is full, the programs stop sampling), so the parent empties it.
 */
#include "guard_auto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../gate/load.h"
#include "../lib/log.h"
#include "generation.h"
#include "guard_rule.h"
#include "handover.h"
#include "tenants.h"
#include "trace.h"

#define LOOK_MS	   250
#define BLOCKED_MS 10000 /* after raising has failed */
#define GONE_MS	   2000	 /* after somebody has taken XDP away */

struct guard_auto {
	struct sluiced *sluiced;
	struct loop_timer look;
};

static bool raise_hook(struct guard_auto *guard, struct tenant *tenant, enum gate_load_xdp hook,
		       char **ret_why)
{
	struct gate_load *load = guard->sluiced->load;
	int err = gate_raise_xdp(&tenant->gate, load, hook, ret_why);

	if (!err)
		err = gate_load_iface_set_guard_at(load, &tenant->gate.key, SL_GUARD_AT_XDP);
	if (err)
		return false;
	tenant->guard.raised_now = true;
	tenant->guard.hook = hook;
	handover_tenant(guard->sluiced->handover, tenant);
	handover_hurry(guard->sluiced->handover);
	return true;
}

/* Native where the driver has it and bystanders can bear it. */
static bool raise_best(struct guard_auto *guard, struct tenant *tenant)
{
	char *why = NULL;

	if (guard_rule_native(tenant->gate.kind) &&
	    raise_hook(guard, tenant, GATE_LOAD_XDP_NATIVE, &why))
		return true;
	free(why);
	why = NULL;
	if (raise_hook(guard, tenant, GATE_LOAD_XDP_GENERIC, &why))
		return true;
	log_warn("tenant %s: cannot raise XDP on %s: %s; TC goes on policing", tenant->want.name,
		 tenant->gate.interface, why ? why : "unknown");
	free(why);
	return false;
}

static void lower(struct guard_auto *guard, struct tenant *tenant)
{
	gate_load_iface_set_guard_at(guard->sluiced->load, &tenant->gate.key, SL_GUARD_AT_TC);
	gate_load_detach_xdp(guard->sluiced->load, &tenant->gate.key);
	tenant->guard.raised_now = false;
	handover_tenant(guard->sluiced->handover, tenant);
	handover_hurry(guard->sluiced->handover);
}

static bool is_forced(const struct tenant *tenant)
{
	return tenant->want.guard == CONF_GUARD_XDP_NATIVE ||
	       tenant->want.guard == CONF_GUARD_XDP_GENERIC;
}

/*
 * Somebody may take our program off (bpftool link detach, or a pin that is removed): then nobody
 * would police until the interface is quiet. TC does at once, and XDP comes back after a while.
 */
static void mend(struct guard_auto *guard, struct tenant *tenant, uint64_t now)
{
	if (gate_load_attached_xdp(guard->sluiced->load, &tenant->gate.key, NULL))
		return;
	lower(guard, tenant);
	tenant->guard.blocked_until_ms = now + GONE_MS;
	log_warn("tenant %s: XDP is gone from %s, and not by us; TC polices", tenant->want.name,
		 tenant->gate.interface);
}

static int look_at(const struct sl_iface_key *key, const struct sl_verdicts *verdicts, void *arg)
{
	struct guard_auto *guard = arg;
	const struct conf_guard *conf = &guard->sluiced->generation->conf->guard;
	struct tenant *tenant = tenants_by_iface(guard->sluiced->tenants, key);
	uint64_t now = loop_now();
	struct guard_rule rule = { .raise_drops = conf->raise_drops, .quiet_ms = conf->quiet_ms };
	struct tenant_guard *state;

	if (!tenant)
		return 0;
	state = &tenant->guard;
	if (state->raised_now)
		mend(guard, tenant, now);
	if (is_forced(tenant) && !state->raised_now && state->blocked_until_ms &&
	    now >= state->blocked_until_ms)
		guard_auto_attached(guard, tenant);
	if (tenant->want.guard != CONF_GUARD_AUTO)
		return 0;
	switch (guard_rule_look(&rule, &state->watch, state->raised_now,
				gate_load_verdicts_drops(verdicts), now)) {
	case GUARD_RULE_RAISE:
		if (now < state->blocked_until_ms)
			break;
		if (!raise_best(guard, tenant)) {
			state->blocked_until_ms = now + BLOCKED_MS;
			break;
		}
		state->raised++;
		log_warn("tenant %s: %llu drops/s on %s: %s raised", tenant->want.name,
			 (unsigned long long)state->watch.rate, tenant->gate.interface,
			 tenant_guard_name(tenant));
		break;
	case GUARD_RULE_LOWER:
		lower(guard, tenant);
		state->lowered++;
		log_info("tenant %s: quiet for %u ms on %s: XDP lowered", tenant->want.name,
			 conf->quiet_ms, tenant->gate.interface);
		break;
	case GUARD_RULE_STAY:
		break;
	}
	return 0;
}

static void on_look(struct loop_timer *timer)
{
	struct guard_auto *guard = container_of(timer, struct guard_auto, look);
	static struct log_limit limit = LOG_LIMIT(60000, 1);
	uint32_t left_out;
	int err = gate_load_verdicts_each(guard->sluiced->load, look_at, guard);

	if (err < 0 && log_allowed(&limit, &left_out))
		log_error("cannot read the verdict counters: %s", strerror(-err));
	trace_look(guard->sluiced->trace);
	loop_timer_start(&guard->sluiced->loop, timer, LOOK_MS, on_look);
}

void guard_auto_attached(struct guard_auto *guard, struct tenant *tenant)
{
	enum conf_guard_mode mode = tenant->want.guard;
	enum gate_load_xdp hook =
		mode == CONF_GUARD_XDP_NATIVE ? GATE_LOAD_XDP_NATIVE : GATE_LOAD_XDP_GENERIC;
	char *why = NULL;

	tenant->guard.raised_now = false;
	tenant->guard.blocked_until_ms = 0;
	memset(&tenant->guard.watch, 0, sizeof(tenant->guard.watch));
	if (!is_forced(tenant))
		return;
	if (hook == GATE_LOAD_XDP_NATIVE && !strcmp(tenant->gate.kind, "bond")) {
		log_error("tenant %s: native XDP on a bond runs on its members, where %s is not "
			  "known; TC polices instead",
			  tenant->want.name, tenant->gate.interface);
		return;
	}
	if (hook == GATE_LOAD_XDP_NATIVE && !guard_rule_native(tenant->gate.kind))
		log_warn(
			"tenant %s: native XDP on a veth takes most of other traffic's speed on %s",
			tenant->want.name, tenant->gate.interface);
	if (!raise_hook(guard, tenant, hook, &why))
		log_error("tenant %s: %s cannot be had on %s: %s; TC polices instead",
			  tenant->want.name, conf_guard_mode_name(mode), tenant->gate.interface,
			  why ? why : "unknown");
	free(why);
}

void guard_auto_changed(struct guard_auto *guard, struct tenant *tenant)
{
	if (tenant->guard.raised_now)
		lower(guard, tenant);
	guard_auto_attached(guard, tenant);
}

int guard_auto_new(struct sluiced *sluiced, struct guard_auto **ret)
{
	struct guard_auto *guard = calloc(1, sizeof(*guard));

	if (!guard)
		return -ENOMEM;
	guard->sluiced = sluiced;
	loop_timer_start(&sluiced->loop, &guard->look, LOOK_MS, on_look);
	*ret = guard;
	return 0;
}

void guard_auto_free(struct guard_auto *guard)
{
	if (!guard)
		return;
	loop_timer_stop(&guard->sluiced->loop, &guard->look);
	free(guard);
}
