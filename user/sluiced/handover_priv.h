/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What handover.c collects for handover_save.c. Nobody else includes this.
 */
#ifndef SLUICE_SLUICED_HANDOVER_PRIV_H
#define SLUICE_SLUICED_HANDOVER_PRIV_H

#include <stddef.h>
#include <sys/types.h>

#include "handover.h"
#include "state.h"

/* Numbers alone, with room for so many tenants, which are borrowed; NULL when memory is out. */
struct state *handover_collect(struct sluiced *sluiced, size_t room);
/* Workers and their generations, too. 0 or -errno. */
int handover_collect_workers(struct sluiced *sluiced, struct state *state);
void handover_release(struct state *state);
/* 0 or -errno. */
int handover_write_at(int fd, const char *text, size_t len, off_t at);

#endif
