/* SPDX-License-Identifier: BSD-2-Clause */
/* What every handler of sluice-repod reaches: made by repod.c before the first request,
 * constant afterwards. */
#ifndef REPO_REPOD_H
#define REPO_REPOD_H

#include <stdatomic.h>

#include "db.h"
#include "settings.h"
#include "store.h"

struct jobs;
struct publisher;
struct waiters;

struct repod {
	struct settings *settings;
	struct db *db;
	struct store *store;
	/* Finishing uploads, publishing and fsck take minutes at times, and many of them at once
	 * must not keep a token from being revoked. */
	struct jobs *jobs, *slow_jobs;
	struct publisher *publisher;
	struct waiters *waiters;
	atomic_bool stopping;
	atomic_uint_fast64_t uploads_refused; /* since the start, for limits.uploads */
};

#endif
