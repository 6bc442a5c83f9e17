/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gateways that were built by command: "tenant create" and "gateway create". Each has a
 * directory RUN_DIR/created/KIND-NAME with a record, from which the next daemon goes on, and
 * what its DHCP server keeps. Namespaces stay when the daemon ends; DHCP servers do not.
 *
 * A record is a JSON object, checked by whoever made it:
 *   kind      "tenant" or "gateway"
 *   name      the tenant's; of a gateway, its namespace's
 *   netns     the namespace
 *   inner, outer, into, bridge, move, vlan, address, forward, routes [{to, via}]
 *             as struct create_spec has them (gate/create.h); those that are not given are absent
 *   dhcp, router, dns []
 */
#ifndef SLUICE_SLUICED_CREATED_H
#define SLUICE_SLUICED_CREATED_H

#include <jansson.h>

#include "../gate/create.h"
#include "sluiced.h"

struct created;

/* Reads the records of an earlier daemon. */
int created_new(struct sluiced *sluiced, struct created **ret);
/* Attaches what they say and starts its DHCP; forgets what is gone. */
void created_resume(struct created *created);
/* Ends the DHCP servers. NULL is fine. */
void created_free(struct created *created);

/*
 * Builds, attaches and serves. record is taken over. 0, or -errno with why and nothing left:
 * -EEXIST when name or namespace is taken.
 */
int created_build(struct created *created, json_t *record, char why[CREATE_WHY_MAX]);
/* Takes away what created_build() made. -ENOENT: there is none. */
int created_remove(struct created *created, const char *kind, const char *name);
/* The record, owned by created, or NULL. */
const json_t *created_find(struct created *created, const char *kind, const char *name);

#endif
