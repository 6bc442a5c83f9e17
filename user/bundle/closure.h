/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which packages an item needs: asked of apt itself, which resolves against the dpkg status of the
 * base, with lists, caches and archives in a directory of ours. Nothing of this machine's apt
 * changes. Packages come from this machine's sources, from directories of .debs, or both.
 */
#ifndef BUNDLE_CLOSURE_H
#define BUNDLE_CLOSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bundle_error;
struct closure;
struct definition;
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

/* work is a directory of ours; its apt/ is made. Reads the lists: may take a while. */
int closure_open(const struct definition *definition, const char *work,
		 struct closure **ret_closure, struct bundle_error *error);
void closure_close(struct closure *closure);
/* The closure of one item, downloaded. */
int closure_resolve(struct closure *closure, const struct definition_item *item,
		    struct closure_result *ret_result, struct bundle_error *error);
void closure_result_free(struct closure_result *result);
/* Path of the status that was resolved against. */
const char *closure_status(const struct closure *closure);

#endif
