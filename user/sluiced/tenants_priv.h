/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tenants.c, tenants_gate.c and tenants_adopt.c share. Nobody else includes this.
 */
#ifndef SLUICE_SLUICED_TENANTS_PRIV_H
#define SLUICE_SLUICED_TENANTS_PRIV_H

#include "tenants.h"

struct tenants {
	struct sluiced *sluiced;
	struct tenant **slots;
	uint32_t size, count;
	struct index by_name, by_space, by_gate;
	uint32_t next_slot; /* a slot rests as long as possible before it is used again */
	uint32_t next_id;
	struct loop_timer tend;
	uint32_t part;
};

/* Makes room for as many as the configuration allows, and for least places. 0 or -ENOMEM. */
int tenants_grow(struct tenants *tenants, uint32_t least);
/* Into the table, at its slot, which is free. */
void tenants_enter(struct tenants *tenants, struct tenant *tenant);

/* ---- one tenant's gate: tenants_gate.c ---- */

/* What it shall be like now. */
struct gate_spec tenants_spec(struct tenants *tenants, const struct tenant *tenant);
/* It stands: tenants_by_iface() finds it. */
void tenants_enter_gate(struct tenants *tenants, struct tenant *tenant);
/* Attaches it, and sets state and reason; 0 or -errno as gate_attach(). */
int tenants_try(struct tenants *tenants, struct tenant *tenant);
/* Detaches it, if it is attached. */
void tenants_let_go(struct tenants *tenants, struct tenant *tenant);
/* Budgets, hop limit and workers may have changed for a tenant that did not. */
void tenants_resize(struct tenants *tenants, struct tenant *tenant);

#endif
