/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A new program in the place of this one: same process, same listeners, same workers, which
 * then make way for the new program's own. Nothing happens until the new program has said that
 * it can read our state and the configuration.
 */
#ifndef SLUICE_SLUICED_UPGRADE_H
#define SLUICE_SLUICED_UPGRADE_H

#include <stdbool.h>

#include "sluiced.h"

/* Descriptor number of the state in the new program. */
#define UPGRADE_ENV "SLUICED_STATE_FD"
/* Where "--check-upgrade" finds the state. */
#define UPGRADE_CHECK_FD 3

struct upgrade;

/*
 * program: what to execute, from argv[0] or --upgrade-from; looked up now, because names may
 * mean something else later. argv is kept by reference and passed on.
 */
int upgrade_new(struct sluiced *sluiced, const char *program, char **argv, struct upgrade **ret);
void upgrade_free(struct upgrade *upgrade);

/* Begins: -EBUSY when one is under way, or -errno. The end is told in the log and below. */
int upgrade_begin(struct upgrade *upgrade);
bool upgrade_active(const struct upgrade *upgrade);
/* Why the last one failed, or NULL. */
const char *upgrade_failure(const struct upgrade *upgrade);
const char *upgrade_program(const struct upgrade *upgrade);

#endif
