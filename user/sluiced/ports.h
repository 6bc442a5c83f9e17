/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which port bindings there shall be: the operator's file, and over it what "sluice port set" said,
 * kept in a file of our own. What has expired is left out. The result goes to binder.c.
 *
 *   bindings.file ──▶ ports_file.c ─┐
 *   port set, del ──▶ said ─────────┴▶ merged ──▶ binder.c   STORE/ports
 */
#ifndef SLUICE_SLUICED_PORTS_H
#define SLUICE_SLUICED_PORTS_H

#include <jansson.h>

#include "../lib/binding.h"
#include "sluiced.h"

struct ports;

/* Reads what there is; refuses what is wrong and has no good predecessor. */
int ports_new(struct sluiced *sluiced, struct ports **ret, char **ret_why);
void ports_free(struct ports *ports);
/* Brings it into force; tenants and workers of an earlier parent have been taken over. */
void ports_begin(struct ports *ports);
/* The configuration may name another file now. */
void ports_reload(struct ports *ports);

/*
 * Takes binding over; it stands above the file's of the same tenant and MAC. 0, -ENOSPC (then
 * limits.bindings is reached) or -errno of writing the store, after which nothing has changed.
 */
int ports_set(struct ports *ports, struct binding *binding);
/* -ENOENT: there is none; -EPERM: it stands in the operator's file. */
int ports_del(struct ports *ports, const char *tenant, const uint8_t mac[6]);

/* For "port list"; tenant and mac may be NULL: all. And the object of "status". NULL: no memory. */
json_t *ports_list(struct ports *ports, const char *tenant, const uint8_t *mac);
json_t *ports_report(const struct ports *ports);

#endif
