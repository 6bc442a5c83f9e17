/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Living with the packet filter of a namespace. Where it tracks or translates connections, the
 * packets that steer hands to a listener, and the answers, are kept from that by a table of our
 * own; where a chain they pass drops by policy, one rule accepts them. Both know these packets by
 * SL_MARK and nothing else. A namespace without such rules is left alone.
 */
#ifndef SLUICE_GATE_NOTRACK_H
#define SLUICE_GATE_NOTRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "ruleset.h"

#define NOTRACK_WHY_MAX RULESET_WHY_MAX

struct notrack {
	bool needed;	     /* packets are marked, the table is there */
	uint32_t generation; /* of the ruleset that this was decided for; 0: not yet */
};

/*
 * In the tenant's namespace: looks at the ruleset if it is another one than last time, and puts
 * down, adds to or takes away what is ours. tag tells gates of one namespace apart. 0 or -errno
 * with why; -EAGAIN: others change it all the while; -EACCES: all is done but for a chain that
 * drops and that nobody may add to.
 */
int notrack_update(struct notrack *notrack, uint32_t tag, char why[NOTRACK_WHY_MAX]);
/*
 * In the tenant's namespace, which has what marked packets need: is it still whole? 1, 0 with what
 * is missing, -EACCES with what only the owner of its table can add, or another -errno.
 */
int notrack_check(uint32_t tag, char missing[NOTRACK_WHY_MAX]);
/* In the tenant's namespace: removes all of it, also what another daemon left for the tag. */
void notrack_remove(struct notrack *notrack, uint32_t tag);

#endif
