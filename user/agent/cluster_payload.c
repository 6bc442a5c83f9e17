/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An item's payload, onto this machine and away again: a tarball and a container image here,
 * packages by cluster_packages.c. What is about to be added is in the journal before.
 */
#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fault.h"
#include "../lib/file.h"

/* containerd's namespace, by the variable that ctr itself reads: steps see the same. */
#define NAMESPACE	  "CONTAINERD_NAMESPACE"
#define NAMESPACE_DEFAULT "default"
#define LAYOUT		  "{\"imageLayoutVersion\": \"1.0.0\"}\n"
#define OCI_MANIFEST	  "application/vnd.oci.image.manifest.v1+json"

/* ---- trees ---- */

/* "/mnt/a\040b", as mountinfo has it, is "/mnt/a b". */
static void unescape(char *path)
{
	unsigned code;
	char *to = path;

	for (const char *at = path; *at; to++) {
		bool octal = *at == '\\' && strspn(at + 1, "01234567") >= 3;

		if (octal && sscanf(at + 1, "%3o", &code) == 1) {
			*to = (char)code;
			at += 4;
		} else {
			*to = *at++;
		}
	}
	*to = '\0';
}

/* What is mounted on path or below it is somebody else's: whoever removed path would empty that. */
static int check_mounts(const char *path, struct outcome *outcome)
{
	char *real = realpath(path, NULL), *line = NULL, at[CLUSTER_PATH_MAX];
	size_t len = real ? strlen(real) : 0, size = 0;
	FILE *mounts;
	int err = 0;

	if (!real)
		return errno == ENOENT
			       ? 0
			       : outcome_fail(outcome, -errno, "%s: %s", path, strerror(errno));
	mounts = fopen("/proc/self/mountinfo", "re");
	if (!mounts)
		err = outcome_fail(outcome, -errno, "/proc/self/mountinfo: %s", strerror(errno));
	while (!err && getline(&line, &size, mounts) > 0) {
		if (sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1)
			continue;
		unescape(at);
		if (!strncmp(at, real, len) && (!at[len] || at[len] == '/'))
			err = outcome_fail(
				outcome, -EBUSY,
				"%s is mounted in %s, which is to be removed: unmount it, "
				"then retry",
				at, path);
	}
	if (mounts)
		fclose(mounts);
	free(line);
	free(real);
	return err;
}

static int remove_tree(const char *path, struct outcome *outcome)
{
	int err = check_mounts(path, outcome);

	return err ? err : exec_long(outcome, "rm", "-rf", "--one-file-system", "--", path, NULL);
}

/* What the journal calls done is done also after a power loss. */
static int sync_tree(const char *path, struct outcome *outcome)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || syncfs(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err ? outcome_fail(outcome, err, "%s: %s", path, strerror(-err)) : 0;
}

/* ---- a tarball ---- */

static int unpack(struct work *work, const char *into)
{
	struct bundle_error error = { "", "" };
	struct bundle_unpacked unpacked;
	char blob[CLUSTER_PATH_MAX];
	int fd, err;

	node_blob_path(work->node, work->item->tarball.digest, "", blob);
	fd = open(blob, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return outcome_fail(&work->outcome, -errno, "%s: %s", blob, strerror(errno));
	err = bundle_untar(fd, into, work->item->needs.space, &unpacked, &error);
	close(fd);
	return err ? outcome_fail(&work->outcome, err, "%s: %s", work->item->target, error.text)
		   : sync_tree(into, &work->outcome);
}

static int install_tarball(struct work *work)
{
	const char *target = work->item->target;
	char next[CLUSTER_PATH_MAX];
	struct stat status;
	int err;

	/* A directory of somebody else is not taken over. */
	if (!lstat(target, &status) &&
	    !journal_has(work->node, work->item->name, "directory", target))
		return outcome_fail(&work->outcome, -EEXIST,
				    "%s is there and was not made by this item", target);
	err = check_mounts(target, &work->outcome);
	if (!err)
		err = journal_add(work->node, work->item->name, "directory", target, "", 0);
	if (err)
		return err;
	snprintf(next, sizeof(next), "%s.sluice-new", target);
	err = remove_tree(next, &work->outcome);
	if (!err)
		err = file_make_directories(next, 0755);
	if (!err)
		err = unpack(work, next);
	fault_point("tarball-unpacked");
	/* Again: unpacking takes its time. */
	if (!err)
		err = check_mounts(target, &work->outcome);
	if (!err)
		err = undo_keep(work);
	if (!err)
		err = remove_tree(target, &work->outcome);
	fault_point("tarball-cleared");
	if (!err && rename(next, target))
		err = outcome_fail(&work->outcome, -errno, "%s: %s", target, strerror(errno));
	return err ? err : file_sync_directory(target);
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
	struct outcome *outcome = &work->outcome;
	int err;

	space = space && *space ? space : NAMESPACE_DEFAULT;
	node_path(work->node, "image", directory);
	snprintf(archive, sizeof(archive), "%s.tar", directory);
	err = exec_long(outcome, "rm", "-rf", "--", directory, archive, NULL);
	if (!err)
		err = make_layout(work, directory);
	fault_point("image-laid-out");
	if (!err)
		err = journal_add(work->node, work->item->name, "image", work->item->reference,
				  space, strlen(space));
	if (!err)
		err = exec_long(outcome, "tar", "--create", "--file", archive, "--directory",
				directory, "oci-layout", "index.json", "blobs", NULL);
	fault_point("image-packed");
	if (!err)
		err = undo_keep(work);
	if (!err)
		err = exec_long(outcome, "ctr", "--namespace", space, "images", "import", archive,
				NULL);
	fault_point("image-imported");
	if (!err)
		err = exec_long(outcome, "rm", "-rf", "--", directory, archive, NULL);
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
	return remove_tree(name, arg);
}

static int remove_image(struct node *node, const char *name, const void *value, size_t len,
			void *arg)
{
	char space[80];

	snprintf(space, sizeof(space), "%.*s", (int)len, (const char *)value);
	return exec_long(arg, "ctr", "--namespace", *space ? space : NAMESPACE_DEFAULT, "images",
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
