/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directory in which port bindings outlast the daemon: files of ours, by name, in the format
 * of the operator's. It stands only while there is something in it.
 */
#ifndef SLUICE_SLUICED_PORTS_STORE_H
#define SLUICE_SLUICED_PORTS_STORE_H

#include <limits.h>

#include "sluiced.h"

struct binding_list;

struct ports_store {
	char dir[PATH_MAX - 16];
};

/* Where the configuration in force wants it; makes nothing. */
void ports_store_init(struct ports_store *store, const struct sluiced *sluiced);
/* Writes a file anew; an empty list removes it. 0 or -errno. */
int ports_store_save(const struct ports_store *store, const char *name,
		     const struct binding_list *list);
/* A file that is not there is an empty list. 0, or -errno with *ret_why (malloc'd, may be NULL). */
int ports_store_load(const struct ports_store *store, const char *name, struct binding_list *ret,
		     char **ret_why);

#endif
