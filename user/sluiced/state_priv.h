/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What state_parts.c reads for state.c, and the bounds of both. Nobody else includes this.
 */
#ifndef SLUICE_SLUICED_STATE_PRIV_H
#define SLUICE_SLUICED_STATE_PRIV_H

#include "state.h"

#define FD_MAX_VALUE 1048576

/* An integer within bounds, or least and *bad. */
int64_t state_bounded(json_int_t value, json_int_t least, json_int_t most, bool *bad);

#define U32(value, bad) ((uint32_t)state_bounded(value, 0, UINT32_MAX, bad))
#define U64(value, bad) ((uint64_t)state_bounded(value, 0, LLONG_MAX, bad))
#define FD(value, bad)	((int)state_bounded(value, -1, FD_MAX_VALUE, bad))

/* Copies a text with its NUL, or says that it has no room. */
bool state_text_fits(char *ret, size_t size, const char *text);

/* False: it is not what the writer writes; *ret may then be half filled. */
bool state_read_generation(json_t *object, struct state_generation *ret);
bool state_read_worker(json_t *object, struct state_worker *ret);
/* NULL: likewise, or memory is out. */
struct tenant *state_read_tenant(json_t *object);
/* NULL is fine; closes nothing. */
void state_free_tenant(struct tenant *tenant);

#endif
