/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet filter's ruleset of the current namespace: read as JSON, changed by commands. */
#ifndef SLUICE_GATE_RULESET_H
#define SLUICE_GATE_RULESET_H

#include <jansson.h>
#include <stdint.h>

#define RULESET_WHY_MAX 256
#define RULESET_TRIES	5 /* while others change it */

/* The number of the ruleset; every transaction raises it. 0 or -errno. */
int ruleset_generation(uint32_t *ret);
/*
 * The objects of "nft -j list ruleset" (libnftables-json(5)): a new reference, or NULL with why,
 * unless that is NULL. Of a table with flags there are its chains and rules alone.
 */
json_t *ruleset_list(char why[RULESET_WHY_MAX]);
/* Runs nft(8) commands as one transaction. 0 or -errno with why, unless that is NULL. */
int ruleset_change(const char *commands, char why[RULESET_WHY_MAX]);

#endif
