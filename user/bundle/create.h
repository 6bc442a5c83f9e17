/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of sluice-bundle create share. */
#ifndef BUNDLE_CREATE_H
#define BUNDLE_CREATE_H

#include "cli.h"
#include "stage.h"

#define CREATE_KEY_MAX (64 * 1024)

struct apt;
struct closure_result;
struct definition;
struct definition_item;
struct gpg;

struct create_options {
	const char *output, *keys, *gpg_key, *base;
	uint32_t split;
};

struct create {
	struct cli *cli;
	const struct create_options *options;
	struct definition *definition;
	struct bundle_error error;
	char *output, folder[3200], work[3600];
	int lock;
	char *keys[CLI_LIST_MAX];
	int keys_count;
	uint64_t when;
	struct apt *apt;
	struct closure_result *results; /* as many as items */
	struct gpg *gpg;
	struct stage stage;
	json_t *manifest, *items;
};

/* ---- create_packages.c: 0, or -errno with create->error ---- */

/* The closures of all items, downloaded; nothing when no item has packages. */
int create_resolve(struct create *create);
/* Their tree, signed, and the base: into the manifest. */
int create_sign_packages(struct create *create);
/* An item's packages into the stage; *ret_json is what the manifest says of the item. */
int create_add_packages(struct create *create, const struct definition_item *item,
			const struct closure_result *result, json_t **ret_json);

#endif
