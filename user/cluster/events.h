/* SPDX-License-Identifier: BSD-2-Clause */
/* What agents report, into the database. */
#ifndef CLUSTER_EVENTS_H
#define CLUSTER_EVENTS_H

#include "state.h"

/*
 * {"session", "events": [{"seq", "item", "id", "run", "state", "at", "percent", "bytes", "rate",
 * "message"?, "log"?, "sources"?}, …]}: reported again after a lost answer, they count once.
 * session: which process of the agent they come from. -EBADMSG: not that.
 */
int events_take(struct state *state, const char *node, const json_t *json);

/*
 * What a node's journal says of its items, unless events that were heard are newer than it: a
 * report that went astray does not leave a run waiting.
 */
int events_reconcile(struct state *state, const char *node, const json_t *facts);

#endif
