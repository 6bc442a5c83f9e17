/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libarchive writes the ustar; its bytes go to files that are named ".NAME.partial…" until
 * everything is synced. Entries have no owner and one time, so that equal bundles are equal files.
 */
#include "write.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"

#define BLOCK 512

struct out {
	const struct write_request *request;
	struct bundle_error *error;
	unsigned parts; /* begun */
	uint64_t left;	/* of the current one */
	int fd;
	int err;
};

/* "PATH.003.partial"; a file that is the only one has no number. */
static void part_name(const struct out *out, unsigned part, bool partial, char path[4096])
{
	const char *end = partial ? ".partial" : "";

	if (part)
		snprintf(path, 4096, "%s.%03u%s", out->request->path, part, end);
	else
		snprintf(path, 4096, "%s%s", out->request->path, end);
}

/* What a part is called while it is written. */
static void partial_name(const struct out *out, unsigned part, char path[4096])
{
	part_name(out, out->request->part ? part : 0, true, path);
}

static int finish_part(struct out *out)
{
	int err = 0;

	if (out->fd < 0)
		return 0;
	if (fsync(out->fd))
		err = -errno;
	if (close(out->fd) && !err)
		err = -errno;
	out->fd = -1;
	return err;
}

static int next_part(struct out *out)
{
	char path[4096];
	int err = finish_part(out);

	if (err)
		return err;
	if (out->parts == BUNDLE_PARTS_MAX)
		return -EFBIG;
	out->parts++;
	partial_name(out, out->parts, path);
	unlink(path);
	out->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (out->fd < 0)
		return -errno;
	out->left = out->request->part ? out->request->part : UINT64_MAX;
	return 0;
}

static la_ssize_t put(struct archive *archive, void *arg, const void *bytes, size_t len)
{
	struct out *out = arg;
	const char *at = bytes;
	size_t left = len;

	while (left && !out->err) {
		ssize_t n;

		if (!out->left) {
			out->err = next_part(out);
			continue;
		}
		n = write(out->fd, at, left < out->left ? left : (size_t)out->left);
		if (n < 0 && errno != EINTR)
			out->err = -errno;
		if (n > 0) {
			at += n;
			left -= (size_t)n;
			out->left -= out->left == UINT64_MAX ? 0 : (uint64_t)n;
		}
	}
	return out->err ? -1 : (la_ssize_t)len;
}

struct tar {
	struct archive *archive;
	time_t when;
	bundle_progress *progress;
	void *progress_arg;
};

static int put_header(struct tar *tar, const char *name, uint64_t size)
{
	struct archive_entry *entry = archive_entry_new();
	int status = ARCHIVE_FATAL;

	if (entry) {
		archive_entry_set_pathname(entry, name);
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_size(entry, (la_int64_t)size);
		archive_entry_set_mtime(entry, tar->when, 0);
		status = archive_write_header(tar->archive, entry);
		archive_entry_free(entry);
	}
	return status == ARCHIVE_OK ? 0 : -EIO;
}

static int put_text(struct tar *tar, const char *name, const char *text, size_t len)
{
	int err = put_header(tar, name, len);

	return !err && archive_write_data(tar->archive, text, len) != (la_ssize_t)len ? -EIO : err;
}

static int put_bytes(const void *bytes, size_t len, void *arg)
{
	struct tar *tar = arg;

	if (archive_write_data(tar->archive, bytes, len) != (la_ssize_t)len)
		return -EIO;
	return tar->progress && tar->progress(len, tar->progress_arg) ? -ECANCELED : 0;
}

static int put_blob(struct tar *tar, struct bundle *bundle, const struct bundle_blob *blob,
		    struct bundle_error *error)
{
	char name[sizeof("blobs/sha256/") + NAME_DIGEST_LEN];
	int err;

	snprintf(name, sizeof(name), "blobs/sha256/%s", blob->digest);
	err = put_header(tar, name, blob->size);
	if (err)
		return bundle_failed(error, err, "%s", archive_error_string(tar->archive));
	return bundle_stream(bundle, blob->digest, put_bytes, tar, error);
}

static int put_all(struct tar *tar, const struct write_request *request, struct bundle_error *error)
{
	const struct bundle_manifest *manifest = bundle_manifest(request->bundle);
	struct bundle_blob first, oci;
	const char *index;
	size_t len;
	int err;

	bundle_manifest_json(request->bundle, &first);
	bundle_oci_blob(request->bundle, &oci);
	index = bundle_index(request->bundle, &len);
	err = put_text(tar, "oci-layout", BUNDLE_LAYOUT, strlen(BUNDLE_LAYOUT));
	if (!err)
		err = put_text(tar, "index.json", index, len);
	if (err)
		return bundle_failed(error, err, "%s", archive_error_string(tar->archive));
	err = put_blob(tar, request->bundle, &first, error);
	if (!err)
		err = put_blob(tar, request->bundle, &oci, error);
	for (size_t i = 0; !err && i < manifest->blobs_count; i++)
		if (!request->skip || !request->skip(manifest->blobs[i].digest, request->arg))
			err = put_blob(tar, request->bundle, &manifest->blobs[i], error);
	return err;
}

static struct archive *make_archive(void)
{
	struct archive *archive = archive_write_new();

