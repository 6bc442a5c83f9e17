/* SPDX-License-Identifier: BSD-2-Clause */
#include "upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/digest.h"
#include "../lib/fault.h"
#include "../lib/log.h"

void upload_clear(struct upload *upload)
{
	free(upload->visibility);
	memset(upload, 0, sizeof(*upload));
}

int upload_missing(struct problem *problem)
{
	return problem_set(problem, 404, "no-upload", "start the upload again",
			   "no such upload: finished, aborted, expired, or somebody else's");
}

int upload_find(sqlite3 *reader, const char *id, const char *who, struct upload *ret_upload,
		struct problem *problem)
{
	sqlite3_stmt *statement;
	struct upload upload = { .session = true };
	int result;

	if (!name_hex_valid(id, NAME_UPLOAD_LEN))
		return upload_missing(problem);
	statement =
		reader ? db_prepare(reader, "SELECT filename, sha256, name, version, arch, tenants,"
					    " created_by, size FROM uploads WHERE id = ?1"
					    " AND (?2 IS NULL OR created_by = ?2)")
		       : NULL;
	if (!statement)
		return problem_errno(problem, -EIO, "upload");
	db_bind_text(statement, 1, id);
	db_bind_text(statement, 2, who);
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW) {
		strcpy(upload.id, id);
		snprintf(upload.filename, sizeof(upload.filename), "%s", db_text(statement, 0));
		snprintf(upload.sha256, sizeof(upload.sha256), "%s", db_text(statement, 1));
		snprintf(upload.name, sizeof(upload.name), "%s", db_text(statement, 2));
		snprintf(upload.version, sizeof(upload.version), "%s", db_text(statement, 3));
		snprintf(upload.arch, sizeof(upload.arch), "%s", db_text(statement, 4));
		upload.visibility = strdup(db_text(statement, 5));
		snprintf(upload.who, sizeof(upload.who), "%s", db_text(statement, 6));
		upload.size = (uint64_t)sqlite3_column_int64(statement, 7);
	}
	db_done(statement);
	if (result == SQLITE_DONE)
		return upload_missing(problem);
	if (result != SQLITE_ROW || !upload.visibility) {
		upload_clear(&upload);
		return problem_errno(problem, result == SQLITE_ROW ? -ENOMEM : sql_errno(result),
				     "upload");
	}
	*ret_upload = upload;
	return 0;
}

json_t *upload_list(sqlite3 *reader, struct store *store, const char *who)
{
	sqlite3_stmt *statement =
		reader ? db_prepare(reader, "SELECT id, filename, size, created_by, created_at"
					    " FROM uploads WHERE ?1 IS NULL OR created_by = ?1"
					    " ORDER BY created_at, id")
		       : NULL;
	struct upload upload = { .session = true };
	json_t *list = json_array();
	uint64_t offset;

	if (!statement || !list) {
		json_decref(list);
		return NULL;
	}
	db_bind_text(statement, 1, who);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		snprintf(upload.id, sizeof(upload.id), "%s", db_text(statement, 0));
		offset = 0;
		upload_offset(store, &upload, &offset);
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:I, s:s, s:I}", "id", upload.id,
						"filename", db_text(statement, 1), "size",
						(json_int_t)sqlite3_column_int64(statement, 2),
						"offset", (json_int_t)offset, "who",
						db_text(statement, 3), "created_at",
						(json_int_t)sqlite3_column_int64(statement, 4)));
	}
	db_done(statement);
	return list;
}

int upload_open(struct store *store, const struct upload *upload, struct problem *problem)
{
	int fd;

	fd = openat(store->uploads, upload->id, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	/* A finish that was cut short left it read-only. */
	if (fd < 0 && errno == EACCES && !fchmodat(store->uploads, upload->id, 0644, 0))
		fd = openat(store->uploads, upload->id, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? upload_missing(problem)
				       : problem_errno(problem, -errno, "upload");
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return problem_set(problem, 409, "busy",
				   "end the other transfer, or wait until it has timed out",
				   "another connection is writing to this upload");
	}
	return fd;
}

void upload_close(int fd)
{
	flock(fd, LOCK_UN);
	close(fd);
}

int upload_offset(struct store *store, const struct upload *upload, uint64_t *ret_offset)
{
	struct stat stat;

	if (fstatat(store->uploads, upload->id, &stat, AT_SYMLINK_NOFOLLOW))
		return -errno;
	*ret_offset = (uint64_t)stat.st_size;
	return 0;
}

static int delete_session(struct db *db, const struct upload *upload)
{
	sqlite3 *writer = db_begin(db);
	sqlite3_stmt *statement;
	int err;

	if (!writer)
		return -errno;
	statement = db_prepare(writer, "DELETE FROM uploads WHERE id = ?");
	db_bind_text(statement, 1, upload->id);
	err = db_run(statement);
	if (err) {
		db_rollback(db);
		return err;
	}
	return db_commit(db);
}

bool upload_ended(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat) || stat.st_nlink)
		return false;
	/* Whoever ended it may have emptied it before the last bytes came. */
	if (ftruncate(fd, 0))
		log_warn("an upload that was ended holds its space until its connection ends: %s",
			 strerror(errno));
	return true;
}

