/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What gate.c and gate_keep.c share. Nobody else includes this.
 */
#ifndef SLUICE_GATE_GATE_PRIV_H
#define SLUICE_GATE_GATE_PRIV_H

#include "gate.h"
#include "link.h"
#include "listen.h"
#include "netns.h"

/*
 * In the tenant's namespace: fills in the interfaces that spec means and whether they have IPv6. 0,
 * -ENODEV, or another -errno, with why.
 */
int gate_find_links(struct gate *gate, const struct gate_spec *spec, struct link_info *ret_l3,
		    char *why);

struct sl_listener_key gate_listener_key(const struct gate *gate,
					 const struct gate_listener *listener);
struct listen_spec gate_listen_spec(const struct gate *gate, struct gate_load *load,
				    const struct gate_spec *spec,
				    const struct gate_listener *listener);
/* In the tenant's namespace: a listener's socket; claim: the first of its group. */
int gate_open_one(const struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
		  struct gate_listener *listener, bool claim);
/*
 * In the tenant's namespace: could each port of the family be claimed now? Nothing is kept. 0 or
 * -errno with why.
 */
int gate_try_claim(const struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
		   uint8_t family, char *why);
/* Whether its listeners are lone, as gate_load_listener_put() means it. */
bool gate_is_lone(const struct gate *gate);
int gate_put_listener(const struct gate *gate, struct gate_load *load,
		      struct gate_listener *listener, bool lone);
void gate_close_listener(struct gate_listener *listener);
/* The part of an interface's entry that may change while it is attached. */
void gate_set_policy(struct sl_iface *iface, const struct gate_spec *spec);
/*
 * In the tenant's namespace: marks packets, or stops that, as its packet filter demands. Answers
 * carry the mark by their sockets, which inherit it. 0 or -errno with why.
 */
int gate_fit_filter(struct gate *gate, struct gate_load *load, char *why);
/* By its own sockets, because the namespace's name may be gone. */
int gate_enter(const struct gate *gate, struct netns_visit *visit);

#endif
