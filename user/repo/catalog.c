/* SPDX-License-Identifier: BSD-2-Clause */
#include "../lib/fault.h"
#include "catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                                    \
	"id, kind, name, version, arch, filename, sha256, size, public, summary, uploaded_by,"     \
	" uploaded_at, (SELECT group_concat(tenant) FROM (SELECT tenant FROM package_tenants t"    \
	" WHERE t.package = packages.id ORDER BY tenant))"

/* One text for each index worth using; the optional conditions are the same. */
#define SELECT(first)                                                                              \
	"SELECT " COLUMNS " FROM packages WHERE " first " AND " CATALOG_VISIBLE                    \
	" AND (?2 IS NULL OR instr(lower(name || ' ' || filename || ' ' || summary), lower(?2)))"  \
	" AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR name = ?4)"                             \
	" AND (?5 IS NULL OR version = ?5) AND (?6 IS NULL OR arch = ?6)"                          \
	" AND (?7 IS NULL OR filename = ?7) AND (?8 IS NULL OR sha256 = ?8)"                       \
	" AND (?9 = 0 OR id = ?9) ORDER BY id LIMIT ?11"

static const char *select_for(const struct catalog_filter *filter)
{
	if (filter->id)
		return SELECT("id = ?9 AND id > ?10");
	if (filter->sha256)
		return SELECT("sha256 = ?8 AND id > ?10");
	if (filter->filename)
		return SELECT("filename = ?7 AND id > ?10");
	return SELECT("id > ?10");
}

static void read_row(sqlite3_stmt *statement, struct catalog_row *row)
{
	row->id = sqlite3_column_int64(statement, 0);
	row->kind = db_text(statement, 1);
	row->name = db_text(statement, 2);
	row->version = db_text(statement, 3);
	row->arch = db_text(statement, 4);
	row->filename = db_text(statement, 5);
	row->sha256 = db_text(statement, 6);
	row->size = (uint64_t)sqlite3_column_int64(statement, 7);
	row->is_public = sqlite3_column_int(statement, 8);
	row->summary = db_text(statement, 9);
	row->uploaded_by = db_text(statement, 10);
	row->uploaded_at = sqlite3_column_int64(statement, 11);
	row->tenants = db_text(statement, 12);
}

int catalog_each(sqlite3 *reader, const struct catalog_filter *filter,
		 int (*each)(const struct catalog_row *row, void *arg), void *arg)
{
	sqlite3_stmt *statement = reader ? db_prepare(reader, select_for(filter)) : NULL;
	const char *const texts[] = { filter->viewer,	filter->query,	 filter->kind,
				      filter->name,	filter->version, filter->arch,
				      filter->filename, filter->sha256 };
	struct catalog_row row;
	int result, stop = 0;

	if (!statement)
		return -EIO;
	for (int i = 0; i < 8; i++)
		db_bind_text(statement, i + 1, texts[i]);
	sqlite3_bind_int64(statement, 9, filter->id);
	sqlite3_bind_int64(statement, 10, filter->after);
	sqlite3_bind_int64(statement, 11, filter->limit ? filter->limit : -1);
	while (!stop && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		read_row(statement, &row);
		stop = each(&row, arg);
	}
	db_done(statement);
	return stop ? stop : sql_errno(result);
}

json_t *catalog_json(const struct catalog_row *row, bool full)
{
	json_t *object, *tenants;

	object = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I}", "id",
			   (json_int_t)row->id, "kind", row->kind, "name", row->name, "version",
			   row->version, "arch", row->arch, "filename", row->filename, "sha256",
			   row->sha256, "size", (json_int_t)row->size, "summary", row->summary,
			   "uploaded_at", (json_int_t)row->uploaded_at);
	if (!object || !full)
		return object;
	tenants = json_array();
	for (const char *name = row->tenants; *name;) {
		size_t len = strcspn(name, ",");

		json_array_append_new(tenants, json_stringn(name, len));
		name += len + (name[len] == ',');
	}
	json_object_set_new(object, "public", json_boolean(row->is_public));
	json_object_set_new(object, "tenants", tenants);
	json_object_set_new(object, "uploaded_by", json_string(row->uploaded_by));
	return object;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *catalog_visibility_parse(const char *text)
{
	char *names[CATALOG_TENANTS_MAX], *copy, *result = NULL, *end, *state;
	size_t count = 0;

	if (!strcmp(text, "public") || !strcmp(text, "none"))
		return strdup(text);
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *name = strtok_r(copy, ",", &state); name; name = strtok_r(NULL, ",", &state)) {
		if (count == CATALOG_TENANTS_MAX || !name_tenant_valid(name) ||
		    !strcmp(name, "public") || !strcmp(name, "none"))
			goto out;
		names[count++] = name;
	}
	if (!count)
		goto out;
	qsort(names, count, sizeof(names[0]), compare_names);
	result = malloc(strlen(text) + 2);
	if (!result)
		goto out;
	end = result;
	for (size_t i = 0; i < count; i++) {
		if (i && !strcmp(names[i], names[i - 1]))
			continue;
		end += sprintf(end, "%s%s", end == result ? "" : ",", names[i]);
	}
