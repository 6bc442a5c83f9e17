/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mode swarm, on the control machine's side: which nodes exchange pieces with each other, and what
 * they tell of it. What came from whom is kept by run, node and item (table sources).
 */
#ifndef CLUSTER_SWARM_H
#define CLUSTER_SWARM_H

#include "schedule.h"

/*
 * What a node's document says of its peers; NULL in other modes. All nodes of the run, or, when
 * they are too many, those at distances of 1, 2, 4 … on both sides in the list: who is a peer of
 * whom is mutual, and every node is within a few steps of every other.
 */
json_t *swarm_document(const struct schedule *schedule, const struct member *member);
/* How the control machine is called among the sources. */
#define SWARM_CONTROL "control"

/* An event's "sources" add to what is known. -EBADMSG: they are none. */
int swarm_take(struct state *state, const char *node, const json_t *event);
bool swarm_valid(const json_t *event);
/*
 * [{"peer", "bytes", "pieces", "wrong", "failed", "why"}] of a node in a run, the control machine
 * first; run NULL: the last one.
 */
json_t *swarm_sources(struct state *state, const char *run, const char *node);
/* The same of a whole run, by node and item: [{"node", "item", "peer", …}]. */
json_t *swarm_sources_of_run(struct state *state, const char *run);
/* For people, indented, nothing when nothing is known. */
void swarm_show(const json_t *sources);

#endif
