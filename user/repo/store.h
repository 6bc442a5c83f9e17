/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state directory and the blobs in it:
 *
 *   STATE/lock		 held (flock) while a sluice-repod or an fsck uses the rest
 *   STATE/repo.db	 metadata (db.h)
 *   STATE/blobs/ab/…	 immutable files, named by their SHA-256, mode 0444
 *   STATE/uploads/ID	 what has arrived of an upload
 *   STATE/published/	 the trees clients read (publish.h)
 *   STATE/gnupg/	 the signing key (sign.h)
 *   STATE/quarantine/	 what fsck --repair took away
 *
 * A blob appears only whole: its file is synced under another name, linked into
 * blobs/ and the directory synced, before the database speaks of it.
 */
#ifndef REPO_STORE_H
#define REPO_STORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/name.h"

struct upload;

struct store {
	char *path;
	int dir, lock, blobs, uploads, published, quarantine; /* directory fds, owned */
	uint64_t keep_free;				      /* bytes that uploads leave free */
	/* Held from a blob's appearance to its row's commit, and over a deletion: the two
	 * never cross. Taken before the database's writer. */
	pthread_mutex_t mutex;
	/* Held from looking at what is free, and at what an uploader holds, to having more of it.
	 * Taken before the database's writer. */
	pthread_mutex_t space;
	struct upload *arriving; /* uploads in one request (upload_begin.c) */
};

/* -errno and *ret_why, malloc'd, when the directory cannot be used. */
int store_open(const char *path, uint64_t keep_free, struct store **ret_store, char **ret_why);
void store_close(struct store *store);

/* "ab/abcdef…" below blobs/. */
#define STORE_BLOB_PATH (3 + NAME_DIGEST_LEN + 1)
void store_blob_path(const char *sha256, char ret_path[STORE_BLOB_PATH]);
/* Opens a blob for reading. Returns the fd or -errno. */
int store_blob_open(struct store *store, const char *sha256);
/* Gives the synced upload file its blob name as well; the mutex must be held. */
int store_blob_link(struct store *store, const char *upload_id, const char *sha256);
/* The same for a synced file of a published tree, by its path. */
int store_blob_take(struct store *store, const char *path, const char *sha256);
/* Removes a blob that no row names any more; the mutex must be held. */
int store_blob_remove(struct store *store, const char *sha256);

/* 0 when size more bytes fit and leave keep_free, -ENOSPC with *ret_available otherwise. */
int store_space(struct store *store, uint64_t size, uint64_t *ret_available);

/* fsync of a directory's fd or of a file, with the crash test's step. 0 or -errno. */
int store_sync(int fd, const char *step);

#endif