	if (archive) {
		archive_write_set_format_ustar(archive);
		archive_write_set_bytes_per_block(archive, 64 * 1024);
		archive_write_set_bytes_in_last_block(archive, 1);
	}
	return archive;
}

static uint64_t entry_size(uint64_t size)
{
	return BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
}

uint64_t write_size(const struct write_request *request)
{
	const struct bundle_manifest *manifest = bundle_manifest(request->bundle);
	struct bundle_blob first, oci;
	uint64_t size;
	size_t len;

	bundle_manifest_json(request->bundle, &first);
	bundle_oci_blob(request->bundle, &oci);
	bundle_index(request->bundle, &len);
	size = entry_size(strlen(BUNDLE_LAYOUT)) + entry_size(len) + entry_size(first.size) +
	       entry_size(oci.size) + 2 * BLOCK;
	for (size_t i = 0; i < manifest->blobs_count; i++)
		if (!request->skip || !request->skip(manifest->blobs[i].digest, request->arg))
			size += entry_size(manifest->blobs[i].size);
	return size;
}

static int check_room(const struct write_request *request, struct bundle_error *error)
{
	const char *slash = strrchr(request->path, '/');
	uint64_t need = write_size(request), have;
	struct statvfs room;
	char folder[4096];

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - request->path) + 1 : 1,
		 slash ? request->path : ".");
	if (statvfs(folder, &room))
		return bundle_failed(error, -errno, "%s: %s", folder, strerror(errno));
	have = (uint64_t)room.f_bavail * room.f_frsize;
	if (have < need)
		return bundle_failed(error, -ENOSPC, "%s: %llu MiB are free, the bundle needs %llu",
				     folder, (unsigned long long)(have >> 20),
				     (unsigned long long)(need >> 20) + 1);
	return 0;
}

/* Gives all parts their names; a single one has no number. */
static int rename_parts(struct out *out)
{
	char from[4096], to[4096];

	for (unsigned i = 1; i <= out->parts; i++) {
		partial_name(out, i, from);
		part_name(out, out->parts == 1 ? 0 : i, false, to);
		if (rename(from, to))
			return -errno;
	}
	/* More parts of a larger one before would be taken for ours; so would the whole. */
	for (unsigned i = out->parts + 1; out->parts > 1 && i <= BUNDLE_PARTS_MAX; i++) {
		part_name(out, i, false, to);
		if (unlink(to))
			break;
	}
	if (out->parts > 1 && out->request->replace)
		unlink(out->request->path);
	return 0;
}

static void remove_parts(struct out *out)
{
	char path[4096];

	for (unsigned i = 1; i <= out->parts; i++) {
		partial_name(out, i, path);
		unlink(path);
	}
}

int write_bundle(const struct write_request *request, unsigned *ret_parts,
		 struct bundle_error *error)
{
	struct out out = { .request = request, .error = error, .fd = -1 };
	struct tar tar = { .archive = make_archive(),
			   .when = (time_t)bundle_manifest(request->bundle)->created,
			   .progress = request->progress,
			   .progress_arg = request->progress_arg };
	int err = check_room(request, error);

	if (!tar.archive)
		err = bundle_failed(error, -ENOMEM, "out of memory");
	if (!err && archive_write_open(tar.archive, &out, NULL, put, NULL) != ARCHIVE_OK)
		err = bundle_failed(error, -EIO, "%s", archive_error_string(tar.archive));
	if (!err)
		err = put_all(&tar, request, error);
	if (!err && archive_write_close(tar.archive) != ARCHIVE_OK)
		err = -EIO;
	archive_write_free(tar.archive);
	if (!out.err)
		out.err = finish_part(&out);
	if (!err && !out.err)
		out.err = rename_parts(&out);
	if (out.fd >= 0)
		close(out.fd);
	/* libarchive says that writing failed; why, we know. */
	if (out.err)
		err = bundle_failed(error, out.err, "%s: %s", request->path, strerror(-out.err));
	if (err)
		remove_parts(&out);
	else
		*ret_parts = out.parts;
	return err;
}

static int put_image(struct tar *tar, struct bundle *bundle, const struct bundle_item *item,
		     struct bundle_error *error)
{
	char *index = bundle_image_index_make(item);
	int err = -ENOMEM;

	if (index) {
		err = put_text(tar, "oci-layout", BUNDLE_LAYOUT, strlen(BUNDLE_LAYOUT));
		if (!err)
			err = put_text(tar, "index.json", index, strlen(index));
		free(index);
	}
	if (err)
		return bundle_failed(error, err, "%s", strerror(-err));
	err = put_blob(tar, bundle, &item->image, error);
	for (size_t i = 0; !err && i < item->image_blobs_count; i++)
		err = put_blob(tar, bundle, &item->image_blobs[i], error);
	return err;
}

int write_image(struct bundle *bundle, const struct bundle_item *item, int fd,
		struct bundle_error *error)
{
	struct tar tar = { .archive = make_archive() };
	int err = 0;

	if (!tar.archive || archive_write_open_fd(tar.archive, fd) != ARCHIVE_OK)
		err = bundle_failed(error, -ENOMEM, "out of memory");
	if (!err)
		err = put_image(&tar, bundle, item, error);
	if (!err && archive_write_close(tar.archive) != ARCHIVE_OK)
		err = bundle_failed(error, -EIO, "%s", archive_error_string(tar.archive));
	archive_write_free(tar.archive);
	return err;
}
