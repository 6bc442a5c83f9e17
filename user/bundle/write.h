/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes containers: the tar of docs/bundle.md, in one file or in parts, there whole or not at all.
 */
#ifndef BUNDLE_WRITE_H
#define BUNDLE_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/bundle.h"

struct write_request {
	struct bundle *bundle; /* what is written */
	const char *path;
	uint64_t part; /* bytes of a part; 0: one file */
	bool replace;  /* an older bundle of this name goes when parts come */
	/* Blobs that are left out (a delta); NULL: none. */
	bool (*skip)(const char *digest, void *arg);
	void *arg;
	bundle_progress *progress; /* may be NULL */
	void *progress_arg;
};

/* *ret_parts: how many files; 1: path itself, more: path.001 and so on. */
int write_bundle(const struct write_request *request, unsigned *ret_parts,
		 struct bundle_error *error);
/* The same for one item's image: an OCI archive with nothing else in it. To fd. */
int write_image(struct bundle *bundle, const struct bundle_item *item, int fd,
		struct bundle_error *error);
/* How large the container of all blobs that are not skipped will be. */
uint64_t write_size(const struct write_request *request);

#endif
