/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How an upload begins, and what it may hold while it is not finished: so many sessions and so
 * many bytes of one token or peer. What is held is had at once, reserved on the disk, so that a
 * full disk is said before the bytes are sent, and so that keep_free stays free. Sessions hold
 * their size, by their rows; an upload in one request holds its length, and one of unknown length
 * what has come and a step more, as long as the request lasts.
 */
#include "upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "../lib/digest.h"
#include "../lib/fault.h"
#include "settings.h"

#define STEP (8 * 1024 * 1024)

int upload_check(const struct upload *upload, uint64_t max_size, struct problem *problem)
{
	if (!name_filename_valid(upload->filename))
		return problem_set(
			problem, 400, "bad-name",
			"use up to 240 printable characters without / \\ \" ' < > & % ? # *"
			" | ; ` $ or blanks, not starting with . or -",
			"the file name is not allowed");
	if ((*upload->name && !name_package_valid(upload->name)) ||
	    (*upload->version && !name_version_valid(upload->version)) ||
	    (*upload->arch && !name_arch_valid(upload->arch)))
		return problem_set(problem, 400, "bad-name",
				   "letters, digits and +-._ (versions also ~ : ^)",
				   "name, version or architecture is not allowed");
	if (upload->size != UPLOAD_SIZE_UNKNOWN && upload->size > max_size)
		return problem_set(
			problem, 413, "too-large",
			"limits.upload_size in the daemon's configuration sets the limit",
			"%llu bytes are over the limit of %llu", (unsigned long long)upload->size,
			(unsigned long long)max_size);
	return 0;
}

/* Sessions and their bytes; who NULL: everybody's. -1 when it cannot be found out. */
static int64_t sum_sessions(sqlite3 *reader, const char *sql, const char *who)
{
	sqlite3_stmt *statement = reader ? db_prepare(reader, sql) : NULL;
	int64_t sum = -1;

	if (!statement)
		return -1;
	db_bind_text(statement, 1, who);
	if (sqlite3_step(statement) == SQLITE_ROW)
		sum = sqlite3_column_int64(statement, 0);
	db_done(statement);
	return sum;
}

static int64_t count_sessions(sqlite3 *reader, const char *who)
{
	return sum_sessions(
		reader, "SELECT count(*) FROM uploads WHERE ?1 IS NULL OR created_by = ?1", who);
}

static int64_t session_bytes(sqlite3 *reader, const char *who)
{
	return sum_sessions(reader,
			    "SELECT coalesce(sum(size), 0) FROM uploads"
			    " WHERE ?1 IS NULL OR created_by = ?1",
			    who);
}

/* With the space lock. */
static uint64_t arriving_bytes(const struct store *store, const char *who)
{
	uint64_t sum = 0;

	for (const struct upload *upload = store->arriving; upload; upload = upload->next)
		if (!who || !strcmp(upload->who, who))
			sum += upload->held;
	return sum;
}

int64_t upload_held_bytes(sqlite3 *reader, struct store *store, const char *who)
{
	int64_t sessions = session_bytes(reader, who);
	uint64_t arriving;

	pthread_mutex_lock(&store->space);
	arriving = arriving_bytes(store, who);
	pthread_mutex_unlock(&store->space);
	return sessions < 0 ? sessions : sessions + (int64_t)arriving;
}

static int no_space(struct db *db, const struct store *store, uint64_t wanted, uint64_t available,
		    struct problem *problem)
{
	int64_t held = session_bytes(db_reader(db), NULL);
	char hint[200];

	held = (held < 0 ? 0 : held) + (int64_t)arriving_bytes(store, NULL);
	snprintf(hint, sizeof(hint),
		 "free space or delete packages; unfinished uploads hold %lld bytes: "
		 "\"sluice-repo uploads list\" shows them, \"uploads end\" ends them",
		 (long long)held);
	return problem_set(problem, 507, "disk-full", held ? hint : "free space or delete packages",
			   "%llu bytes are needed, %llu may be used", (unsigned long long)wanted,
			   (unsigned long long)available);
}

/*
 * Has the upload hold its first bytes up to size, in fd. With the space lock: between looking and
 * having nobody else may take the same. 0, or -1 and *problem; then it holds what it held.
 */
static int hold(struct db *db, struct store *store, struct upload *upload, int fd, uint64_t size,
		uint64_t budget, struct problem *problem)
{
	uint64_t more = size - upload->held, available, others;
	int64_t sessions = session_bytes(db_reader(db), upload->who);
	int err;

	if (sessions < 0)
		return problem_errno(problem, -EIO, "upload");
	others = (uint64_t)sessions + arriving_bytes(store, upload->who);
	if (more > budget || others > budget - more)
		return problem_set(
			problem, 429, "too-much-unfinished",
			"finish or end some (\"sluice-repo uploads list\"), or wait until "
			"they expire; limits.upload_budget sets the limit",
			"unfinished uploads of %s hold %llu bytes; %llu more are over "
			"the limit of %llu",
			upload->who, (unsigned long long)others, (unsigned long long)more,
			(unsigned long long)budget);
	err = store_space(store, more, &available);
	if (err == -ENOSPC)
		return no_space(db, store, more, available, problem);
	/* File systems that cannot reserve are told so by the write that fails. */
	if (!err && more && fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)upload->held, (off_t)more) &&
	    errno != EOPNOTSUPP)
		err = -errno;
	if (err)
		return problem_errno(problem, err, "upload");
	upload->held = size;
	return 0;
}

