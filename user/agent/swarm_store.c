/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pieces on disk. They arrive in any order, so a blob that is not whole is a file with holes,
 * HEX.pieces; which of them are there is not written anywhere: after a kill each is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/file.h"
#include "swarm.h"

static void blob_path(const struct node *node, const char *digest, const char *suffix, char *ret)
{
	char name[128];

	snprintf(name, sizeof(name), "bundle/blobs/sha256/%s%s", digest, suffix);
	node_path(node, name, ret);
}

int store_piece(const struct node *node, const struct pieces *pieces, size_t index,
		const uint8_t *data)
{
	struct piece piece = pieces_at(pieces, index);
	char path[CLUSTER_PATH_MAX];
	size_t done = 0;
	ssize_t n = 0;
	int fd, err = 0;

	blob_path(node, pieces->blobs[piece.blob].digest, ".pieces", path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	while (done < piece.len && !err) {
		n = pwrite(fd, data + done, piece.len - done, (off_t)(piece.offset + done));
		if (n < 0 && errno != EINTR)
			err = -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	return err;
}

int store_open(const struct node *node, const char *digest)
{
	static const char *const suffixes[] = { "", ".pieces", "" };
	char path[CLUSTER_PATH_MAX];
	int fd = -1;

	/* Twice, for it may get its name in between. */
	for (size_t i = 0; i < 3 && fd < 0; i++) {
		blob_path(node, digest, suffixes[i], path);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	return fd < 0 ? -errno : fd;
}

static bool piece_right(int fd, const struct piece *piece, const uint8_t *hash, uint8_t *buffer)
{
	uint8_t digest[DIGEST_SIZE];

	return pread(fd, buffer, piece->len, (off_t)piece->offset) == (ssize_t)piece->len &&
	       !digest_bytes(buffer, piece->len, digest) && digest_equal(digest, hash);
}

int store_salvage(const struct node *node, const struct pieces *pieces, size_t blob,
		  const uint8_t *hashes, void (*told)(size_t index, void *arg), void *arg)
{
	char path[CLUSTER_PATH_MAX], partial[CLUSTER_PATH_MAX];
	uint8_t *buffer = malloc(pieces->size);
	int fd;

	if (!buffer)
		return -ENOMEM;
	blob_path(node, pieces->blobs[blob].digest, ".pieces", path);
	blob_path(node, pieces->blobs[blob].digest, ".partial", partial);
	/* What another mode began is a beginning here, too. */
	if (!rename(partial, path) || errno != ENOENT)
		unlink(partial);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	for (size_t i = pieces->first[blob]; fd >= 0 && i < pieces->first[blob + 1]; i++) {
		struct piece piece = pieces_at(pieces, i);

		if (piece_right(fd, &piece, hashes + i * DIGEST_SIZE, buffer))
			told(i, arg);
	}
	if (fd >= 0)
		close(fd);
	free(buffer);
	return 0;
}

int store_finish(const struct node *node, const struct bundle_blob *blob)
{
	char path[CLUSTER_PATH_MAX], whole[CLUSTER_PATH_MAX], hex[NAME_DIGEST_LEN + 1];
	uint64_t size = 0;
	int fd, err;

	blob_path(node, blob->digest, ".pieces", path);
	blob_path(node, blob->digest, "", whole);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	/* A file of another mode may have been longer. */
	err = ftruncate(fd, (off_t)blob->size) ? -errno : digest_file(fd, hex, &size);
	if (!err && (size != blob->size || strcmp(hex, blob->digest) != 0))
		err = -EBADMSG;
	if (!err && (fsync(fd) || rename(path, whole)))
		err = -errno;
	close(fd);
	return err ? err : file_sync_directory(whole);
}

void store_drop(const struct node *node, const char *digest)
{
	char path[CLUSTER_PATH_MAX];

	blob_path(node, digest, ".pieces", path);
	unlink(path);
}
