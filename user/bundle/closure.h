/* SPDX-License-Identifier: BSD-2-Clause */
/* Which packages an item needs: asked of an apt of our own, which resolves and downloads them. */
#ifndef BUNDLE_CLOSURE_H
#define BUNDLE_CLOSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct apt;
struct bundle_error;
struct definition_item;

struct closure_package {
	char *name, *version, *architecture;
	char *path; /* of the .deb, in the work directory */
	uint64_t installed;
};

struct closure_result {
	struct closure_package *packages;
	size_t count;
	char **install; /* "name=version", as many as the item's packages */
	size_t install_count;
};

/* The closure of one item, downloaded. */
int closure_resolve(struct apt *apt, const struct definition_item *item,
		    struct closure_result *ret_result, struct bundle_error *error);
void closure_result_free(struct closure_result *result);

#endif
