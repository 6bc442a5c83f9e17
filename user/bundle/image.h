/* SPDX-License-Identifier: BSD-2-Clause */
/* Container images of items: skopeo reads them from wherever they are. */
#ifndef BUNDLE_IMAGE_H
#define BUNDLE_IMAGE_H

#include <jansson.h>
#include <stdint.h>

struct bundle_error;
struct definition_item;
struct stage;

/*
 * Takes an image's blobs into the stage; *ret_image is the manifest's "image" and *ret_size what
 * its blobs weigh. number makes names in work unique.
 */
int image_add(const char *work, unsigned number, const struct definition_item *item,
	      const char *architecture, struct stage *stage, json_t **ret_image, uint64_t *ret_size,
	      struct bundle_error *error);

#endif
