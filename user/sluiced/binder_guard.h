/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port bindings as the guard has them: entries of its map, under the namespace and L3 interface of
 * the tenant's gate. In which order lists come into force is binder.c's business. What fails is
 * logged here.
 */
#ifndef SLUICE_SLUICED_BINDER_GUARD_H
#define SLUICE_SLUICED_BINDER_GUARD_H

#include <stdbool.h>

#include "sluiced.h"

struct binding_list;
struct conf;
struct tenant;

/* Entries of the map for each machine that limits.bindings allows. */
#define BINDER_GUARD_KEYS 4

/* Takes what is in from, and not in the list kept (NULL: none), out of the map. */
void binder_guard_close(const struct sluiced *sluiced, const struct tenant *tenant,
			const struct binding_list *from, const struct binding_list *kept);
/* Puts what is in to, and not in the list had (NULL: none), into the map. */
void binder_guard_open(const struct sluiced *sluiced, const struct tenant *tenant,
		       const struct binding_list *to, const struct binding_list *had);
/* Only who is in the map gets in; or anybody. */
void binder_guard_enforce(const struct sluiced *sluiced, struct tenant *tenant, bool bound);
/* Takes out what an earlier parent left and list, which is to come, does not have. */
void binder_guard_sweep(const struct sluiced *sluiced, const struct binding_list *list);
/* Whether so many find room, with their addresses. */
bool binder_guard_fits(const struct conf *conf, const struct binding_list *list);

#endif
