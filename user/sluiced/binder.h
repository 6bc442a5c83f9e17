/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Brings a list of port bindings into force, so that no address ever meets the binding of who had
 * it before:
 *
 *   the guard forgets what changed ─▶ every worker resets what was opened under it, and says so
 *   ─▶ the guard lets the new ones in
 *
 * Which bindings there shall be is ports.c's business.
 */
#ifndef SLUICE_SLUICED_BINDER_H
#define SLUICE_SLUICED_BINDER_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/binding.h"
#include "sluiced.h"

struct binder;
struct tenant;
struct worker;

int binder_new(struct sluiced *sluiced, struct binder **ret);
void binder_free(struct binder *binder);

/*
 * Takes list over. The first one also puts right what an earlier parent left in the maps and with
 * its workers, which must have been adopted. A list that comes while another one is on its way is
 * next; only the latest of these counts.
 */
void binder_change(struct binder *binder, struct binding_list *list);

/* Whether anybody of the tenant is bound, or is about to be. */
bool binder_bound(const struct binder *binder, const char *tenant);
/* Whether this very binding is in force, as it stands. */
bool binder_holds(const struct binder *binder, const struct binding *binding);
bool binder_changing(const struct binder *binder);
size_t binder_count(const struct binder *binder);

/* A tenant's gate stands (its spec said whether it is bound); it goes. */
void binder_attached(struct binder *binder, struct tenant *tenant);
void binder_detached(struct binder *binder, const struct tenant *tenant);

/* A new worker, before it gets listeners. 0 or -errno. */
int binder_equip(struct binder *binder, struct worker *worker);
/* A worker has said PROTO_BOUND; one has ended. */
void binder_said(struct binder *binder, struct worker *worker, uint64_t serial);
void binder_look(struct binder *binder);

#endif
