/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tenants: what is wanted (from the configuration or by "tenant attach"), what stands
 * (a gate), and why not if it does not. Tries again what failed or is in conflict, and
 * notices interfaces and namespaces that went away.
 */
#ifndef SLUICE_SLUICED_TENANTS_H
#define SLUICE_SLUICED_TENANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "../gate/gate.h"
#include "../lib/index.h"
#include "../lib/latency.h"
#include "guard_rule.h"
#include "sluiced.h"
#include "want.h"

enum tenant_state { TENANT_ATTACHED, TENANT_CONFLICT, TENANT_FAILED };

/* What guard_auto.c knows about the tenant's interface. */
struct tenant_guard {
	bool raised_now;	  /* XDP polices */
	enum gate_load_xdp hook;  /* which kind, while raised_now */
	uint64_t raised, lowered; /* how often */
	struct guard_watch watch;
	uint64_t blocked_until_ms; /* raising failed, or XDP was taken away: not before */
};

/* What stats.c has put into map "relay" for the tenant, in short. */
struct tenant_published {
	bool there;
	uint64_t sum, open;
};

struct tenant {
	uint32_t id;   /* key of map "tenants"; never used twice by one daemon */
	uint32_t slot; /* index into the workers' counters */
	struct tenant_want want;
	bool from_conf;
	bool named;	 /* tenants_apply() has met it in the configuration */
	bool discovered; /* by a rule: discover.c adds and removes it */
	bool kept;	 /* discover.c has met its interface in this look */
	enum tenant_state state;
	char reason[GATE_WHY_MAX]; /* empty while attached */
	uint64_t cookie; /* of a process's namespace, 0: unknown; its pid may be another's later */
	uint64_t blamed_ms; /* when the owner of its address was last looked for */
	/* While IPv4 is served for want of IPv6: when, and after what pause, that is tried again.
	 */
	uint64_t ipv6_again_ms;
	uint32_t ipv6_pause_ms;
	struct gate gate;
	bool unopened; /* its port bindings are not in the guard's map yet */
	struct tenant_guard guard;
	struct tenant_published published;
	struct sl_relay retired;	 /* what workers that are gone have counted */
	struct latency *retired_latency; /* likewise; NULL: nothing. Not handed on to a successor */
	/* By its name, by its namespace and, while attached, by its gate's namespace. */
	struct index_node by_name, by_space, by_gate;
};

struct tenants;

int tenants_new(struct sluiced *sluiced, struct tenants **ret);
/* Both take NULL. Freeing comes after the workers' end: what they counted is added here. */
void tenants_detach_all(struct tenants *tenants);
void tenants_free(struct tenants *tenants);

/* Makes the tenants of the configuration in force so, and leaves those that were attached by
 * command alone. What cannot be attached is kept and tried again. */
void tenants_apply(struct tenants *tenants);

/* Limits, budgets and numbers of listeners have changed. */
void tenants_refresh(struct tenants *tenants);

/*
 * From a handover: takes over one tenant with its gate; a gate that cannot be had is let go, to
 * be attached again. 0, after which tenant is the table's, or -ENOSPC.
 */
int tenants_adopt(struct tenants *tenants, struct tenant *tenant);
void tenants_number_from(struct tenants *tenants, uint32_t next_id, uint32_t next_slot);
void tenants_numbers(const struct tenants *tenants, uint32_t *ret_next_id, uint32_t *ret_next_slot);
/* Tries at once what is not attached. */
void tenants_retry(struct tenants *tenants);

enum tenants_error {
	TENANTS_OK,
	TENANTS_EXISTS,	   /* the name has other arguments */
	TENANTS_CONFLICT,  /* another tenant has the interface or its L3 interface */
	TENANTS_FULL,	   /* limits.tenants */
	TENANTS_NOT_FOUND, /* namespace or interface */
	TENANTS_SYSTEM,
};

/*
 * Attaches what want says; want's strings are copied. An address held by somebody else is no
 * failure: the tenant is then there in state conflict. why gets a sentence on failure.
 */
enum tenants_error tenants_attach(struct tenants *tenants, const struct tenant_want *want,
				  struct tenant **ret, char why[GATE_WHY_MAX]);
/*
 * What a rule of the configuration has found: added, or changed to what want says, and tried.
 * Tenants that came otherwise must be left alone by the caller. NULL: no room for it.
 */
struct tenant *tenants_discovered(struct tenants *tenants, const struct tenant_want *want);
/*
 * Looks after one now: lets go of what is gone, attaches what can be, and drops who was attached by
 * command to the namespace of a process that has ended.
 */
void tenants_tend(struct tenants *tenants, struct tenant *tenant);
/* Detaches and forgets; supervise_apply() is the caller's. */
void tenants_drop(struct tenants *tenants, struct tenant *tenant);
/* False: there is no such tenant. */
bool tenants_detach(struct tenants *tenants, const char *name);
struct tenant *tenants_find(struct tenants *tenants, const char *name);
/* Iterates: start with NULL, ends with NULL. In the order of their slots. */
struct tenant *tenants_next(struct tenants *tenants, const struct tenant *after);
/* The one with this slot, or NULL. */
struct tenant *tenants_at(struct tenants *tenants, uint32_t slot);
/* The one with this slot or the first behind it; NULL: none. */
struct tenant *tenants_from(struct tenants *tenants, uint32_t slot);
/* The same among those of one namespace, called as want_space() calls it, in no order. */
struct tenant *tenants_next_in(struct tenants *tenants, const char *space,
			       const struct tenant *after);
struct tenant *tenants_by_iface(struct tenants *tenants, const struct sl_iface_key *key);
bool tenants_any_stream(struct tenants *tenants);
unsigned tenants_count(const struct tenants *tenants);
/* Every slot that was ever given is below it. */
uint32_t tenants_slots(const struct tenants *tenants);

/* Writes into the readable map who serves slot worker of the tenants on this bridge. */
void tenants_publish_worker(struct tenants *tenants, enum conf_bridge bridge, unsigned worker,
			    uint32_t pid);

const char *tenant_state_name(enum tenant_state state);
/* The words of "guard.active". */
const char *tenant_guard_name(const struct tenant *tenant);

#endif
