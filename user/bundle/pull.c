/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-bundle pull: a bundle from a stick or the web into a directory, which is one too, blob by
 * blob (pull_blob.c). index.json comes last, so that the directory is the old bundle until it is
 * the new one. Cut or killed anywhere, the next run goes on from the byte it had.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "cli.h"
#include "file.h"
#include "http.h"
#include "pull.h"
#include "web.h"

#define SPARE ((uint64_t)16 << 20) /* for the directory's own growth */

static struct pull_options {
	const char *base;
	struct web_options web;
	uint32_t tries;
	bool older;
} pull_options = { .tries = 10 };

static const struct opt pull_opts[] = {
	{ OPT_TEXT, 'b', "base", "FILE", "where a delta's other blobs are",
	  offsetof(struct pull_options, base), 0, 0, NULL },
	{ OPT_NUMBER, 't', "tries", "N", "how often a broken request is made again (default 10)",
	  offsetof(struct pull_options, tries), 1, 1000, NULL },
	{ OPT_TEXT, 0, "token-file", "FILE", "a token for the web server",
	  offsetof(struct pull_options, web.token_file), 0, 0, NULL },
	{ OPT_TEXT, 0, "user-file", "FILE", "NAME:PASSWORD for the web server",
	  offsetof(struct pull_options, web.user_file), 0, 0, NULL },
	{ OPT_TEXT, 0, "ca", "FILE", "certificates of web servers (default: the system's)",
	  offsetof(struct pull_options, web.ca), 0, 0, NULL },
	{ OPT_FLAG, 0, "allow-older", NULL, "replace a newer version",
	  offsetof(struct pull_options, older), 0, 0, NULL },
};

/* All blobs of a bundle, the manifest and the OCI manifest first. */
static const struct bundle_blob *blob_at(const struct bundle *bundle, size_t i,
					 struct bundle_blob *scratch)
{
	if (i >= 2)
		return &bundle_manifest(bundle)->blobs[i - 2];
	if (i)
		bundle_oci_blob(bundle, scratch);
	else
		bundle_manifest_json(bundle, scratch);
	return scratch;
}

static size_t blobs_count(const struct bundle *bundle)
{
	return bundle_manifest(bundle)->blobs_count + 2;
}

/* ---- the directory -----------------------------------------------------------------------------
 */

static int open_dir(struct pull *pull, const char *path)
{
	char parents[4096];
	int err;

	snprintf(parents, sizeof(parents), "%.4000s/", path);
	err = file_make_parents(AT_FDCWD, parents);
	pull->dir = err ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pull->dir < 0)
		return bundle_failed(&pull->error, err ? err : -errno, "%s: %s", path,
				     strerror(err ? -err : errno));
	if (flock(pull->dir, LOCK_EX | LOCK_NB))
		return bundle_failed(&pull->error, -EBUSY, "%s: another pull is writing there",
				     path);
	err = file_make_parents(pull->dir, PULL_BLOBS "/");
	if (!err)
		err = file_make_parents(pull->dir, PULL_PARTIAL "/");
	return err ? bundle_failed(&pull->error, err, "%s: %s", path, strerror(-err)) : 0;
}

/* A directory that holds a bundle keeps to it, and to versions that rise. */
static int check_version(struct pull *pull, const char *path)
{
	const struct bundle_manifest *new = bundle_manifest(pull->bundle), *old;
	struct bundle_blob was, is;
	struct bundle_error ignored;
	struct bundle *before;
	int err = 0;

	if (pull_options.older || bundle_open(&path, 1, NULL, &before, &ignored))
		return 0;
	old = bundle_manifest(before);
	bundle_manifest_json(before, &was);
	bundle_manifest_json(pull->bundle, &is);
	if (strcmp(old->name, new->name) != 0)
		err = bundle_failed(&pull->error, -ESTALE,
				    "%s holds the bundle %s, not %s: take another directory", path,
				    old->name, new->name);
	else if (new->version < old->version)
		err = bundle_failed(
			&pull->error, -ESTALE,
			"%s holds version %llu, newer than %llu; --allow-older takes it all the "
			"same",
			path, (unsigned long long)old->version, (unsigned long long)new->version);
	else if (new->version == old->version && strcmp(was.digest, is.digest) != 0)
		err = bundle_failed(&pull->error, -ESTALE,
				    "%s holds another bundle that is version %llu as well: one of "
				    "them was not given a version of its own",
				    path, (unsigned long long)old->version);
	bundle_close(before);
	return err;
}

