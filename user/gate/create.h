/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Building a gateway: a named network namespace with one link into it, its address and its
 * routes; and taking it away without a trace. Who serves it, and its DHCP, are others' business.
 */
#ifndef SLUICE_GATE_CREATE_H
#define SLUICE_GATE_CREATE_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/subnet.h"

#define CREATE_WHY_MAX	  256
#define CREATE_ROUTES_MAX 16

struct create_route {
	struct subnet to, via;
};

/*
 * The link is a veth pair: inner in the new namespace, outer in into (NULL: ours), enslaved to
 * bridge if that is given. Or it is move, an interface of ours that goes inside and keeps its name.
 */
struct create_spec {
	const char *netns; /* a name for /run/netns that is not there yet */
	const char *inner, *outer, *into, *bridge;
	const char *move;
	uint16_t vlan; /* 0: none; else the address is on "INNER.VLAN" */
	struct subnet address;
	bool forward;
	struct create_route routes[CREATE_ROUTES_MAX];
	unsigned nroutes;
};

/* The interface that has the address: what a gate attaches to. ret holds IFNAMSIZ bytes. */
void create_interface(const struct create_spec *spec, char *ret);
/* 0, or -errno with why, a sentence, and nothing left behind. -EEXIST: the name is taken. */
int create_build(const struct create_spec *spec, char why[CREATE_WHY_MAX]);
/*
 * Gives a moved interface back, deletes the veth pair and the namespace. What is gone already is
 * no error. 0 or -errno.
 */
int create_remove(const struct create_spec *spec);

#endif
