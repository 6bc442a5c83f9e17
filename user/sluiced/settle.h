/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One namespace and its tenants: which interfaces it has, whom the "discover" rules of the
 * configuration make of them, and who of those that were there is to stay. When a namespace is to
 * be looked at is discover.c's business.
 */
#ifndef SLUICE_SLUICED_SETTLE_H
#define SLUICE_SLUICED_SETTLE_H

#include <stdbool.h>

#include "sluiced.h"

struct space;

/* Whether a rule or a tenant names it; the namespaces of others are not even looked into. */
bool settle_concerns(const struct sluiced *sluiced, const struct space *space);
/*
 * Brings the tenants of a namespace to what it holds. ns is its descriptor or -errno: why there is
 * none. 0 or -errno; of -ENOENT, -ESRCH and -EINVAL it is gone, and so are its tenants; -EAGAIN: it
 * changed under the look, and what was not seen may be there; else nothing has changed. *stream
 * becomes true when a tenant came or went whose bridge needs workers of its own: supervise_apply()
 * is the caller's.
 */
int settle_space(struct sluiced *sluiced, const struct space *space, int ns, bool *stream);

#endif