/* What is there, and is there room for the rest? */
static int look_around(struct pull *pull)
{
	struct bundle_blob scratch;
	const struct bundle_blob *blob;
	uint64_t need = 0, total = 0;
	struct statvfs room;

	pull->there = calloc(blobs_count(pull->bundle), sizeof(bool));
	if (!pull->there)
		return bundle_failed(&pull->error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < blobs_count(pull->bundle); i++)
		total += blob_at(pull->bundle, i, &scratch)->size;
	cli_bar_start(&pull->bar, pull->cli, bundle_manifest(pull->bundle)->name, total);
	for (size_t i = 0; i < blobs_count(pull->bundle); i++) {
		char partial[PULL_PATH_LEN];
		struct stat status;

		blob = blob_at(pull->bundle, i, &scratch);
		pull->there[i] = pull_has(pull, blob);
		if (pull->there[i]) {
			pull->kept += blob->size;
			pull->blobs_kept++;
			cli_bar_move(blob->size, &pull->bar);
			continue;
		}
		if (!bundle_has(pull->bundle, blob->digest))
			return bundle_blob_failed(&pull->error, blob->digest, -ENODATA,
						  "is missing: a delta needs what it was made "
						  "against, here or by --base");
		need += blob->size;
		snprintf(partial, sizeof(partial), PULL_PARTIAL "/%s", blob->digest);
		if (!fstatat(pull->dir, partial, &status, AT_SYMLINK_NOFOLLOW) &&
		    (uint64_t)status.st_size <= blob->size)
			need -= (uint64_t)status.st_size;
	}
	if (fstatvfs(pull->dir, &room))
		return bundle_failed(&pull->error, -errno, "%s", strerror(errno));
	if (need && (uint64_t)room.f_bavail * room.f_frsize < need + SPARE)
		return bundle_failed(&pull->error, -ENOSPC, "%llu MiB are free, %llu are needed",
				     (unsigned long long)room.f_bavail * room.f_frsize >> 20,
				     (unsigned long long)((need + SPARE) >> 20));
	return 0;
}

/* ---- the whole
 * ----------------------------------------------------------------------------------- */