/*
 * The space is given back here, for whoever writes to the file may keep it open for long. A file
 * that has a name still is a package by now; one that has none never gets one. What is being
 * finished may be read-only, and cannot be opened: it is soon closed.
 */
static int remove_file(struct store *store, const char *id)
{
	int fd = openat(store->uploads, id, O_WRONLY | O_NOFOLLOW | O_CLOEXEC), err = 0;

	if (unlinkat(store->uploads, id, 0) && errno != ENOENT)
		err = -errno;
	if (fd >= 0) {
		upload_ended(fd);
		close(fd);
	}
	return err;
}

int upload_abort(struct db *db, struct store *store, const struct upload *upload,
		 struct problem *problem)
{
	int err = upload->session ? delete_session(db, upload) : 0;

	if (!err)
		err = remove_file(store, upload->id);
	return err ? problem_errno(problem, err, "upload") : 0;
}

/* Reads who the package is, and checks it against what the client said. */
static int identify(const struct upload *upload, int fd, struct package_info *info,
		    char filename[NAME_FILENAME_MAX + 1], struct problem *problem)
{
	enum package_kind kind = package_kind_of(upload->filename);
	const char *why = "";
	int err = 0;

	if (kind == PACKAGE_FILE) {
		info->kind = PACKAGE_FILE;
		snprintf(info->name, sizeof(info->name), "%.*s", NAME_MAX_LEN,
			 *upload->name ? upload->name : upload->filename);
		strcpy(info->version, upload->version);
		strcpy(info->arch, upload->arch);
		strcpy(filename, upload->filename);
		return 0;
	}
	err = kind == PACKAGE_DEB ? package_read_deb(fd, info, &why)
				  : package_read_rpm(fd, info, &why);
	if (err == -EBADMSG)
		return problem_set(problem, 422, "bad-package",
				   "check the file with \"dpkg-deb --info\" or \"rpm -qip\"",
				   "%s is refused: %s", upload->filename, why);
	if (!err)
		err = package_canonical_name(info, filename, NAME_FILENAME_MAX + 1);
	if (err)
		return problem_errno(problem, err, "reading the package");
	if ((*upload->name && strcmp(upload->name, info->name) != 0) ||
	    (*upload->version && strcmp(upload->version, info->version) != 0) ||
	    (*upload->arch && strcmp(upload->arch, info->arch) != 0))
		return problem_set(problem, 422, "bad-package", "leave them out",
				   "the file says it is %s %s %s, the request says otherwise",
				   info->name, info->version, info->arch);
	return 0;
}

/* Row and audit line; the session's row goes in the same transaction. */
static int commit_package(struct db *db, const struct upload *upload,
			  const struct catalog_new *package, int64_t *ret_id, bool *ret_created,
			  struct problem *problem)
{
	const struct package_info *info = package->info;
	char label[3 * NAME_MAX_LEN + 64], other[NAME_DIGEST_LEN + 1] = "";
	sqlite3 *writer = db_begin(db);
	sqlite3_stmt *statement;
	int64_t id;
	int err = 0;

	if (!writer)
		return problem_errno(problem, -errno, "upload");
	snprintf(label, sizeof(label), "%s %s%s%s%s%s", package_kind_name(info->kind), info->name,
		 *info->version ? " " : "", info->version, *info->arch ? " " : "", info->arch);
	id = catalog_same(writer, info, other);
	if (id > 0 && strcmp(other, package->sha256) != 0) {
		db_rollback(db);
		return problem_set(problem, 409, "exists",
				   "raise the version, or delete the other one first",
				   "%s exists with another content (%.12s..., package %lld)", label,
				   other, (long long)id);
	}
	*ret_created = !id;
	if (!id) {
		id = catalog_insert(writer, package, problem);
		if (id > 0)
			err = db_audit(writer, package->who, "upload", label, package->sha256);
	}
	if (id < 0)
		err = (int)id;
	if (!err && upload->session) {
		statement = db_prepare(writer, "DELETE FROM uploads WHERE id = ?");
		db_bind_text(statement, 1, upload->id);
		err = db_run(statement);
	}
	if (err)
		db_rollback(db);
	else
		err = db_commit(db);
	if (err)
		return problem->status ? -1 : problem_errno(problem, err, "upload");
	*ret_id = id;
	return 0;
}

