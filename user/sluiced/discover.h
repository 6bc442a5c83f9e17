/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tenants that come and go by themselves: the "discover" rules of the configuration applied to
 * every namespace under /run/netns, and word to every other tenant as well when its namespace
 * or interface came, went or changed.
 */
#ifndef SLUICE_SLUICED_DISCOVER_H
#define SLUICE_SLUICED_DISCOVER_H

#include "sluiced.h"

struct discover;
struct tenant;

int discover_new(struct sluiced *sluiced, struct discover **ret);
/* NULL is fine. Tenants stay. */
void discover_free(struct discover *discover);
/* Looks at every namespace again, soon: the rules have changed. */
void discover_apply(struct discover *discover);
/* A tenant was attached by command: its namespace is watched from now on. */
void discover_tenant(struct discover *discover, const struct tenant *tenant);

#endif
