/* SPDX-License-Identifier: BSD-2-Clause */
/* What the journal's files share. */
#ifndef AGENT_CLUSTER_JOURNAL_H
#define AGENT_CLUSTER_JOURNAL_H

#include "cluster.h"

/*
 * With the lock held: one statement, with count texts. ret may be NULL: the first column of the
 * first row, malloc'd. 0 or -errno.
 */
int journal_run(struct node *node, char **ret, const char *sql, unsigned count, ...);

#endif