/* What a refused content leaves: a session with a wrong digest may send again. */
static int refuse(struct db *db, struct store *store, const struct upload *upload, int fd,
		  struct problem *problem)
{
	bool again = upload->session && !strcmp(problem->code, "bad-digest");
	struct problem ignored;

	/* Its bytes went because it was ended: they are not what is wrong. */
	if (upload->session && upload_ended(fd))
		return upload_missing(problem);
	if (!again || ftruncate(fd, 0)) {
		upload_abort(db, store, upload, &ignored);
		return -1;
	}
	/* Its space went with the bytes; where that fails, a write will say so. */
	fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)upload->size);
	upload_ended(fd);
	return -1;
}

/* Nothing can be linked where the upload is not, nor to where a directory is not. */
static void not_found(struct store *store, const struct upload *upload, struct problem *problem)
{
	static struct log_limit limit = LOG_LIMIT(10000, 10);
	uint32_t left_out;
	uint64_t offset;

	if (upload_offset(store, upload, &offset) == -ENOENT) {
		upload_missing(problem);
		return;
	}
	problem_set(problem, 500, "damaged", "start sluice-repod again, which makes it",
		    "upload: a directory of blobs/ is missing");
	if (log_allowed(&limit, &left_out))
		log_error("%s: %s (%u more before)", problem->message, problem->hint, left_out);
}

int upload_finish(struct db *db, struct store *store, const struct upload *upload, int fd,
		  int64_t *ret_id, bool *ret_created, struct problem *problem)
{
	char sha256[NAME_DIGEST_LEN + 1], filename[NAME_FILENAME_MAX + 1];
	struct package_info info = { 0 };
	struct catalog_new package = { &info,	    filename, sha256,  upload->visibility,
				       upload->who, 0,	      db_now() };
	struct timespec times[2];
	int64_t when;
	int err;

	err = digest_file(fd, sha256, &package.size);
	if (err)
		return problem_errno(problem, err, "upload");
	if ((*upload->sha256 && strcmp(upload->sha256, sha256) != 0) ||
	    (upload->size != UPLOAD_SIZE_UNKNOWN && upload->size != package.size)) {
		problem_set(problem, 422, "bad-digest", "send the file again",
			    "%llu bytes with the digest %.12s... arrived, %.12s... was announced",
			    (unsigned long long)package.size, sha256,
			    *upload->sha256 ? upload->sha256 : "another size");
		return refuse(db, store, upload, fd, problem);
	}
	if (identify(upload, fd, &info, filename, problem))
		return refuse(db, store, upload, fd, problem);
	/* Last-Modified is the blob's time: it stays when the same bytes are uploaded again. */
	when = catalog_digest_time(db_reader(db), sha256);
	times[0].tv_sec = times[1].tv_sec = when ? when : package.now;
	times[0].tv_nsec = times[1].tv_nsec = 0;
	if (ftruncate(fd, (off_t)package.size) || futimens(fd, times) || fchmod(fd, 0444))
		return problem_errno(problem, -errno, "upload");
	err = store_sync(fd, "upload-sync");
	if (err)
		return problem_errno(problem, err, "upload");
	pthread_mutex_lock(&store->mutex);
	err = store_blob_link(store, upload->id, sha256);
	if (err == -ENOENT)
		not_found(store, upload, problem);
	else if (err)
		problem_errno(problem, err, "upload");
	else
		err = commit_package(db, upload, &package, ret_id, ret_created, problem);
	/* The reader sees every commit up to now; an unfinished one cannot be: we hold the mutex.
	 */
	if (err && !catalog_digest_used(db_reader(db), sha256))
		store_blob_remove(store, sha256);
	pthread_mutex_unlock(&store->mutex);
	if (err) {
		if (problem->status == 409)
			return refuse(db, store, upload, fd, problem);
		return -1;
	}
	fault_point("upload-done");
	unlinkat(store->uploads, upload->id, 0);
	return 0;
}
