/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One blob into the directory: what is there already is read and believed only by its digest; what
 * is not grows in partial/, from the byte an earlier run left, is verified, synced and renamed.
 */
#include "pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "../lib/bundle_impl.h"
#include "../lib/digest.h"

bool pull_has(struct pull *pull, const struct bundle_blob *blob)
{
	char path[PULL_PATH_LEN], digest[NAME_DIGEST_LEN + 1];
	struct stat status;
	uint64_t size;
	bool good;
	int fd;

	snprintf(path, sizeof(path), PULL_BLOBS "/%s", blob->digest);
	fd = openat(pull->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	good = !fstat(fd, &status) && S_ISREG(status.st_mode) &&
	       (uint64_t)status.st_size == blob->size && !digest_file(fd, digest, &size) &&
	       !strcmp(digest, blob->digest);
	close(fd);
	if (!good)
		unlinkat(pull->dir, path, 0);
	return good;
}

/* Hashes what a run before left; longer than it may be, it is worth nothing. */
static int resume(int fd, const struct bundle_blob *blob, EVP_MD_CTX *context, uint8_t *buffer,
		  uint64_t *ret_have)
{
	struct stat status;
	uint64_t have = 0;
	ssize_t n;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	if ((uint64_t)status.st_size > blob->size && ftruncate(fd, 0))
		return -errno;
	while ((n = pread(fd, buffer, PULL_CHUNK, (off_t)have)) > 0) {
		if (EVP_DigestUpdate(context, buffer, (size_t)n) != 1)
			return -EIO;
		have += (uint64_t)n;
	}
	*ret_have = have;
	return n < 0 ? -errno : 0;
}

static int append(int fd, const uint8_t *bytes, size_t len, uint64_t offset)
{
	ssize_t n;

	while (len) {
		n = pwrite(fd, bytes, len, (off_t)offset);
		if (n < 0 && errno != EINTR)
			return -errno;
		bytes += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		offset += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

/* 0; -EBADMSG: the whole of it is not what it should be; -errno. */
static int fetch_into(struct pull *pull, int fd, const struct bundle_blob *blob, uint8_t *buffer)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t sum[DIGEST_SIZE];
	char hex[NAME_DIGEST_LEN + 1];
	uint64_t at = 0;
	ssize_t n;
	int err = -ENOMEM;

	if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
		err = resume(fd, blob, context, buffer, &at);
	if (!err) {
		pull->resumed += at;
		cli_bar_move(at, &pull->bar);
	}
	while (!err && at < blob->size) {
		n = bundle_read(pull->bundle, blob->digest, buffer, PULL_CHUNK, at);
		/* A place where it is shorter than it has to be. */
		if (n <= 0) {
			err = n ? (int)n : -EBADMSG;
			break;
		}
		if ((uint64_t)n > blob->size - at)
			n = (ssize_t)(blob->size - at);
		err = append(fd, buffer, (size_t)n, at);
		if (!err && EVP_DigestUpdate(context, buffer, (size_t)n) != 1)
			err = -EIO;
		at += (uint64_t)n;
		pull->fetched += (uint64_t)n;
		cli_bar_move((uint64_t)n, &pull->bar);
	}
	if (!err && EVP_DigestFinal_ex(context, sum, NULL) != 1)
		err = -EIO;
	if (!err) {
		name_hex(sum, sizeof(sum), hex);
		err = strcmp(hex, blob->digest) ? -EBADMSG : 0;
	}
	EVP_MD_CTX_free(context);
	return err;
}

int pull_fetch(struct pull *pull, const struct bundle_blob *blob, uint8_t *buffer)
{
	char partial[PULL_PATH_LEN], path[PULL_PATH_LEN];
	bool again;
	int fd, err;

	snprintf(partial, sizeof(partial), PULL_PARTIAL "/%s", blob->digest);
	snprintf(path, sizeof(path), PULL_BLOBS "/%s", blob->digest);
	fd = openat(pull->dir, partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		    0644);
	if (fd < 0)
		return bundle_blob_failed(&pull->error, blob->digest, -errno, strerror(errno));
	/* What an earlier run left may be what is wrong. */
	again = lseek(fd, 0, SEEK_END) > 0;
	err = fetch_into(pull, fd, blob, buffer);
	if (err == -EBADMSG && again) {
		err = ftruncate(fd, 0) ? -errno : fetch_into(pull, fd, blob, buffer);
	}
	if (err == -EBADMSG)
		unlinkat(pull->dir, partial, 0);
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(pull->dir, partial, pull->dir, path))
		err = -errno;
	if (err)
		return bundle_blob_failed(
			&pull->error, blob->digest, err,
			err == -EBADMSG	       ? "is damaged"
			: err == -ESTALE       ? "the source changed meanwhile; pull again"
			: err == -EHOSTUNREACH ? "the source does not answer any more; pull "
						 "again to go on"
					       : strerror(-err));
	pull->blobs_fetched++;
	return 0;
}