static int sync_dir(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0 || fsync(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int compare_digests(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Blobs of older versions, and what was left half-way. */
static void sweep(struct pull *pull, const char *folder, const char **sorted, size_t count)
{
	int fd = openat(pull->dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (list && (entry = readdir(list))) {
		const char *name = entry->d_name;

		if (name[0] != '.' &&
		    (!count || !bsearch(&name, sorted, count, sizeof(*sorted), compare_digests)))
			unlinkat(dirfd(list), name, 0);
	}
	if (list)
		closedir(list);
}

static void sweep_all(struct pull *pull)
{
	size_t count = blobs_count(pull->bundle);
	struct bundle_blob scratch[2];
	const char **sorted = calloc(count, sizeof(*sorted));

	if (!sorted)
		return;
	for (size_t i = 0; i < count; i++)
		sorted[i] = blob_at(pull->bundle, i, &scratch[i & 1])->digest;
	qsort(sorted, count, sizeof(*sorted), compare_digests);
	sweep(pull, PULL_BLOBS, sorted, count);
	sweep(pull, PULL_PARTIAL, NULL, 0);
	free(sorted);
}

static int fetch_all(struct pull *pull)
{
	uint8_t *buffer = malloc(PULL_CHUNK);
	struct bundle_blob scratch;
	const char *index;
	size_t len;
	int err = buffer ? 0 : bundle_failed(&pull->error, -ENOMEM, "out of memory");

	for (size_t i = 0; !err && i < blobs_count(pull->bundle); i++)
		if (!pull->there[i])
			err = pull_fetch(pull, blob_at(pull->bundle, i, &scratch), buffer);
	free(buffer);
	if (err)
		return err;
	index = bundle_index(pull->bundle, &len);
	err = sync_dir(pull->dir, PULL_BLOBS);
	if (!err)
		err = file_write_at(pull->dir, "oci-layout", BUNDLE_LAYOUT, strlen(BUNDLE_LAYOUT),
				    0644);
	if (!err)
		err = file_write_at(pull->dir, "index.json", index, len, 0644);
	if (!err)
		err = sync_dir(pull->dir, ".");
	if (err)
		return bundle_failed(&pull->error, err, "index.json: %s", strerror(-err));
	sweep_all(pull);
	return 0;
}

static int open_source(struct pull *pull, const char *from, const char *keys)
{
	struct bundle_trust trust = { .keys = keys };
	struct bundle_place places[2];
	struct bundle_source *source;
	size_t count = 1;
	int err;

	if (http_is_url(from)) {
		err = http_open(from, pull_options.tries, &pull_options.web, &source, &pull->error);
		if (!err && (err = bundle_tar_scan(source, &places[0], &pull->error)))
			source->close(source);
	} else {
		err = bundle_place_open(from, &places[0], &pull->error);
	}
	if (err)
		return err;
	if (pull_options.base) {
		err = bundle_place_open(pull_options.base, &places[1], &pull->error);
		if (err) {
			bundle_place_close(&places[0]);
			return err;
		}
		count++;
	}
	return bundle_open_places(places, count, &trust, &pull->bundle, &pull->error);
}

static void print_result(struct pull *pull, const char *path)
{
	const struct bundle_manifest *manifest = bundle_manifest(pull->bundle);
	char fetched[16], kept[16];

	cli_print_size(pull->fetched, fetched);
	cli_print_size(pull->kept + pull->resumed, kept);
	if (!cli_print_json(pull->cli,
			    json_pack("{s:s, s:I, s:s, s:I, s:I, s:i, s:i, s:I}", "name",
				      manifest->name, "version", (json_int_t)manifest->version,
				      "path", path, "bytes_fetched", (json_int_t)pull->fetched,
				      "bytes_kept", (json_int_t)pull->kept, "blobs_fetched",
				      (int)pull->blobs_fetched, "blobs_kept", (int)pull->blobs_kept,
				      "bytes_resumed", (json_int_t)pull->resumed)))
		printf("%s: %s version %llu, complete; %s fetched, %s were there\n", path,
		       manifest->name, (unsigned long long)manifest->version, fetched, kept);
}

static int pull_run(struct cli *cli, int argc, char **argv)
{
	struct pull pull = { .cli = cli, .dir = -1 };
	char *keys;
	int err, status = cli_read_keys(cli, true, &keys);

	if (status)
		return status;
	err = open_source(&pull, argv[0], keys);
	free(keys);
	if (!err)
		err = open_dir(&pull, argv[1]);
	if (!err)
		err = check_version(&pull, argv[1]);
	if (!err)
		err = look_around(&pull);
	if (!err)
		err = fetch_all(&pull);
	if (pull.bar.cli)
		cli_bar_end(&pull.bar);
	if (err)
		status = cli_fail_bundle(cli, err, &pull.error);
	else
		print_result(&pull, argv[1]);
	free(pull.there);
	bundle_close(pull.bundle);
	if (pull.dir >= 0)
		close(pull.dir);
	return status;
}

const struct cli_command pull_command = {
	"pull",	  "SOURCE DIRECTORY", "fetch into a directory; goes on where it was", 2,
	2,	  pull_opts,	      sizeof(pull_opts) / sizeof(pull_opts[0]),	      &pull_options,
	pull_run,
};
