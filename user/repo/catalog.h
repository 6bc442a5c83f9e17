/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packages in the database: who may see them, finding, adding, deleting. A viewer
 * is a tenant's name, "" for somebody who sees only what is public, or NULL for a role
 * of the management side, who sees everything.
 */
#ifndef REPO_CATALOG_H
#define REPO_CATALOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "db.h"
#include "package.h"
#include "problem.h"
#include "store.h"

#define CATALOG_TENANTS_MAX 256	  /* tenants of one package */
#define CATALOG_LIMIT_MAX   10000 /* rows of one answer */
/* Of all packages together: each is a tree to publish, or an index in each of them. */
#define CATALOG_ALL_TENANTS_MAX 4000
#define CATALOG_ARCHES_MAX	32

/* Pointers are valid during the callback only. */
struct catalog_row {
	int64_t id, uploaded_at;
	uint64_t size;
	bool is_public;
	const char *kind, *name, *version, *arch, *filename, *sha256, *summary, *uploaded_by;
	const char *tenants; /* comma-separated, sorted */
};

/* NULL or 0: any. */
struct catalog_filter {
	const char *viewer;
	const char *query; /* in name, file name or summary, case ignored */
	const char *kind, *name, *version, *arch, *filename, *sha256;
	int64_t id, after; /* after: ids above it */
	int64_t limit;
};

/* Calls each for every row by rising id, until it returns non-zero. That, 0, or -errno. */
int catalog_each(sqlite3 *reader, const struct catalog_filter *filter,
		 int (*each)(const struct catalog_row *row, void *arg), void *arg);

/* Of a row of packages, for the viewer ?1. */
#define CATALOG_VISIBLE                                                                            \
	"(?1 IS NULL OR public OR EXISTS (SELECT 1 FROM package_tenants t"                         \
	" WHERE t.package = packages.id AND t.tenant = ?1))"

/*
 * May this viewer have the bytes of this digest? When no row has it any more, who might see the
 * last one that did still may: clients half-way find it where it was published.
 */
bool catalog_digest_visible(sqlite3 *reader, const char *sha256, const char *viewer);
/* Keeps who may see a package that is about to be deleted, in that transaction. 0 or -errno. */
int catalog_digest_leaves(sqlite3 *writer, int64_t id);
/* Does any row have this digest? True also when that cannot be found out. */
bool catalog_digest_used(sqlite3 *sql_db, const char *sha256);
/* When the first package of this digest came; 0 when there is none. */
int64_t catalog_digest_time(sqlite3 *reader, const char *sha256);

/* A row as JSON; without full, only what a tenant may know. */
json_t *catalog_json(const struct catalog_row *row, bool full);

/*
 * Checks "public", "none" or "blue,red" and returns it sorted, without duplicates, malloc'd;
 * NULL when it is wrong (or memory is out).
 */
char *catalog_visibility_parse(const char *text);

/* Looks for the row of the same kind, name, version and arch: its id, or 0. */
int64_t catalog_same(sqlite3 *sql_db, const struct package_info *info, char ret_sha256[65]);

struct catalog_new {
	const struct package_info *info;
	const char *filename, *sha256, *visibility, *who;
	uint64_t size;
	int64_t now;
};
/* Within the writer's transaction. Returns the id; or -errno and *problem. */
int64_t catalog_insert(sqlite3 *writer, const struct catalog_new *package, struct problem *problem);

/* Deletes a row and, when it was the last to name it, the blob. 0 or -1 and *problem. */
int catalog_delete(struct db *db, struct store *store, const char *who, int64_t id,
		   struct problem *problem);
/* The same for who holds the store's mutex. */
int catalog_delete_locked(struct db *db, struct store *store, const char *who, int64_t id,
			  struct problem *problem);
/* visibility as parsed above. 0 or -1 and *problem. */
int catalog_set_visibility(struct db *db, const char *who, int64_t id, const char *visibility,
			   struct problem *problem);

#endif
