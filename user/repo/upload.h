/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An upload: bytes gather in STATE/uploads/ID until they are whole, then become a blob
 * and a package row. Sessions (rows of table uploads) outlive connections and the
 * daemon; how far one got is its file's size. A one-shot upload is the same without a
 * row, gone when it breaks.
 *
 * Finishing, in this order: sync the file, hash it, read the package's name from it,
 * link it into blobs/, sync that directory, commit the row, answer. Killed anywhere, a
 * session's file is still there, and an answered upload is there for good.
 */
#ifndef REPO_UPLOAD_H
#define REPO_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "catalog.h"

#define UPLOAD_SIZE_UNKNOWN UINT64_MAX
#define UPLOAD_SESSIONS_MAX 1000
#define UPLOAD_SIZE_MAX	    (1ULL << 50) /* of limits.upload_size: sums of many stay numbers */
#define UPLOAD_WHO_MAX	    96

struct upload {
	char id[NAME_UPLOAD_LEN + 1];
	char filename[NAME_FILENAME_MAX + 1];
	char sha256[NAME_DIGEST_LEN + 1]; /* "" when the client did not say */
	/* For plain files; empty: the file's name, no version, no architecture. */
	char name[NAME_MAX_LEN + 1], version[NAME_MAX_LEN + 1], arch[33];
	char *visibility; /* as catalog_visibility_parse() returns it; owned */
	char who[UPLOAD_WHO_MAX];
	uint64_t size; /* UPLOAD_SIZE_UNKNOWN: until the client ends it (one-shot only) */
	bool session;

	/* Of a one-shot upload, while its request lasts; under store->space. */
	uint64_t held; /* bytes that are reserved for it */
	bool arriving; /* it is on the list */
	struct upload *next;
};

struct settings_limits;

void upload_clear(struct upload *upload);

/* Checks names and size; 0 or -1 and *problem. */
int upload_check(const struct upload *upload, uint64_t max_size, struct problem *problem);

/*
 * Makes the file, reserves its space, makes the row for a session, and gives the upload its id.
 * Returns the file's fd, locked; or -1 and *problem: 429 when its owner has too many unfinished
 * sessions, or too much that is unfinished, 507 when there is no space. A one-shot upload must be
 * released.
 */
int upload_begin(struct db *db, struct store *store, struct upload *upload,
		 const struct settings_limits *limits, struct problem *problem);
/* A one-shot upload needs its first size bytes: reserves them and some more, or as above. */
int upload_grow(struct db *db, struct store *store, struct upload *upload, int fd, uint64_t size,
		const struct settings_limits *limits, struct problem *problem);
/* Its file is a package's or gone. Does nothing for others. */
void upload_release(struct store *store, struct upload *upload);
/* Bytes that unfinished uploads hold; who NULL: everybody's. -1: unknown. */
int64_t upload_held_bytes(sqlite3 *reader, struct store *store, const char *who);
/*
 * Finds an unfinished session of the same person for the same file: then upload gets its
 * id. What a client that starts over resumes.
 */
bool upload_again(sqlite3 *reader, struct upload *upload);
/* Loads a session. who NULL: anybody's. 0 or -1 and *problem. */
int upload_find(sqlite3 *reader, const char *id, const char *who, struct upload *ret_upload,
		struct problem *problem);
/*
 * [{"id", "filename", "size", "offset", "who", "created_at"}] of the sessions, oldest first. who
 * NULL: everybody's. NULL on failure.
 */
json_t *upload_list(sqlite3 *reader, struct store *store, const char *who);
/* Opens its file and locks it against a second writer. The fd, or -1 and *problem. */
int upload_open(struct store *store, const struct upload *upload, struct problem *problem);
/* Unlocks and closes. A child being spawned meanwhile holds a copy of the fd until its exec:
 * close alone would leave the lock with it. */
void upload_close(int fd);
/* How many bytes are there. */
int upload_offset(struct store *store, const struct upload *upload, uint64_t *ret_offset);

/*
 * Finishes what is whole in fd. On success *ret_id is the package's row and *ret_created
 * says whether it is new (the same file again is no error). 0 or -1 and *problem. A wrong
 * digest empties the session; other refusals of the content remove it.
 */
int upload_finish(struct db *db, struct store *store, const struct upload *upload, int fd,
		  int64_t *ret_id, bool *ret_created, struct problem *problem);
/*
 * Removes the file and the row, also while somebody writes to it: the file is emptied, and whoever
 * writes has to ask upload_ended() after each write. 0 or -1 and *problem.
 */
int upload_abort(struct db *db, struct store *store, const struct upload *upload,
		 struct problem *problem);

/* Was the session of this file ended? Then what has come since holds no space any more. */
bool upload_ended(int fd);
/* 404; -1. */
int upload_missing(struct problem *problem);

/* Removes files without a row (only at start), rows without a file, sessions older than max_age
 * seconds and those of tokens that are no longer valid. How many went, or -errno. */
int upload_sweep(struct db *db, struct store *store, int64_t max_age, bool at_start);

#endif
