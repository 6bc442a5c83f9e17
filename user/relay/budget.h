/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many requests a VM may make: a token bucket for each (tenant, address), kept as the
 * time up to which its requests are paid for. Unlike clients.h's table this one outlives
 * connections, or a VM would get a full bucket with every connection.
 *
 * The table has a fixed size. Where it is full, the bucket that is nearest to being full
 * again gives way: whoever makes up addresses to fill the table gives others a little more
 * than they have a right to, never less.
 */
#ifndef SLUICE_RELAY_BUDGET_H
#define SLUICE_RELAY_BUDGET_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct budget_entry {
	uint64_t key; /* of tenant and address, seeded */
	int64_t paid_ns;
};

struct budgets {
	struct budget_entry *entries; /* NULL: no limit */
	size_t mask;		      /* sets - 1 */
	uint64_t seed[2];
	int64_t cost_ns, depth_ns; /* of one request; of the whole bucket */
};

/* Room for max VMs at the same time; rate is requests a second, 0: no limit. 0 or -errno. */
int budgets_init(struct budgets *budgets, size_t max, uint32_t rate, uint32_t burst);
void budgets_free(struct budgets *budgets);
/* Pays for one request. 0, or in how many seconds (at least 1) the VM may ask again. */
uint32_t budget_spend(struct budgets *budgets, uint32_t tenant, const struct in6_addr *address,
		      int64_t now_ms);

#endif
