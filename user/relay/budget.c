/* SPDX-License-Identifier: BSD-2-Clause */
#include "budget.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define WAYS   4 /* entries of a set: one cache line */
#define NS_MS  INT64_C(1000000)
#define NS_SEC INT64_C(1000000000)

int budgets_init(struct budgets *budgets, size_t max, uint32_t rate, uint32_t burst)
{
	size_t sets = 16;
	void *memory;

	*budgets = (struct budgets){ 0 };
	if (!rate)
		return 0;
	while (sets < max)
		sets *= 2;
	if (getrandom(budgets->seed, sizeof(budgets->seed), 0) != sizeof(budgets->seed))
		return -EIO;
	memory = mmap(NULL, sets * WAYS * sizeof(*budgets->entries), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	budgets->entries = memory;
	budgets->mask = sets - 1;
	budgets->cost_ns = NS_SEC / rate;
	budgets->depth_ns = budgets->cost_ns * burst;
	return 0;
}

void budgets_free(struct budgets *budgets)
{
	if (budgets->entries)
		munmap(budgets->entries, (budgets->mask + 1) * WAYS * sizeof(*budgets->entries));
	budgets->entries = NULL;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t key_of(const struct budgets *budgets, uint32_t tenant,
		       const struct in6_addr *address)
{
	uint64_t half[2];

	memcpy(half, address, sizeof(half));
	/* Never 0: that is an entry nobody has used. */
	return 1 | mix(mix(half[0] ^ budgets->seed[0], half[1] ^ budgets->seed[1]) ^
			       (uint64_t)tenant << 16,
		       budgets->seed[0] | UINT64_C(0x9e3779b97f4a7c15));
}

static struct budget_entry *find(struct budgets *budgets, uint64_t key)
{
	struct budget_entry *set = &budgets->entries[(key >> 1 & budgets->mask) * WAYS];
	struct budget_entry *fullest = set;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].paid_ns < fullest->paid_ns)
			fullest = &set[i];
	}
	*fullest = (struct budget_entry){ .key = key };
	return fullest;
}

uint32_t budget_spend(struct budgets *budgets, uint32_t tenant, const struct in6_addr *address,
		      int64_t now_ms)
{
	int64_t now = now_ms * NS_MS, over;
	struct budget_entry *entry;

	if (!budgets->entries)
		return 0;
	entry = find(budgets, key_of(budgets, tenant, address));
	if (entry->paid_ns < now)
		entry->paid_ns = now;
	over = entry->paid_ns + budgets->cost_ns - now - budgets->depth_ns;
	if (over > 0)
		return (uint32_t)((over + NS_SEC - 1) / NS_SEC);
	entry->paid_ns += budgets->cost_ns;
	return 0;
}
