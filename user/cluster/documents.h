/* SPDX-License-Identifier: BSD-2-Clause */
/* What nodes are to be, signed: in the database, for the server to give to them. */
#ifndef CLUSTER_DOCUMENTS_H
#define CLUSTER_DOCUMENTS_H

#include "schedule.h"

/* Writes and signs a node's document. 0 or -errno; -EMSGSIZE: more than an agent would take. */
int documents_write(struct schedule *schedule, struct member *member);
/* Why a node does not take the document that is there for it, malloc'd; NULL: nothing was said. */
char *documents_refusal(struct state *state, const char *node);
/*
 * This node is none any more: whoever has it as a peer gets a document without it. Within the
 * caller's transaction. 0 or -errno.
 */
int documents_shut_out(struct cluster *cluster, const char *name);

#endif