out:
	free(copy);
	return result;
}

int64_t catalog_same(sqlite3 *sql_db, const struct package_info *info, char ret_sha256[65])
{
	sqlite3_stmt *statement;
	int64_t id = 0;

	statement = db_prepare(sql_db, "SELECT id, sha256 FROM packages WHERE kind = ? AND name = ?"
				       " AND version = ? AND arch = ?");
	if (!statement)
		return -EIO;
	db_bind_text(statement, 1, package_kind_name(info->kind));
	db_bind_text(statement, 2, info->name);
	db_bind_text(statement, 3, info->version);
	db_bind_text(statement, 4, info->arch);
	if (sqlite3_step(statement) == SQLITE_ROW) {
		id = sqlite3_column_int64(statement, 0);
		snprintf(ret_sha256, 65, "%s", db_text(statement, 1));
	}
	db_done(statement);
	return id;
}

/* Is there no room for one that nobody had yet? known says whether it is there, count how many. */
static bool too_many(sqlite3 *writer, const char *known, const char *count, const char *text,
		     int64_t most)
{
	sqlite3_stmt *statement;
	bool full = false;

	if (db_ask(writer, known, text, NULL))
		return false;
	statement = db_prepare(writer, count);
	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		full = sqlite3_column_int64(statement, 0) >= most;
	db_done(statement);
	return full;
}

static int check_tenant(sqlite3 *writer, const char *tenant, struct problem *problem)
{
	if (!too_many(writer, "SELECT EXISTS (SELECT 1 FROM package_tenants WHERE tenant = ?1)",
		      "SELECT count(DISTINCT tenant) FROM package_tenants", tenant,
		      CATALOG_ALL_TENANTS_MAX))
		return 0;
	problem_set(problem, 409, "too-many-tenants",
		    "publish to all of them, or delete what tenants that are gone had",
		    "%d tenants have packages of their own; there is no room for %s",
		    CATALOG_ALL_TENANTS_MAX, tenant);
	return -E2BIG;
}

static int check_arch(sqlite3 *writer, const struct package_info *info, struct problem *problem)
{
	if (info->kind != PACKAGE_DEB ||
	    !too_many(writer,
		      "SELECT EXISTS (SELECT 1 FROM packages WHERE kind = 'deb' AND arch = ?1)",
		      "SELECT count(DISTINCT arch) FROM packages WHERE kind = 'deb'", info->arch,
		      CATALOG_ARCHES_MAX))
		return 0;
	problem_set(problem, 409, "too-many-architectures",
		    "every tree has an index of each; delete what is of an architecture nobody has",
		    "there are packages of %d architectures; there is no room for %s",
		    CATALOG_ARCHES_MAX, info->arch);
	return -E2BIG;
}

static int insert_tenants(sqlite3 *writer, int64_t id, const char *visibility,
			  struct problem *problem)
{
	char name[NAME_TENANT_MAX + 1];
	sqlite3_stmt *statement;
	int err = 0;

	if (!strcmp(visibility, "public") || !strcmp(visibility, "none"))
		return 0;
	while (*visibility && !err) {
		size_t len = strcspn(visibility, ",");

		snprintf(name, sizeof(name), "%.*s", (int)len, visibility);
		visibility += len + (visibility[len] == ',');
		err = check_tenant(writer, name, problem);
		if (err)
			return err;
		statement = db_prepare(writer, "INSERT INTO package_tenants VALUES (?, ?)");
		if (!statement)
			return -EIO;
		sqlite3_bind_int64(statement, 1, id);
		db_bind_text(statement, 2, name);
		err = db_run(statement);
	}
	return err;
}

