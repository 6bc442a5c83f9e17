/* SPDX-License-Identifier: BSD-2-Clause */
#include "../lib/fault.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DIR_MODE 0750
#define NEW_BLOB ".new" /* a blob between link and rename; we hold the lock, so a crash left it */

int store_sync(int fd, const char *step)
{
	fault_point(step);
	return fsync(fd) ? -errno : 0;
}

static int open_dir(int parent, const char *name, mode_t mode, int *ret_fd)
{
	int fd;

	if (mkdirat(parent, name, mode) && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* All 256 fan-out directories exist from the start, so that no upload has to sync blobs/. */
static int make_fan_out(struct store *store)
{
	char name[3];
	int fd, err;

	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "%02x", i);
		err = open_dir(store->blobs, name, DIR_MODE, &fd);
		if (err)
			return err;
		unlinkat(fd, NEW_BLOB, 0);
		close(fd);
	}
	return 0;
}

static int open_tree(struct store *store)
{
	int err;

	if (mkdir(store->path, DIR_MODE) && errno != EEXIST)
		return -errno;
	store->dir = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->dir < 0)
		return -errno;
	store->lock = openat(store->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (store->lock < 0)
		return -errno;
	if (flock(store->lock, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	err = open_dir(store->dir, "blobs", DIR_MODE, &store->blobs);
	if (!err)
		err = open_dir(store->dir, "uploads", 0700, &store->uploads);
	/* A web server under another uid may be given the trees. */
	if (!err)
		err = open_dir(store->dir, "published", 0755, &store->published);
	if (!err)
		err = open_dir(store->dir, "quarantine", 0700, &store->quarantine);
	if (!err)
		err = make_fan_out(store);
	if (!err)
		err = store_sync(store->blobs, "store-blobs-sync");
	if (!err)
		err = store_sync(store->dir, "store-sync");
	return err;
}

int store_open(const char *path, uint64_t keep_free, struct store **ret_store, char **ret_why)
{
	struct store *store = calloc(1, sizeof(*store));
	const char *hint;
	int err;

	*ret_why = NULL;
	if (!store)
		return -ENOMEM;
	store->dir = store->lock = store->blobs = store->uploads = store->published = -1;
	store->quarantine = -1;
	store->keep_free = keep_free;
	pthread_mutex_init(&store->mutex, NULL);
	pthread_mutex_init(&store->space, NULL);
	store->path = strdup(path);
	err = store->path ? open_tree(store) : -ENOMEM;
	if (!err) {
		*ret_store = store;
		return 0;
	}
	switch (err) {
	case -EBUSY:
		hint = "another sluice-repod or fsck uses it";
		break;
	case -ENOENT:
		hint = "its parent directory does not exist";
		break;
	default:
		hint = strerror(-err);
		break;
	}
	if (asprintf(ret_why, "state directory %s: %s", path, hint) < 0)
		*ret_why = NULL;
	store_close(store);
	return err;
}

void store_close(struct store *store)
{
	const int fds[] = {
		store ? store->dir : -1,	store ? store->blobs : -1,
		store ? store->uploads : -1,	store ? store->published : -1,
		store ? store->quarantine : -1, store ? store->lock : -1,
	};

	if (!store)
		return;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_mutex_destroy(&store->mutex);
	pthread_mutex_destroy(&store->space);
	free(store->path);
	free(store);
}

void store_blob_path(const char *sha256, char ret_path[STORE_BLOB_PATH])
{
	snprintf(ret_path, STORE_BLOB_PATH, "%.2s/%s", sha256, sha256);
}

int store_blob_open(struct store *store, const char *sha256)
{
	char path[STORE_BLOB_PATH];
	int fd;

	if (!name_hex_valid(sha256, NAME_DIGEST_LEN))
		return -EINVAL;
	store_blob_path(sha256, path);
	fd = openat(store->blobs, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * The name that is there already may be a damaged file (or one whose row was rolled
 * back), so it is replaced by what was just verified, never trusted. Published trees keep
 * their own links to the old inode. The upload keeps its name until the row is committed:
 * a crash in between loses nothing that has arrived.
 */
static int link_blob(struct store *store, int from, const char *name, const char *sha256)
{
	char path[STORE_BLOB_PATH], temporary[STORE_BLOB_PATH + 8];
	int fd, err;

	store_blob_path(sha256, path);
	snprintf(temporary, sizeof(temporary), "%.2s/" NEW_BLOB, sha256);
	if (unlinkat(store->blobs, temporary, 0) && errno != ENOENT)
		return -errno;
	fault_point("blob-link");
	if (linkat(from, name, store->blobs, temporary, 0))
		return -errno;
	fault_point("blob-linked");
	if (renameat(store->blobs, temporary, store->blobs, path)) {
		err = -errno;
		unlinkat(store->blobs, temporary, 0);
		return err;
	}
	fault_point("blob-renamed");
	/* When both names are one inode already, rename(2) leaves both: drop the temporary. */
	unlinkat(store->blobs, temporary, 0);
	temporary[2] = '\0';
	fd = openat(store->blobs, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = store_sync(fd, "blob-dir-sync");
	close(fd);
	return err;
}

int store_blob_link(struct store *store, const char *upload_id, const char *sha256)
{
	return link_blob(store, store->uploads, upload_id, sha256);
}

int store_blob_take(struct store *store, const char *path, const char *sha256)
{
	return link_blob(store, AT_FDCWD, path, sha256);
}

int store_blob_remove(struct store *store, const char *sha256)
{
	char path[STORE_BLOB_PATH];

	store_blob_path(sha256, path);
	fault_point("blob-remove");
	if (unlinkat(store->blobs, path, 0) && errno != ENOENT)
		return -errno;
	return 0;
}

int store_space(struct store *store, uint64_t size, uint64_t *ret_available)
{
	struct statvfs stat;
	uint64_t available;

	if (fstatvfs(store->dir, &stat))
		return -errno;
	available = (uint64_t)stat.f_bavail * stat.f_frsize;
	available = available > store->keep_free ? available - store->keep_free : 0;
	*ret_available = available;
	return size <= available ? 0 : -ENOSPC;
}