int upload_grow(struct db *db, struct store *store, struct upload *upload, int fd, uint64_t size,
		const struct settings_limits *limits, struct problem *problem)
{
	uint64_t wanted = size + STEP < limits->upload_size ? size + STEP : limits->upload_size;
	int result;

	pthread_mutex_lock(&store->space);
	result = hold(db, store, upload, fd, wanted, limits->upload_budget, problem);
	/* Without a step in advance, where that is what does not fit. */
	if (result) {
		problem->status = 0;
		result = hold(db, store, upload, fd, size, limits->upload_budget, problem);
	}
	pthread_mutex_unlock(&store->space);
	return result;
}

void upload_release(struct store *store, struct upload *upload)
{
	struct upload **link = &store->arriving;

	if (!upload->arriving)
		return;
	pthread_mutex_lock(&store->space);
	while (*link != upload)
		link = &(*link)->next;
	*link = upload->next;
	pthread_mutex_unlock(&store->space);
	upload->arriving = false;
}

static int insert_session(struct db *db, const struct upload *upload, uint32_t most,
			  struct problem *problem)
{
	const char *const texts[] = { upload->id,	  upload->filename, upload->sha256,
				      upload->name,	  upload->version,  upload->arch,
				      upload->visibility, upload->who };
	sqlite3 *writer = db_begin(db);
	sqlite3_stmt *statement;
	int64_t own, all;
	int err;

	if (!writer)
		return problem_errno(problem, -errno, "upload");
	own = count_sessions(writer, upload->who);
	all = count_sessions(writer, NULL);
	if (own < 0 || all < 0 || own >= most || all >= UPLOAD_SESSIONS_MAX) {
		db_rollback(db);
		if (own < 0 || all < 0)
			return problem_errno(problem, -EIO, "upload");
		if (own >= most)
			return problem_set(
				problem, 429, "too-many-uploads",
				"finish or end some (\"sluice-repo uploads list\"), or wait "
				"until they expire; limits.uploads sets the limit",
				"%s has %u unfinished uploads", upload->who, most);
		return problem_set(problem, 503, "busy",
				   "finish or end some (\"sluice-repo uploads list\"), or wait",
				   "%d uploads are unfinished", UPLOAD_SESSIONS_MAX);
	}
	statement = db_prepare(writer, "INSERT INTO uploads (id, filename, sha256, name, version,"
				       " arch, tenants, created_by, size, created_at)"
				       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	if (statement) {
		for (int i = 0; i < 8; i++)
			db_bind_text(statement, i + 1, texts[i]);
		sqlite3_bind_int64(statement, 9, (int64_t)upload->size);
		sqlite3_bind_int64(statement, 10, db_now());
	}
	err = db_run(statement);
	if (err)
		db_rollback(db);
	else
		err = db_commit(db);
	return err ? problem_errno(problem, err, "upload") : 0;
}

/* The row of a session, or the place among those that arrive. With the space lock. */
static int enter(struct db *db, struct store *store, struct upload *upload, uint32_t most,
		 struct problem *problem)
{
	if (upload->session)
		return insert_session(db, upload, most, problem);
	upload->next = store->arriving;
	store->arriving = upload;
	upload->arriving = true;
	return 0;
}

int upload_begin(struct db *db, struct store *store, struct upload *upload,
		 const struct settings_limits *limits, struct problem *problem)
{
	uint64_t size = upload->size == UPLOAD_SIZE_UNKNOWN ? 0 : upload->size;
	int fd, err;

	err = digest_random_hex(NAME_UPLOAD_LEN / 2, upload->id);
	if (err)
		return problem_errno(problem, err, "upload");
	fd = openat(store->uploads, upload->id, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return problem_errno(problem, -errno, "upload");
	fault_point("upload-created");
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		problem_errno(problem, -errno, "upload");
		goto fail;
	}
	/* A session's name must be on disk before the row that promises it; not with the lock, for
	 * which those wait that serve connections. */
	err = upload->session ? store_sync(store->uploads, "upload-dir-sync") : 0;
	if (err) {
		problem_errno(problem, err, "upload");
		goto fail;
	}
	pthread_mutex_lock(&store->space);
	err = hold(db, store, upload, fd, size, limits->upload_budget, problem);
	if (!err)
		err = enter(db, store, upload, limits->uploads, problem);
	pthread_mutex_unlock(&store->space);
	if (!err)
		return fd;
fail:
	unlinkat(store->uploads, upload->id, 0);
	close(fd);
	return -1;
}

bool upload_again(sqlite3 *reader, struct upload *upload)
{
	const char *const texts[] = { upload->who,	 upload->filename, upload->sha256,
				      upload->name,	 upload->version,  upload->arch,
				      upload->visibility };
	sqlite3_stmt *statement = NULL;
	bool found = false;

	if (*upload->sha256 && reader)
		statement = db_prepare(reader, "SELECT id FROM uploads WHERE created_by = ?"
					       " AND filename = ? AND sha256 = ? AND name = ?"
					       " AND version = ? AND arch = ? AND tenants = ?"
					       " AND size = ? ORDER BY created_at DESC LIMIT 1");
	if (!statement)
		return false;
	for (int i = 0; i < 7; i++)
		db_bind_text(statement, i + 1, texts[i]);
	sqlite3_bind_int64(statement, 8, (int64_t)upload->size);
	if (sqlite3_step(statement) == SQLITE_ROW) {
		snprintf(upload->id, sizeof(upload->id), "%s", db_text(statement, 0));
		found = true;
	}
	db_done(statement);
	return found;
}
