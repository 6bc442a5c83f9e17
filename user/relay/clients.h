/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many connections each VM holds, so that one of them cannot take them all. Keyed by
 * (tenant, address); sized at start for as many VMs as there may be connections. The
 * hash is seeded, since VMs choose their IPv6 addresses.
 */
#ifndef SLUICE_RELAY_CLIENTS_H
#define SLUICE_RELAY_CLIENTS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct client_entry {
	struct in6_addr address;
	uint32_t tenant;
	uint32_t count; /* 0: the entry is free */
};

struct clients {
	struct client_entry *entries;
	size_t mask; /* entries - 1; at most half of them are in use */
	uint64_t seed[2];
};

/* Room for max connections. 0 or -errno. */
int clients_init(struct clients *clients, size_t max);
void clients_free(struct clients *clients);
/* Counts one more. 0, or -EUSERS when the VM holds limit already. */
int clients_add(struct clients *clients, uint32_t tenant, const struct in6_addr *address,
		uint32_t limit);
void clients_remove(struct clients *clients, uint32_t tenant, const struct in6_addr *address);

#endif
