/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the database against the blobs and the published trees, and repairs what can be
 * repaired without guessing: what could not be looked at, or changes all the time, is reported and
 * stays, and nothing is repaired by a damaged database. Used by the API while the daemon runs and
 * by "sluice-repod --fsck" when it does not.
 */
#ifndef REPO_FSCK_H
#define REPO_FSCK_H

#include <jansson.h>
#include <stdbool.h>

#include "db.h"
#include "problem.h"
#include "store.h"

/*
 * Returns {"checked": {…}, "problems": [{"what", "subject", "repaired"}]}; NULL and
 * *problem when the check itself failed.
 */
json_t *fsck_run(struct db *db, struct store *store, const char *who, bool repair,
		 struct problem *problem);

#endif
