/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bundle in the making: a directory WORK/layout that becomes an OCI layout, and the manifest's
 * JSON. Blobs are hard links where they can be, in the order in which they are named here.
 */
#ifndef BUNDLE_STAGE_H
#define BUNDLE_STAGE_H

#include <jansson.h>

#include "../lib/bundle.h"

struct stage {
	char *path;    /* WORK/layout */
	int dir;       /* of it */
	json_t *blobs; /* the manifest's list */
	json_t *seen;  /* digest: true */
};

int stage_open(const char *work, struct stage *ret_stage, struct bundle_error *error);
void stage_close(struct stage *stage);
/* Takes a file in; *ret_blob says what it is. Listed once, when list. */
int stage_file(struct stage *stage, const char *path, bool list, struct bundle_blob *ret_blob,
	       struct bundle_error *error);
/* {"sha256": …, "size": …} */
json_t *stage_blob_json(const struct bundle_blob *blob);
/*
 * Writes manifest (with "blobs" added), OCI manifest and index.json, signed by keys (private, PEM).
 * Then WORK/layout is a bundle.
 */
int stage_finish(struct stage *stage, json_t *manifest, char *const *keys, size_t keys_count,
		 struct bundle_error *error);

#endif
