/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The relay's counters: workers write them in shared memory, here they are added up per
 * tenant and published once a second in the pinned map "relay".
 */
#ifndef SLUICE_SLUICED_STATS_H
#define SLUICE_SLUICED_STATS_H

#include <stdint.h>

#include "../../bpf/abi.h"
#include "../lib/latency.h"
#include "sluiced.h"

struct tenant;
struct worker;

/* All workers, living and gone, together. */
void stats_tenant(struct sluiced *sluiced, const struct tenant *tenant, struct sl_relay *ret);
/* How long its VMs waited; all zero while none has asked. */
void stats_latency(struct sluiced *sluiced, const struct tenant *tenant, struct latency *ret);
/* Connections a worker has open now. */
uint64_t stats_connections(const struct worker *worker);
/* Keeps what a worker that has ended counted. */
void stats_retire(struct sluiced *sluiced, const struct worker *worker);
/* Clears a slot in all workers before a new tenant gets it. */
void stats_clear(struct sluiced *sluiced, uint32_t slot);
/* Writes every tenant's sums into the map. */
void stats_publish(struct sluiced *sluiced);

#endif
