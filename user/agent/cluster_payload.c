/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An item's payload, onto this machine and away again: a tarball and a container image here,
 * packages by cluster_packages.c. What is about to be added is in the journal before.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fault.h"
#include "../lib/file.h"

#define UNPACK_TIMEOUT 3600
/* containerd's namespace, by the variable that ctr itself reads: steps see the same. */
#define NAMESPACE	  "CONTAINERD_NAMESPACE"
#define NAMESPACE_DEFAULT "default"
#define LAYOUT		  "{\"imageLayoutVersion\": \"1.0.0\"}\n"
#define OCI_MANIFEST	  "application/vnd.oci.image.manifest.v1+json"

/* What takes as long as the payload is large. */
static int run_long(struct outcome *outcome, const char *const *argv)
{
	struct exec exec = { .argv = argv, .timeout = UNPACK_TIMEOUT, .input = -1 };
	const char *log = outcome->log, *line = log;
	int status;

	outcome->log[0] = '\0';
	status = exec_run(&exec, outcome);
	if (status <= 0)
		return status;
	if (status > 128)
		return outcome_fail(outcome, -EIO, "%s was killed (signal %d)", argv[0],
				    status - 128);
	for (const char *c = log; *c; c++)
		if (*c == '\n' && c[1])
			line = c + 1;
	return outcome_fail(outcome, -EIO, "%s: %.*s", argv[0], (int)strcspn(line, "\n"), line);
}

/* ---- a tarball ---- */

static int install_tarball(struct work *work)
{
	char blob[CLUSTER_PATH_MAX], next[CLUSTER_PATH_MAX];
	const char *target = work->item->target;
	const char *const unpack[] = { "tar",	 "--extract", "--auto-compress", "--no-same-owner",
				       "--file", blob,	      "--directory",	 next,
				       NULL };
	struct stat status;
	int err;

	/* A directory of somebody else is not taken over. */
	if (!lstat(target, &status) &&
	    !journal_has(work->node, work->item->name, "directory", target))
		return outcome_fail(&work->outcome, -EEXIST,
				    "%s is there and was not made by this item", target);
	err = journal_add(work->node, work->item->name, "directory", target, "", 0);
	if (err)
		return err;
	node_blob_path(work->node, work->item->tarball.digest, "", blob);
	snprintf(next, sizeof(next), "%s.sluice-new", target);
	err = exec_words(&work->outcome, "rm", "-rf", "--", next, NULL);
	if (!err)
		err = file_make_directories(next, 0755);
	if (!err)
		err = run_long(&work->outcome, unpack);
	fault_point("tarball-unpacked");
	if (!err)
		err = exec_words(&work->outcome, "rm", "-rf", "--", target, NULL);
	fault_point("tarball-cleared");
	if (!err && rename(next, target))
		err = outcome_fail(&work->outcome, -errno, "%s: %s", target, strerror(errno));
	return err;
}

/* ---- a container image ---- */

/* An OCI layout of this image alone, named so that containerd knows it by its reference. */
static int make_layout(struct work *work, const char *directory)
{
	char path[2 * CLUSTER_PATH_MAX], *index = NULL;
	const struct bundle_item *item = work->item;
	int err = 0;

	for (size_t i = 0; i <= item->image_blobs_count && !err; i++) {
		const char *digest = i ? item->image_blobs[i - 1].digest : item->image.digest;

		snprintf(path, sizeof(path), "%s/blobs/sha256/%s", directory, digest);
		err = node_link_blob(work->node, digest, path);
	}
	snprintf(path, sizeof(path), "%s/oci-layout", directory);
	if (!err)
		err = file_write(path, LAYOUT, strlen(LAYOUT), 0644);
	if (!err && asprintf(&index,
			     "{\"schemaVersion\": 2, \"manifests\": [{\"mediaType\": \"%s\","
			     " \"digest\": \"sha256:%s\", \"size\": %llu, \"annotations\":"
			     " {\"io.containerd.image.name\": \"%s\"}}]}",
			     OCI_MANIFEST, item->image.digest, (unsigned long long)item->image.size,
			     item->reference) < 0)
		err = -ENOMEM;
	snprintf(path, sizeof(path), "%s/index.json", directory);
	if (!err)
		err = file_write(path, index, strlen(index), 0644);
	free(index);
	return err ? outcome_fail(&work->outcome, err, "%s: %s", directory, strerror(-err)) : 0;
}

static int install_image(struct work *work)
{
	char directory[CLUSTER_PATH_MAX], archive[CLUSTER_PATH_MAX + 8];
	const char *space = work_variable(NAMESPACE, work);
	const char *const pack[] = { "tar",	"--create",   "--file",	    archive, "--directory",
				     directory, "oci-layout", "index.json", "blobs", NULL };
	const char *import[] = { "ctr", "--namespace", NULL, "images", "import", archive, NULL };
	int err;

	import[2] = space = space && *space ? space : NAMESPACE_DEFAULT;
	node_path(work->node, "image", directory);
	snprintf(archive, sizeof(archive), "%s.tar", directory);
	err = exec_words(&work->outcome, "rm", "-rf", "--", directory, archive, NULL);
	if (!err)
		err = make_layout(work, directory);
	fault_point("image-laid-out");
	if (!err)
		err = journal_add(work->node, work->item->name, "image", work->item->reference,
				  space, strlen(space));
	if (!err)
		err = run_long(&work->outcome, pack);
	fault_point("image-packed");
	if (!err)
		err = run_long(&work->outcome, import);
	fault_point("image-imported");
	if (!err)
		err = exec_words(&work->outcome, "rm", "-rf", "--", directory, archive, NULL);
	return err;
}

int payload_install(struct work *work)
{
	switch (work->item->type) {
	case BUNDLE_DEB:
		return packages_install(work);
	case BUNDLE_TARBALL:
		return install_tarball(work);
	case BUNDLE_IMAGE:
		return install_image(work);
	default:
		return outcome_fail(&work->outcome, -EPROTO, "this agent is too old for the item");
	}
}

/* ---- away again ---- */

static int remove_directory(struct node *node, const char *name, const void *value, size_t len,
			    void *arg)
{
	return exec_words(arg, "rm", "-rf", "--", name, NULL);
}

static int remove_image(struct node *node, const char *name, const void *value, size_t len,
			void *arg)
{
	char space[80];

	snprintf(space, sizeof(space), "%.*s", (int)len, (const char *)value);
	return exec_words(arg, "ctr", "--namespace", *space ? space : NAMESPACE_DEFAULT, "images",
			  "rm", "--sync", name, NULL);
}

int payload_remove(struct node *node, const char *item, struct outcome *outcome)
{
	int err = journal_undo(node, item, "image", remove_image, outcome);

	fault_point("images-removed");
	if (!err)
		err = journal_undo(node, item, "directory", remove_directory, outcome);
	fault_point("directories-removed");
	if (!err)
		err = packages_purge(node, item, outcome);
	if (!err)
		err = journal_drop(node, item, "image");
	return err ? err : journal_drop(node, item, "directory");
}
