/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where connections to services are made from: the management namespace and its source address. A
 * namespace that is made anew under its name is followed; the one before, which is nobody's then,
 * is let go.
 */
#ifndef SLUICE_SLUICED_MANAGEMENT_H
#define SLUICE_SLUICED_MANAGEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/conf.h"
#include "sluiced.h"

struct management {
	struct sluiced *sluiced;
	char *name; /* of the namespace; NULL: our own */
	int netns;  /* -1: our own */
	uint64_t inode;
	struct conf_address source; /* family 0: none */
	struct loop_timer look;
};

void management_init(struct management *management, struct sluiced *sluiced);
void management_free(struct management *management);

/* Opens what the configuration names; -errno and *ret_why (malloc'd) when it is not there, and what
 * is in use stays. */
int management_apply(struct management *management, const struct conf_management *wanted,
		     char **ret_why);
/* A socket of there, or -errno. */
int management_socket(const struct management *management, int family);

#endif
