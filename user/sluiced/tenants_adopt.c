/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tenants from an earlier parent: their gates stand already. What cannot be had is let go, and
 * attached anew like any other.
 */
#include "tenants_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../gate/netns.h"
#include "../lib/log.h"
#include "supervise.h"

void tenants_numbers(const struct tenants *tenants, uint32_t *ret_next_id, uint32_t *ret_next_slot)
{
	*ret_next_id = tenants->next_id;
	*ret_next_slot = tenants->next_slot;
}

void tenants_number_from(struct tenants *tenants, uint32_t next_id, uint32_t next_slot)
{
	tenants->next_id = next_id;
	tenants->next_slot = next_slot;
}

struct tenant *tenants_at(struct tenants *tenants, uint32_t slot)
{
	return slot < tenants->size ? tenants->slots[slot] : NULL;
}

static int adopt_gate(struct tenants *tenants, struct tenant *tenant)
{
	struct gate_load *load = tenants->sluiced->load;
	struct gate_spec spec = tenants_spec(tenants, tenant);
	char *why = NULL;
	int err = gate_adopt(&tenant->gate, load, &spec);

	if (err) {
		log_warn("tenant %s: its gate cannot be taken over: %s", tenant->want.name,
			 strerror(-err));
		gate_detach(&tenant->gate, load, NULL, NULL);
		return err;
	}
	if (tenant->guard.raised_now &&
	    gate_raise_xdp(&tenant->gate, load, tenant->guard.hook, &why)) {
		log_warn("tenant %s: XDP on %s cannot be taken over: %s; TC polices",
			 tenant->want.name, tenant->gate.interface, why ? why : "unknown");
		tenant->guard.raised_now = false;
	}
	free(why);
	/* What was raised or lowered in the last moment before a crash is in no state. */
	gate_load_iface_set_guard_at(load, &tenant->gate.key,
				     tenant->guard.raised_now ? SL_GUARD_AT_XDP : SL_GUARD_AT_TC);
	if (!tenant->guard.raised_now) {
		gate_load_detach_xdp(load, &tenant->gate.key);
		tenant->guard.blocked_until_ms = 1; /* a forced mode is tried again at once */
	}
	return 0;
}

/* How many workers the gate has listeners for, 0 when none of them is left. */
static unsigned listeners_of(const struct gate *gate)
{
	unsigned workers = 0;
	bool any = false;

	for (unsigned i = 0; i < gate->nlisteners; i++) {
		any |= gate->listeners[i].fd >= 0;
		if (gate->listeners[i].worker >= workers)
			workers = gate->listeners[i].worker + 1u;
	}
	return any ? workers : 0;
}

int tenants_adopt(struct tenants *tenants, struct tenant *tenant)
{
	struct gate *gate = &tenant->gate;
	unsigned workers = listeners_of(gate);
	/* A limit that was lowered leaves those that are there. */
	int err = tenants_grow(tenants, tenant->slot + 1);

	if (err)
		return err;
	if (tenants->slots[tenant->slot] || tenants_find(tenants, tenant->want.name))
		return -ENOSPC;
	tenants_enter(tenants, tenant);
	if (!gate->attached)
		return 0;
	if (!tenant->cookie && netns_of_process(tenant->want.netns))
		tenant->cookie = gate->key.netns_cookie;
	if (workers) {
		supervise_adopt_listeners(tenants->sluiced->supervise, workers);
		if (!adopt_gate(tenants, tenant)) {
			tenants_enter_gate(tenants, tenant);
			return 0;
		}
	} else {
		free(gate->listeners);
	}
	memset(gate, 0, sizeof(*gate));
	tenant->guard.raised_now = false;
	tenant->state = TENANT_FAILED;
	snprintf(tenant->reason, sizeof(tenant->reason), "its listeners were lost");
	return 0;
}
