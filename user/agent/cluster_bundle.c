/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DIR/bundle, a bundle in directory form: its index and manifest come from the control machine
 * here, its blobs by cluster_fetch.c. It is opened anew by whoever needs it, signature and all.
 */
#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/digest.h"
#include "../lib/file.h"

#define LAYOUT "{\"imageLayoutVersion\": \"1.0.0\"}\n"

void node_blob_path(const struct node *node, const char *digest, const char *suffix, char *ret_path)
{
	char name[128];

	snprintf(name, sizeof(name), "bundle/blobs/sha256/%s%s", digest, suffix);
	node_path(node, name, ret_path);
}

int node_link_blob(const struct node *node, const char *digest, const char *path)
{
	char from[CLUSTER_PATH_MAX], directory[CLUSTER_PATH_MAX];
	struct stat blob, have;
	int err;

	node_blob_path(node, digest, "", from);
	if (stat(from, &blob))
		return -errno;
	if (!lstat(path, &have) && have.st_ino == blob.st_ino)
		return 0;
	snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path), path);
	err = file_make_directories(directory, 0755);
	if (!err && unlink(path) && errno != ENOENT)
		err = -errno;
	if (!err && link(from, path))
		err = -errno;
	return err;
}

/* Two threads bring it: who installs, too, looks at what stays as it is. */
static pthread_mutex_t bundle_lock = PTHREAD_MUTEX_INITIALIZER;

static int open_here(struct node *node, const json_t *document, struct bundle **ret_bundle,
		     struct outcome *outcome)
{
	const char *digest = json_string_value(json_object_get(document, "manifest"));
	char path[CLUSTER_PATH_MAX], *name = journal_get(node, "bundle_name");
	struct bundle_trust trust = { .keys = node->publishers,
				      .name = name && *name ? name : NULL,
				      .least = (uint64_t)journal_number(node, "bundle_version") };
	const char *paths[1] = { path };
	struct bundle_error error = { "", "" };
	struct bundle_blob blob;
	int err;

	node_path(node, "bundle", path);
	err = bundle_open(paths, 1, &trust, ret_bundle, &error);
	free(name);
	if (err)
		return outcome_fail(outcome, err, "%s", error.text);
	bundle_manifest_json(*ret_bundle, &blob);
	if (!strcmp(blob.digest, digest))
		return 0;
	bundle_close(*ret_bundle);
	*ret_bundle = NULL;
	return outcome_fail(outcome, -ESTALE, "another bundle is here than the one to install");
}

int node_hold_bundle(struct node *node, const json_t *document, struct bundle **ret_bundle,
		     struct outcome *outcome)
{
	int err;

	pthread_mutex_lock(&bundle_lock);
	err = open_here(node, document, ret_bundle, outcome);
	if (err)
		pthread_mutex_unlock(&bundle_lock);
	return err;
}

void node_let_bundle_go(struct bundle *bundle)
{
	bundle_close(bundle);
	pthread_mutex_unlock(&bundle_lock);
}

int node_bundle(struct node *node, const json_t *document, struct bundle **ret_bundle,
		struct outcome *outcome)
{
	int err = node_hold_bundle(node, document, ret_bundle, outcome);

	if (!err)
		pthread_mutex_unlock(&bundle_lock);
	return err;
}

static int bring_index(struct node *node, struct outcome *outcome)
{
	char path[CLUSTER_PATH_MAX], url[160], paths[3][CLUSTER_PATH_MAX], *index = NULL, *why;
	struct http http;
	long status;
	int err;

	node_path(node, "bundle/blobs/sha256", path);
	err = file_make_directories(path, 0755);
	if (err)
		return outcome_fail(outcome, err, "%s: %s", path, strerror(-err));
	node_http(node, &http, paths);
	snprintf(url, sizeof(url), "%s/v1/index", node->server);
	status = http_call(&http, url, NULL, &index, &why);
	if (status != 200 || !index) {
		err = outcome_fail(outcome, -ECONNRESET, "the bundle's index: %s",
				   why ? why : "the control machine has none");
		free(index);
		free(why);
		return err;
	}
	node_path(node, "bundle/oci-layout", path);
	err = file_write(path, LAYOUT, strlen(LAYOUT), 0644);
	node_path(node, "bundle/index.json", path);
	if (!err)
		err = file_write(path, index, strlen(index), 0644);
	free(index);
	if (err)
		return outcome_fail(outcome, err, "%s: %s", path, strerror(-err));
	return 0;
}

static int arrived(uint64_t bytes, void *arg)
{
	const struct node *node = arg;

	return node->ending;
}

/* A manifest's size is not known before it is here; its digest is. */
static int bring_manifest(struct node *node, const char *digest, struct outcome *outcome)
{
	char url[160], path[CLUSTER_PATH_MAX], hex[NAME_DIGEST_LEN + 1], *why = NULL;
	char paths[3][CLUSTER_PATH_MAX];
	uint64_t size;
	struct http http;
	long status = -1;
	int fd, err;

	node_http(node, &http, paths);
	node_blob_path(node, digest, "", path);
	snprintf(url, sizeof(url), "%s/v1/blob/%s", node->server, digest);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	err = fd < 0 ? -errno : 0;
	if (!err)
		status = http_fetch(&http, url, fd, 0, arrived, node, &why);
	if (!err && status != 200)
		err = outcome_fail(outcome, -ECONNRESET, "the manifest: %s",
				   why ? why : "the control machine does not have it");
	if (!err)
		err = digest_file(fd, hex, &size);
	if (!err && (strcmp(hex, digest) != 0 || fsync(fd)))
		err = outcome_fail(outcome, -EBADMSG,
				   "the manifest is not the one that was announced");
	if (fd >= 0)
		close(fd);
	free(why);
	return err;
}

/* From now on this is the bundle, and no older one: whatever the control machine says. */
static int remember(struct node *node, const struct bundle *bundle, struct outcome *outcome)
{
	const struct bundle_manifest *manifest = bundle_manifest(bundle);
	char version[24];
	int err;

	if ((uint64_t)journal_number(node, "bundle_version") >= manifest->version)
		return 0;
	snprintf(version, sizeof(version), "%llu", (unsigned long long)manifest->version);
	err = journal_set(node, "bundle_name", manifest->name);
	if (!err)
		err = journal_set(node, "bundle_version", version);
	return err ? outcome_fail(outcome, err, "the journal cannot be written: %s", strerror(-err))
		   : 0;
}

int node_bring_bundle(struct node *node, const json_t *document, struct bundle **ret_bundle,
		      struct outcome *outcome)
{
	const char *digest = json_string_value(json_object_get(document, "manifest"));
	int err;

	pthread_mutex_lock(&bundle_lock);
	err = open_here(node, document, ret_bundle, outcome);
	if (err) {
		err = bring_index(node, outcome);
		if (!err)
			err = bring_manifest(node, digest, outcome);
		if (!err)
			err = open_here(node, document, ret_bundle, outcome);
	}
	if (!err && (err = remember(node, *ret_bundle, outcome))) {
		bundle_close(*ret_bundle);
		*ret_bundle = NULL;
	}
	pthread_mutex_unlock(&bundle_lock);
	return err;
}
