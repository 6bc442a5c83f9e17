/* SPDX-License-Identifier: BSD-2-Clause */
/* The signed apt tree inside a bundle: pool/, dists/ and key.gpg below WORK/tree. */
#ifndef BUNDLE_TREE_H
#define BUNDLE_TREE_H

#include <jansson.h>
#include <stdint.h>

struct bundle_error;
struct gpg;
struct stage;

#define TREE_SUITE     "stable"
#define TREE_COMPONENT "main"

/* Makes WORK/tree with an empty pool/. */
int tree_open(const char *work, struct bundle_error *error);
/* Links a package in; the same file twice is once. -EEXIST: another one has this name. */
int tree_add(const char *work, const char *path, const char *filename, struct bundle_error *error);
/*
 * Writes and signs the indices, all dated when, and takes the tree's files but the packages into
 * the stage; *ret_apt is the manifest's "apt", with the packages too.
 */
int tree_finish(const char *work, const char *architecture, uint64_t when, struct gpg *gpg,
		struct stage *stage, json_t **ret_apt, struct bundle_error *error);

#endif
