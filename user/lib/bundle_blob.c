/* SPDX-License-Identifier: BSD-2-Clause */
/* Where blobs are, in tars and directories, and how their bytes come out, verified. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "bundle_impl.h"
#include "digest.h"

#define COPY_SIZE (256 * 1024)

void bundle_place_close(struct bundle_place *place)
{
	if (place->source)
		place->source->close(place->source);
	if (place->dir >= 0)
		close(place->dir);
	free(place->entries);
	free(place->sorted);
	memset(place, 0, sizeof(*place));
	place->dir = -1;
}

static int open_blob(const struct bundle_place *place, const char *digest, uint64_t *ret_size)
{
	char path[sizeof("blobs/sha256/") + NAME_DIGEST_LEN];
	struct stat status;
	int fd;

	snprintf(path, sizeof(path), "blobs/sha256/%s", digest);
	fd = openat(place->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? -ENODATA : -errno;
	if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	*ret_size = (uint64_t)status.st_size;
	return fd;
}

/* A blob's size, and a descriptor or, -1, the offset to read at. -ENODATA: not here. */
static int place_find(const struct bundle_place *place, const char *digest, uint64_t *ret_size,
		      uint64_t *ret_offset)
{
	const struct bundle_entry *entry;

	*ret_offset = 0;
	if (place->dir >= 0)
		return open_blob(place, digest, ret_size);
	entry = bundle_place_find(place, digest);
	if (!entry)
		return -ENODATA;
	*ret_size = entry->size;
	*ret_offset = entry->offset;
	return -1;
}

int bundle_at_find(const struct bundle *bundle, const char *digest, struct bundle_at *ret)
{
	for (size_t i = 0; i < bundle->places_count; i++) {
		struct bundle_at at = { .place = &bundle->places[i] };

		at.fd = place_find(at.place, digest, &at.size, &at.offset);
		if (at.fd >= 0 || (at.place->dir < 0 && at.fd == -1)) {
			*ret = at;
			return 0;
		}
	}
	return -ENODATA;
}

static ssize_t read_at(const struct bundle_at *at, void *buffer, size_t len, uint64_t offset)
{
	ssize_t n;

	if (offset >= at->size)
		return 0;
	if (len > at->size - offset)
		len = (size_t)(at->size - offset);
	if (at->place->source)
		return at->place->source->read(at->place->source, buffer, len, at->offset + offset);
	do
		n = pread(at->fd, buffer, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n ? n : -EIO;
}

void bundle_at_done(struct bundle_at *at)
{
	if (at->fd >= 0)
		close(at->fd);
}

int bundle_at_text(const struct bundle_at *at, uint64_t size, char **ret_text)
{
	char *text = malloc((size_t)size + 1);
	uint64_t done = 0;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	while (done < size) {
		n = read_at(at, text + done, (size_t)(size - done), done);
		if (n <= 0) {
			free(text);
			return n ? (int)n : -EBADMSG;
		}
		done += (uint64_t)n;
	}
	text[size] = '\0';
	*ret_text = text;
	return 0;
}

int bundle_place_open(const char *path, struct bundle_place *ret_place, struct bundle_error *error)
{
	struct bundle_place place = { .dir = -1 };
	struct bundle_source *source;
	struct stat status;
	int err;

	if (!stat(path, &status) && S_ISDIR(status.st_mode)) {
		place.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (place.dir < 0)
			return bundle_failed(error, -errno, "%s: %s", path, strerror(errno));
		snprintf(place.name, sizeof(place.name), "%s", path);
		*ret_place = place;
		return 0;
	}
	err = bundle_source_file(path, &source, error);
	if (err)
		return err;
	err = bundle_tar_scan(source, ret_place, error);
	if (err)
		source->close(source);
	return err;
}

/* ---- blobs --------------------------------------------------------------------------------- */

bool bundle_has(const struct bundle *bundle, const char *digest)
{
	struct bundle_at at;

	if (bundle_at_find(bundle, digest, &at))
		return false;
	bundle_at_done(&at);
	return true;
}

ssize_t bundle_read(struct bundle *bundle, const char *digest, void *buffer, size_t len,
		    uint64_t offset)
{
	struct bundle_at at;
	ssize_t n;

	if (bundle_at_find(bundle, digest, &at))
		return -ENODATA;
	n = read_at(&at, buffer, len, offset);
	bundle_at_done(&at);
	return n;
}

static int stream_blob(const struct bundle_at *at, const char *digest, bundle_sink *sink, void *arg)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t *buffer = malloc(COPY_SIZE), sum[DIGEST_SIZE];
	char hex[NAME_DIGEST_LEN + 1];
	uint64_t done = 0;
	ssize_t n = 0;
	int err = -ENOMEM;

	if (!context || !buffer || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		goto out;
	for (err = 0; !err && done < at->size; done += (uint64_t)n) {
		n = read_at(at, buffer, COPY_SIZE, done);
		err = n <= 0 ? (n ? (int)n : -EIO) : 0;
		if (!err && EVP_DigestUpdate(context, buffer, (size_t)n) != 1)
			err = -EIO;
		if (!err && sink)
			err = sink(buffer, (size_t)n, arg);
	}
	if (!err && EVP_DigestFinal_ex(context, sum, NULL) != 1)
		err = -EIO;
	if (!err) {
		name_hex(sum, sizeof(sum), hex);
		err = strcmp(hex, digest) ? -EBADMSG : 0;
	}
out:
	EVP_MD_CTX_free(context);
	free(buffer);
	return err;
}

/* A tar's sizes were checked when it was opened; a directory's files may have grown since. */
static bool has_size(const struct bundle *bundle, const struct bundle_at *at, const char *digest)
{
	const struct bundle_manifest *manifest = bundle->manifest;

	for (size_t i = 0; at->fd >= 0 && i < manifest->blobs_count; i++)
		if (!strcmp(manifest->blobs[i].digest, digest))
			return manifest->blobs[i].size == at->size;
	return true;
}

int bundle_stream(struct bundle *bundle, const char *digest, bundle_sink *sink, void *arg,
		  struct bundle_error *error)
{
	char why[sizeof(bundle->places[0].name) + 40];
	struct bundle_at at;
	int err = bundle_at_find(bundle, digest, &at);

	if (err)
		return bundle_blob_failed(error, digest, err, "is missing");
	err = has_size(bundle, &at, digest) ? stream_blob(&at, digest, sink, arg) : -EBADMSG;
	bundle_at_done(&at);
	if (!err)
		return 0;
	snprintf(why, sizeof(why), "%s in %s", err == -EBADMSG ? "is damaged" : strerror(-err),
		 at.place->name);
	return bundle_blob_failed(error, digest, err, why);
}

struct copy {
	int fd;
	bundle_progress *progress;
	void *arg;
};

static int copy_bytes(const void *bytes, size_t len, void *arg)
{
	struct copy *copy = arg;
	const char *at = bytes;
	size_t left = len;
	ssize_t n;

	while (left && copy->fd >= 0) {
		n = write(copy->fd, at, left);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			left -= (size_t)n;
		}
	}
	return copy->progress && copy->progress(len, copy->arg) ? -ECANCELED : 0;
}

int bundle_copy(struct bundle *bundle, const char *digest, int fd, bundle_progress *progress,
		void *arg, struct bundle_error *error)
{
	struct copy copy = { fd, progress, arg };

	return bundle_stream(bundle, digest, copy_bytes, &copy, error);
}
