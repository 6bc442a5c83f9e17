/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What bundles before this one left in the node's directory. It stays until the document is carried
 * out, since much of it may be in the next bundle as well; what the manifest names stays for peers,
 * and for the next time.
 */
#include "cluster.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/log.h"

#define RETRY_MS 60000

static bool settled(struct node *node, const json_t *desired)
{
	struct journal_item known;
	bool there =
		journal_item(node, json_string_value(json_object_get(desired, "name")), &known);

	if (!strcmp(json_string_value(json_object_get(desired, "action")), "uninstall"))
		return !there || !strcmp(known.state, "removed");
	return there && !strcmp(known.state, "healthy") &&
	       !strcmp(known.id, json_string_value(json_object_get(desired, "id"))) &&
	       !strcmp(known.run, json_string_value(json_object_get(desired, "run")));
}

/* Blobs, whole or begun ("HEX.partial"), that are not in named. */
static void drop_blobs(const struct node *node, const json_t *named)
{
	char path[CLUSTER_PATH_MAX], hex[NAME_DIGEST_LEN + 1];
	unsigned dropped = 0;
	struct dirent *entry;
	DIR *directory;

	node_path(node, "bundle/blobs/sha256", path);
	directory = opendir(path);
	while (directory && (entry = readdir(directory))) {
		snprintf(hex, sizeof(hex), "%.*s", NAME_DIGEST_LEN, entry->d_name);
		if (name_hex_valid(hex, NAME_DIGEST_LEN) && !json_object_get(named, hex))
			dropped += !unlinkat(dirfd(directory), entry->d_name, 0);
	}
	if (directory)
		closedir(directory);
	if (dropped)
		log_info("%u files of bundles before this one are removed", dropped);
}

static int drop_entry(const char *path, const struct stat *status, int type, struct FTW *at)
{
	remove(path);
	return 0;
}

/* Links to blobs, in the order of a package repository (cluster_packages.c). */
static void drop_trees(const struct node *node, const char *manifest)
{
	char path[CLUSTER_PATH_MAX], keep[64];
	struct dirent *entry;
	DIR *directory = opendir(node->directory);

	snprintf(keep, sizeof(keep), "tree-%.16s", manifest);
	while (directory && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "tree-", 5) != 0 || !strcmp(entry->d_name, keep))
			continue;
		node_path(node, entry->d_name, path);
		nftw(path, drop_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	}
	if (directory)
		closedir(directory);
}

static json_t *names_of(const struct bundle *bundle, const char *digest)
{
	const struct bundle_manifest *manifest = bundle_manifest(bundle);
	json_t *named = json_object();
	int err = json_object_set_new(named, digest, json_true());

	for (size_t i = 0; i < manifest->blobs_count && !err; i++)
		err = json_object_set_new(named, manifest->blobs[i].digest, json_true());
	if (!err)
		return named;
	json_decref(named);
	return NULL;
}

bool node_tidy(struct node *node, const json_t *document)
{
	static int64_t next; /* one that cannot be read may be large */
	struct outcome *outcome;
	struct bundle *bundle;
	struct bundle_blob blob;
	const json_t *desired;
	json_t *named = NULL;
	int err = -ENOMEM;
	size_t i;

	json_array_foreach (json_object_get(document, "items"), i, desired)
		if (!settled(node, desired))
			return false;
	if (clock_ms(CLOCK_MONOTONIC) < next)
		return false;
	outcome = calloc(1, sizeof(*outcome));
	/*
	 * Without its bundle nothing is known of what is of use. Held, so that nothing of the next
	 * is there: its manifest is brought under the same lock, its blobs by this thread.
	 */
	if (outcome)
		err = node_hold_bundle(node, document, &bundle, outcome);
	if (!err) {
		bundle_manifest_json(bundle, &blob);
		named = names_of(bundle, blob.digest);
		if (named) {
			drop_blobs(node, named);
			drop_trees(node, blob.digest);
		} else {
			err = -ENOMEM;
		}
		node_let_bundle_go(bundle);
	}
	json_decref(named);
	free(outcome);
	/* Where another is, its own document comes, or nothing does. */
	if (!err || err == -ESTALE)
		return true;
	next = clock_ms(CLOCK_MONOTONIC) + RETRY_MS;
	return false;
}
