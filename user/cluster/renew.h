/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates anew before they end, with the keys they have: what was pinned stays true. The
 * control machine's clock alone decides when. The server renews its own and the CA's; nodes are
 * told in the answer to a poll (205) and ask over the connection they have.
 */
#ifndef CLUSTER_RENEW_H
#define CLUSTER_RENEW_H

#include "cluster.h"

#define RENEW_WARN_DAYS 180 /* who could be renewed by itself was long before */

/* agents.renew: by order; the new one is given, and was not seen yet. */
enum { RENEW_NONE, RENEW_ORDERED, RENEW_GIVEN };

/*
 * Is a node that polls to ask for a new certificate? shown: the first digits of the hash of the one
 * it has, or "": an answer that was lost is noticed by it.
 */
bool renew_node_due(struct cluster *cluster, const char *node, const char *shown);
/* Whole days until it ends, negative afterwards; INT32_MIN: it cannot be read. */
int renew_days(const char *certificate);
/* ca.pem when it is due or always, then server.pem likewise. 0 or -errno. */
int renew_control(struct cluster *cluster, const struct config *config, bool always_ca, bool always,
		  bool *ret_changed);
/* A node's certificate by its request, which must be of the key it is known by. HTTP status. */
unsigned renew_node(struct cluster *cluster, const char *node, const char *request,
		    char **ret_certificate, const char **ret_why);

#endif
