/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every field of struct sl_relay is a __u64 that one worker alone writes; reading it while it
 * changes gives the old or the new value.
 */
#include "stats.h"

#include <stdlib.h>
#include <string.h>

#include "../gate/load.h"
#include "handover.h"
#include "supervise.h"
#include "tenants.h"

static void add(struct sl_relay *sum, const struct sl_relay *part)
{
#define X(field, text) sum->field += __atomic_load_n(&part->field, __ATOMIC_RELAXED);
	SL_RELAY_COUNTERS(X)
#undef X
}

void stats_tenant(struct sluiced *sluiced, const struct tenant *tenant, struct sl_relay *ret)
{
	struct worker *worker = NULL;

	*ret = tenant->retired;
	while ((worker = supervise_next(sluiced->supervise, worker)))
		if (tenant->slot < worker->nstats)
			add(ret, &worker->stats[tenant->slot]);
}

/* Reading a page of shared memory would make it: those of idle tenants are left alone. */
static bool has_latency(const struct worker *worker, uint32_t slot)
{
	return slot < worker->nstats &&
	       __atomic_load_n(&worker->stats[slot].requests, __ATOMIC_RELAXED);
}

void stats_latency(struct sluiced *sluiced, const struct tenant *tenant, struct latency *ret)
{
	struct worker *worker = NULL;

	if (tenant->retired_latency)
		*ret = *tenant->retired_latency;
	else
		memset(ret, 0, sizeof(*ret));
	while ((worker = supervise_next(sluiced->supervise, worker)))
		if (has_latency(worker, tenant->slot))
			latency_add(ret, &worker->latency[tenant->slot]);
}

uint64_t stats_connections(const struct worker *worker)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < worker->nstats; i++)
		sum += __atomic_load_n(&worker->stats[i].open, __ATOMIC_RELAXED);
	return sum;
}

void stats_retire(struct sluiced *sluiced, const struct worker *worker)
{
	static const struct sl_relay idle;
	struct tenant *tenant = NULL;

	while ((tenant = tenants_next(sluiced->tenants, tenant))) {
		if (tenant->slot >= worker->nstats ||
		    !memcmp(&worker->stats[tenant->slot], &idle, sizeof(idle)))
			continue;
		add(&tenant->retired, &worker->stats[tenant->slot]);
		handover_tenant(sluiced->handover, tenant);
		tenant->retired.open = 0; /* its connections died with it */
		if (!has_latency(worker, tenant->slot))
			continue;
		if (!tenant->retired_latency)
			tenant->retired_latency = calloc(1, sizeof(*tenant->retired_latency));
		if (tenant->retired_latency)
			latency_add(tenant->retired_latency, &worker->latency[tenant->slot]);
	}
}

void stats_clear(struct sluiced *sluiced, uint32_t slot)
{
	struct worker *worker = NULL;

	while ((worker = supervise_next(sluiced->supervise, worker))) {
		if (slot >= worker->nstats)
			continue;
		if (has_latency(worker, slot))
			memset(&worker->latency[slot], 0, sizeof(worker->latency[slot]));
		memset(&worker->stats[slot], 0, sizeof(worker->stats[slot]));
	}
}

/* Everything but "open" only grows: counters are what they were when their sum is. */
static struct tenant_published summary(const struct sl_relay *relay)
{
	struct tenant_published published = { .sum = -relay->open, .open = relay->open };

#define X(field, text) published.sum += relay->field;
	SL_RELAY_COUNTERS(X)
#undef X
	return published;
}

void stats_publish(struct sluiced *sluiced)
{
	struct tenant *tenant = NULL;
	struct tenant_published now;
	struct sl_relay sum;

	while ((tenant = tenants_next(sluiced->tenants, tenant))) {
		if (!tenant->gate.attached)
			continue;
		stats_tenant(sluiced, tenant, &sum);
		now = summary(&sum);
		if (tenant->published.there && tenant->published.sum == now.sum &&
		    tenant->published.open == now.open)
			continue;
		now.there = !gate_load_relay_put(sluiced->load, tenant->id, &sum);
		tenant->published = now;
	}
}
