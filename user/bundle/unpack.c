/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-bundle unpack: what nodes install from. DIRECTORY gets apt/ (the signed tree, with the
 * packages of the items asked for), tarballs/ITEM/FILE and images/ITEM.tar (an OCI archive, which
 * "ctr images import" and skopeo read). Every byte is verified on the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "cli.h"
#include "file.h"
#include "write.h"

struct unpack {
	struct bundle *bundle;
	int dir;
	struct cli_bar bar;
	struct bundle_error error;
	bool *wanted; /* by item */
	unsigned files;
};

/* Opens PATH.partial for writing; the directories above are made. */
static int open_partial(struct unpack *unpack, const char *path, char partial[4096])
{
	int err, fd;

	snprintf(partial, 4096, "%.4000s.partial", path);
	err = file_make_parents(unpack->dir, path);
	if (err)
		return err;
	unlinkat(unpack->dir, partial, 0);
	fd = openat(unpack->dir, partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

static int close_partial(struct unpack *unpack, int fd, const char *partial, const char *path,
			 int err)
{
	if (!err && fsync(fd))
		err = bundle_failed(&unpack->error, -errno, "%s: %s", path, strerror(errno));
	if (close(fd) && !err)
		err = bundle_failed(&unpack->error, -errno, "%s: %s", path, strerror(errno));
	if (!err && renameat(unpack->dir, partial, unpack->dir, path))
		err = bundle_failed(&unpack->error, -errno, "%s: %s", path, strerror(errno));
	if (err)
		unlinkat(unpack->dir, partial, 0);
	else
		unpack->files++;
	return err;
}

static int put_blob(struct unpack *unpack, const char *path, const struct bundle_blob *blob)
{
	char partial[4096];
	int fd = open_partial(unpack, path, partial), err;

	if (fd < 0)
		return bundle_failed(&unpack->error, fd, "%s: %s", path, strerror(-fd));
	err = bundle_copy(unpack->bundle, blob->digest, fd, cli_bar_move, &unpack->bar,
			  &unpack->error);
	return close_partial(unpack, fd, partial, path, err);
}

static bool is_wanted(const struct unpack *unpack, const struct bundle_file *file)
{
	const struct bundle_manifest *manifest = bundle_manifest(unpack->bundle);

	if (strncmp(file->path, "pool/", 5) != 0)
		return true;
	for (size_t i = 0; i < manifest->items_count; i++)
		for (size_t j = 0; unpack->wanted[i] && j < manifest->items[i].packages_count; j++)
			if (!strcmp(manifest->items[i].packages[j].filename, file->path + 5))
				return true;
	return false;
}

static int put_tree(struct unpack *unpack)
{
	const struct bundle_manifest *manifest = bundle_manifest(unpack->bundle);
	char path[1100];
	bool any = false;
	int err = 0;

	for (size_t i = 0; i < manifest->items_count; i++)
		any |= unpack->wanted[i] && manifest->items[i].type == BUNDLE_DEB;
	for (size_t i = 0; any && !err && i < manifest->files_count; i++) {
		if (!is_wanted(unpack, &manifest->files[i]))
			continue;
		snprintf(path, sizeof(path), "apt/%s", manifest->files[i].path);
		err = put_blob(unpack, path, &manifest->files[i].blob);
	}
	return err;
}

static int put_item(struct unpack *unpack, const struct bundle_item *item)
{
	char path[NAME_MAX_LEN + NAME_FILENAME_MAX + 32], partial[4096];
	int fd, err;

	if (item->type == BUNDLE_TARBALL) {
		snprintf(path, sizeof(path), "tarballs/%s/%s", item->name, item->tarball_name);
		return put_blob(unpack, path, &item->tarball);
	}
	if (item->type != BUNDLE_IMAGE)
		return 0;
	snprintf(path, sizeof(path), "images/%s.tar", item->name);
	fd = open_partial(unpack, path, partial);
	if (fd < 0)
		return bundle_failed(&unpack->error, fd, "%s: %s", path, strerror(-fd));
	err = write_image(unpack->bundle, item, fd, &unpack->error);
	return close_partial(unpack, fd, partial, path, err);
}

static int choose(struct unpack *unpack, int argc, char **argv)
{
	const struct bundle_manifest *manifest = bundle_manifest(unpack->bundle);
	const struct bundle_item *item;

	unpack->wanted = calloc(manifest->items_count, sizeof(bool));
	if (!unpack->wanted)
		return bundle_failed(&unpack->error, -ENOMEM, "out of memory");
	for (size_t i = 0; !argc && i < manifest->items_count; i++)
		unpack->wanted[i] = true;
	for (int i = 0; i < argc; i++) {
		item = bundle_manifest_item(manifest, argv[i]);
		if (!item)
			return bundle_failed(&unpack->error, -ENOENT, "there is no item '%s'",
					     argv[i]);
		unpack->wanted[item - manifest->items] = true;
	}
	return 0;
}

static int unpack_all(struct unpack *unpack, struct cli *cli, int argc, char **argv)
{
	const struct bundle_manifest *manifest = bundle_manifest(unpack->bundle);
	char parents[4096];
	uint64_t total = 0;
	int err;

	snprintf(parents, sizeof(parents), "%.4000s/", argv[1]);
	err = file_make_parents(AT_FDCWD, parents);
	unpack->dir = err ? -1 : open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (unpack->dir < 0)
		return bundle_failed(&unpack->error, err ? err : -errno, "%s: %s", argv[1],
				     strerror(err ? -err : errno));
	err = choose(unpack, argc - 2, argv + 2);
	for (size_t i = 0; i < manifest->blobs_count; i++)
		total += manifest->blobs[i].size;
	cli_bar_start(&unpack->bar, cli, manifest->name, total);
	if (!err)
		err = put_tree(unpack);
	for (size_t i = 0; !err && i < manifest->items_count; i++)
		if (unpack->wanted[i])
			err = put_item(unpack, &manifest->items[i]);
	cli_bar_end(&unpack->bar);
	return err;
}

static int unpack_run(struct cli *cli, int argc, char **argv)
{
	struct unpack unpack = { .dir = -1 };
	struct bundle_trust trust = { 0 };
	const char *path = argv[0];
	char *keys;
	int err, status = cli_read_keys(cli, true, &keys);

	if (status)
		return status;
	trust.keys = keys;
	err = bundle_open(&path, 1, &trust, &unpack.bundle, &unpack.error);
	free(keys);
	if (!err)
		err = unpack_all(&unpack, cli, argc, argv);
	if (err)
		status = cli_fail_bundle(cli, err, &unpack.error);
	else if (!cli_print_json(
			 cli, json_pack("{s:s, s:i}", "path", argv[1], "files", (int)unpack.files)))
		printf("%s: %u files\n", argv[1], unpack.files);
	free(unpack.wanted);
	bundle_close(unpack.bundle);
	if (unpack.dir >= 0)
		close(unpack.dir);
	return status;
}

const struct cli_command unpack_command = {
	"unpack",
	"BUNDLE DIRECTORY [ITEM]...",
	"lay out apt tree, tarballs, images",
	2,
	BUNDLE_ITEMS_MAX,
	NULL,
	0,
	NULL,
	unpack_run,
};
