/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of bytes, whichever packages they are: who may have them. That is asked for every
 * download from a published tree, which holds for a while what was deleted: so it is known of
 * that as well, for good, as the audit log knows each deletion.
 */
#include "catalog.h"

bool catalog_digest_visible(sqlite3 *reader, const char *sha256, const char *viewer)
{
	return db_ask(reader,
		      "SELECT ?1 IS NULL"
		      " OR EXISTS (SELECT 1 FROM packages WHERE sha256 = ?2 AND " CATALOG_VISIBLE
		      ")"
		      " OR (NOT EXISTS (SELECT 1 FROM packages WHERE sha256 = ?2)"
		      " AND EXISTS (SELECT 1 FROM deleted WHERE sha256 = ?2"
		      " AND (public OR instr(tenants, ',' || ?1 || ','))))",
		      viewer, sha256);
}

int catalog_digest_leaves(sqlite3 *writer, int64_t id)
{
	sqlite3_stmt *statement;

	statement = db_prepare(writer, "INSERT OR REPLACE INTO deleted SELECT sha256, public,"
				       " coalesce((SELECT ',' || group_concat(tenant) || ','"
				       " FROM package_tenants t WHERE t.package = packages.id), '')"
				       " FROM packages WHERE id = ?");
	if (statement)
		sqlite3_bind_int64(statement, 1, id);
	return db_run(statement);
}

bool catalog_digest_used(sqlite3 *sql_db, const char *sha256)
{
	return !db_ask(sql_db, "SELECT NOT EXISTS (SELECT 1 FROM packages WHERE sha256 = ?1)",
		       sha256, NULL);
}

int64_t catalog_digest_time(sqlite3 *reader, const char *sha256)
{
	sqlite3_stmt *statement;
	int64_t when = 0;

	statement = reader ? db_prepare(reader, "SELECT min(uploaded_at) FROM packages"
						" WHERE sha256 = ?")
			   : NULL;
	if (!statement)
		return 0;
	db_bind_text(statement, 1, sha256);
	if (sqlite3_step(statement) == SQLITE_ROW)
		when = sqlite3_column_int64(statement, 0);
	db_done(statement);
	return when;
}
