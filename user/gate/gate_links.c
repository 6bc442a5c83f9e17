/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a gate stands: the interface at which VMs' packets arrive, and the one where the address
 * lives. Asked when it is attached, and ever again afterwards: a port may join a bridge, or leave
 * it.
 */
#include "gate_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/text.h"
#include "link.h"

#define LOOPBACK 1 /* every namespace's first interface: LOOPBACK_IFINDEX */

/* Masters that take their ports' packets as their own; a VRF or an OVS datapath does not. */
static bool carries_addresses(const char *kind)
{
	return !strcmp(kind, "bridge") || !strcmp(kind, "bond") || !strcmp(kind, "team");
}

static int find_named(const char *name, const struct gate_spec *spec, struct link_info *ret,
		      char *why)
{
	int err = link_find(name, ret);

	if (err == -ENODEV)
		snprintf(why, GATE_WHY_MAX, "no interface %s in namespace %s", name, spec->netns);
	else if (err)
		snprintf(why, GATE_WHY_MAX, "interface %s cannot be looked at: %s", name,
			 strerror(-err));
	return err;
}

int gate_find_links(struct gate *gate, const struct gate_spec *spec, struct link_info *ret_l3,
		    char *why)
{
	struct link_info port, l3;
	int err = find_named(spec->interface, spec, &port, why);

	if (err)
		return err;
	/* What it sends it gets itself: no VM's packet ever arrives there. */
	if (port.ifindex == LOOPBACK) {
		snprintf(why, GATE_WHY_MAX, "%s is the loopback: VMs' packets arrive at another",
			 spec->interface);
		return -ENODEV;
	}
	l3 = port;
	if (spec->l3_interface) {
		err = find_named(spec->l3_interface, spec, &l3, why);
	} else if (port.master) {
		struct link_info master;

		err = link_find_index(port.master, &master);
		if (err)
			snprintf(why, GATE_WHY_MAX, "the bridge of %s cannot be read: %s",
				 spec->interface, strerror(-err));
		/* It went meanwhile: who looks again sees whole links. */
		if (err == -ENODEV)
			err = -EAGAIN;
		else if (!err && carries_addresses(master.kind))
			l3 = master;
	}
	/* The state file and what the control socket says are UTF-8. */
	if (!err && !text_is_plain(l3.name)) {
		snprintf(why, GATE_WHY_MAX,
			 "the bridge of %s has a name that is no plain text; rename it",
			 spec->interface);
		err = -EILSEQ;
	}
	if (err)
		return err;
	gate->key.ifindex = port.ifindex;
	gate->l3_ifindex = l3.ifindex;
	snprintf(gate->interface, sizeof(gate->interface), "%s", port.name);
	snprintf(gate->l3_interface, sizeof(gate->l3_interface), "%s", l3.name);
	snprintf(gate->kind, sizeof(gate->kind), "%s", port.kind);
	gate->ipv6 = spec->ipv6 && !l3.no_ipv6;
	*ret_l3 = l3;
	return 0;
}
