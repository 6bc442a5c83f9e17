/* SPDX-License-Identifier: BSD-2-Clause */
/* The manifest's JSON of one item, from its definition and what became of its payload. */
#ifndef BUNDLE_DESCRIBE_H
#define BUNDLE_DESCRIBE_H

#include <jansson.h>
#include <stdint.h>

struct definition_item;

/* payload is named "packages", "tarball" or "image"; both are taken. install may be NULL. */
json_t *describe_item(const struct definition_item *item, const char *version, uint64_t space,
		      const char *name, json_t *payload, json_t *install);

#endif
