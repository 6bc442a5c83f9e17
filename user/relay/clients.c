/* SPDX-License-Identifier: BSD-2-Clause */
#include "clients.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

int clients_init(struct clients *clients, size_t max)
{
	size_t size = 64;
	void *memory;

	while (size < 2 * max)
		size *= 2;
	*clients = (struct clients){ .mask = size - 1 };
	if (getrandom(clients->seed, sizeof(clients->seed), 0) != sizeof(clients->seed))
		return -EIO;
	memory = mmap(NULL, size * sizeof(*clients->entries), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	clients->entries = memory;
	return 0;
}

void clients_free(struct clients *clients)
{
	if (clients->entries)
		munmap(clients->entries, (clients->mask + 1) * sizeof(*clients->entries));
	clients->entries = NULL;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static size_t home(const struct clients *clients, uint32_t tenant, const struct in6_addr *address)
{
	uint64_t half[2];

	memcpy(half, address, sizeof(half));
	return (size_t)mix(mix(half[0] ^ clients->seed[0], half[1] ^ clients->seed[1]) ^ tenant,
			   UINT64_C(0x9e3779b97f4a7c15)) &
	       clients->mask;
}

/* The VM's entry, or the free one where it belongs. */
static size_t find(const struct clients *clients, uint32_t tenant, const struct in6_addr *address)
{
	size_t i = home(clients, tenant, address);

	for (;; i = (i + 1) & clients->mask) {
		const struct client_entry *entry = &clients->entries[i];

		if (!entry->count || (entry->tenant == tenant &&
				      memcmp(&entry->address, address, sizeof(*address)) == 0))
			return i;
	}
}

int clients_add(struct clients *clients, uint32_t tenant, const struct in6_addr *address,
		uint32_t limit)
{
	struct client_entry *entry = &clients->entries[find(clients, tenant, address)];

	if (limit && entry->count >= limit)
		return -EUSERS;
	entry->tenant = tenant;
	entry->address = *address;
	entry->count++;
	return 0;
}

void clients_remove(struct clients *clients, uint32_t tenant, const struct in6_addr *address)
{
	size_t hole = find(clients, tenant, address);

	assert(clients->entries[hole].count > 0);
	if (--clients->entries[hole].count)
		return;
	/* Entries behind the hole move up unless that would put them before their home. */
	for (size_t i = (hole + 1) & clients->mask; clients->entries[i].count;
	     i = (i + 1) & clients->mask) {
		const struct client_entry *entry = &clients->entries[i];
		size_t from = home(clients, entry->tenant, &entry->address);

		if (((i - from) & clients->mask) < ((i - hole) & clients->mask))
			continue;
		clients->entries[hole] = *entry;
		clients->entries[i].count = 0;
		hole = i;
	}
}