static int insert_row(sqlite3 *writer, const struct catalog_new *package)
{
	const struct package_info *info = package->info;
	const char *const texts[] = {
		package_kind_name(info->kind),
		info->name,
		info->version,
		info->arch,
		package->filename,
		package->sha256,
		info->summary,
		package->who,
	};
	sqlite3_stmt *statement;

	statement = db_prepare(writer,
			       "INSERT INTO packages (kind, name, version, arch, filename, sha256,"
			       " summary, uploaded_by, size, public, uploaded_at)"
			       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	if (!statement)
		return -EIO;
	for (int i = 0; i < 8; i++)
		db_bind_text(statement, i + 1, texts[i]);
	sqlite3_bind_int64(statement, 9, (int64_t)package->size);
	sqlite3_bind_int(statement, 10, !strcmp(package->visibility, "public"));
	sqlite3_bind_int64(statement, 11, package->now);
	return db_run(statement);
}

int64_t catalog_insert(sqlite3 *writer, const struct catalog_new *package, struct problem *problem)
{
	int64_t id = 0;
	int err = check_arch(writer, package->info, problem);

	if (!err)
		err = insert_row(writer, package);
	if (!err) {
		id = sqlite3_last_insert_rowid(writer);
		err = insert_tenants(writer, id, package->visibility, problem);
	}
	if (err && !problem->status)
		problem_errno(problem, err, "upload");
	return err ? err : id;
}

struct found {
	char label[3 * NAME_MAX_LEN + 64];
	char sha256[NAME_DIGEST_LEN + 1];
};

static int copy_found(const struct catalog_row *row, void *arg)
{
	struct found *found = arg;

	snprintf(found->label, sizeof(found->label), "%s %s%s%s%s%s", row->kind, row->name,
		 *row->version ? " " : "", row->version, *row->arch ? " " : "", row->arch);
	snprintf(found->sha256, sizeof(found->sha256), "%s", row->sha256);
	return 1;
}

static int no_such_package(struct problem *problem, int64_t id)
{
	return problem_set(problem, 404, "not-found", "\"sluice-repo list\" shows the ids",
			   "no package has the id %lld", (long long)id);
}

static int run_with_id(sqlite3 *writer, const char *sql, int64_t id)
{
	sqlite3_stmt *statement = db_prepare(writer, sql);

	if (statement)
		sqlite3_bind_int64(statement, 1, id);
	return db_run(statement);
}

int catalog_delete_locked(struct db *db, struct store *store, const char *who, int64_t id,
			  struct problem *problem)
{
	struct catalog_filter filter = { .id = id, .limit = 1 };
	struct found found = { 0 };
	sqlite3 *writer = db_begin(db);
	bool last;
	int err;

	if (!writer)
		return problem_errno(problem, -errno, "delete");
	err = catalog_each(writer, &filter, copy_found, &found);
	if (err != 1) {
		db_rollback(db);
		return err ? problem_errno(problem, err, "delete") : no_such_package(problem, id);
	}
	err = catalog_digest_leaves(writer, id);
	if (!err)
		err = run_with_id(writer, "DELETE FROM packages WHERE id = ?", id);
	if (!err)
		err = db_audit(writer, who, "delete", found.label, found.sha256);
	last = !catalog_digest_used(writer, found.sha256);
	if (err)
		db_rollback(db);
	else
		err = db_commit(db);
	/* The row is gone for good before the bytes go: the reverse could lose a package. */
	if (!err && last)
		store_blob_remove(store, found.sha256);
	return err ? problem_errno(problem, err, "delete") : 0;
}

int catalog_delete(struct db *db, struct store *store, const char *who, int64_t id,
		   struct problem *problem)
{
	int result;

	pthread_mutex_lock(&store->mutex);
	result = catalog_delete_locked(db, store, who, id, problem);
	pthread_mutex_unlock(&store->mutex);
	return result;
}

int catalog_set_visibility(struct db *db, const char *who, int64_t id, const char *visibility,
			   struct problem *problem)
{
	struct catalog_filter filter = { .id = id, .limit = 1 };
	struct found found = { 0 };
	sqlite3_stmt *statement;
	sqlite3 *writer;
	int err;

	writer = db_begin(db);
	if (!writer)
		return problem_errno(problem, -errno, "visibility");
	err = catalog_each(writer, &filter, copy_found, &found);
	if (err != 1) {
		db_rollback(db);
		return err ? problem_errno(problem, err, "visibility")
			   : no_such_package(problem, id);
	}
	statement = db_prepare(writer, "UPDATE packages SET public = ?2 WHERE id = ?1");
	if (statement) {
		sqlite3_bind_int64(statement, 1, id);
		sqlite3_bind_int(statement, 2, !strcmp(visibility, "public"));
	}
	err = db_run(statement);
	if (!err)
		err = run_with_id(writer, "DELETE FROM package_tenants WHERE package = ?", id);
	if (!err)
		err = insert_tenants(writer, id, visibility, problem);
	if (!err)
		err = db_audit(writer, who, "visibility", found.label, visibility);
	if (err)
		db_rollback(db);
	else
		err = db_commit(db);
	if (err && !problem->status)
		problem_errno(problem, err, "visibility");
	return err ? -1 : 0;
}
