/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interfaces and routes of the current network namespace, over netlink (libnl).
 * The callers have entered the tenant's namespace before.
 */
#ifndef SLUICE_GATE_LINK_H
#define SLUICE_GATE_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct link_info {
	char name[IFNAMSIZ];
	char kind[IFNAMSIZ]; /* "veth", "bridge", "tun", …; empty for hardware */
	uint32_t ifindex;
	uint32_t master; /* ifindex of the bridge (or other master), 0 for none */
	uint8_t mac[6];
	bool up;
	bool running; /* up, and its carrier has been noticed: it sends */
	bool no_ipv6; /* disable_ipv6 is set on it */
};

/* 0, -ENODEV, or -errno. */
int link_find(const char *name, struct link_info *ret_link);
int link_find_index(uint32_t ifindex, struct link_info *ret_link);

/*
 * What makes the namespace take packets for the metadata address for its own:
 * "local 169.254.169.254 dev lo" and "local fe80::a9fe:a9fe dev IF". A local route, not
 * an address: it appears in no "ip addr", joins no multicast group and runs no duplicate
 * address detection.
 *
 * *ret_added says whether the route is new; one that was there before is not ours to
 * remove. 0 or -errno.
 */
int link_route_add(int family, uint32_t l3_ifindex, bool *ret_added);
/* Removes the route if it is one of ours ("proto 169"); that there is none is no error. */
int link_route_remove(int family, uint32_t l3_ifindex);

#endif
