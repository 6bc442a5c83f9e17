/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of sluice-bundle pull share. */
#ifndef BUNDLE_PULL_H
#define BUNDLE_PULL_H

#include "cli.h"

#define PULL_BLOBS    "blobs/sha256"
#define PULL_PARTIAL  "partial"
#define PULL_PATH_LEN (sizeof(PULL_BLOBS) + NAME_DIGEST_LEN + 1)
#define PULL_CHUNK    (256 * 1024) /* read from the source at once */

struct pull {
	struct cli *cli;
	struct bundle *bundle;
	int dir;
	struct cli_bar bar;
	struct bundle_error error;
	uint64_t fetched, kept, resumed; /* bytes */
	unsigned blobs_fetched, blobs_kept;
	bool *there; /* by blob */
};

/* Is the blob there, and right? One that is not right is removed. */
bool pull_has(struct pull *pull, const struct bundle_blob *blob);
/* Brings one that is not; buffer has PULL_CHUNK bytes. 0, or -errno with pull->error. */
int pull_fetch(struct pull *pull, const struct bundle_blob *blob, uint8_t *buffer);

#endif
