/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may become a node. A token is "sluice1.NODE.SECRET.CAHASH": bound to a node's name and the
 * address in the cluster file, good for one use; the hash lets the agent tell the true control
 * machine before it shows the secret. Without a token a request waits for approval.
 */
#ifndef CLUSTER_ENROLMENT_H
#define CLUSTER_ENROLMENT_H

#include "cluster.h"

#define ENROLMENT_SECRET    24 /* bytes */
#define ENROLMENT_TOKEN_MAX (8 + STATE_NODE_MAX + 2 * ENROLMENT_SECRET + NAME_DIGEST_LEN + 3)
#define ENROLMENT_PENDING   256 /* requests kept; the oldest make way */

/*
 * A token for a node, good for so many seconds; an earlier one of this node ends. replace: the
 * machine that bears the name now is shut out.
 */
int enrolment_token(struct cluster *cluster, const struct config_node *node, bool replace,
		    uint32_t valid, char ret_token[ENROLMENT_TOKEN_MAX + 1]);

/* Signs and remembers. -EKEYREJECTED and others with *ret_why, a constant; ret_certificate may be
 * NULL. */
int enrolment_admit(struct cluster *cluster, const char *node, const char *address,
		    const char *request, char **ret_certificate, const char **ret_why);

/*
 * One request as it came in: node and token (NULL: none) are what it claims, address is where it
 * came from. Returns the HTTP status: 200 with *ret_certificate (malloc'd), 202 pending with its
 * fingerprint, 403, 409, 500 with *ret_why, a constant for the log and the one who asks.
 */
unsigned enrolment_ask(struct cluster *cluster, const char *node, const char *address,
		       const char *request, const char *token, char **ret_certificate,
		       char ret_fingerprint[NAME_DIGEST_LEN + 1], const char **ret_why);

#endif
