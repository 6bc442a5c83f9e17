/* SPDX-License-Identifier: BSD-2-Clause */
/* Packages and who sees them; the log: who did what. */
#include "page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/text.h"

#define ROWS 200

static void put_size(FILE *out, uint64_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)size;
	unsigned unit = 0;

	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	fprintf(out, unit ? "<td class=n>%.1f %s</td>" : "<td class=n>%.0f %s</td>", value,
		units[unit]);
}

static void put_visibility(FILE *out, const struct catalog_row *row)
{
	const char *name = row->tenants;
	char tenant[NAME_TENANT_MAX + 1];

	fputs("<td>", out);
	if (row->is_public)
		fputs("<span class=\"tag public\">public</span>", out);
	else if (!*name)
		fputs("nobody", out);
	while (!row->is_public && *name) {
		size_t len = strcspn(name, ",");

		snprintf(tenant, sizeof(tenant), "%.*s", (int)len, name);
		fputs("<span class=tag>", out);
		page_text(out, tenant);
		fputs("</span>", out);
		name += len + (name[len] == ',');
	}
	fputs("</td>", out);
}

struct table {
	FILE *out;
	unsigned rows;
	int64_t last;
};

static int put_row(const struct catalog_row *row, void *arg)
{
	struct table *table = arg;
	FILE *out = table->out;

	if (table->rows == ROWS)
		return 1;
	table->rows++;
	table->last = row->id;
	fprintf(out, "<tr><td class=n>%lld</td><td><a href=\"./v1/packages/%lld/content\">",
		(long long)row->id, (long long)row->id);
	page_text(out, row->name);
	fputs("</a><br><small>", out);
	page_text(out, row->summary);
	fputs("</small></td>", out);
	page_cell(out, row->version);
	page_cell(out, row->arch);
	page_cell(out, row->kind);
	put_size(out, row->size);
	put_visibility(out, row);
	page_cell(out, row->uploaded_by);
	page_time(out, row->uploaded_at);
	fprintf(out, "<td><code title=\"%s\">%.12s…</code></td></tr>\n", row->sha256, row->sha256);
	return 0;
}

static void put_search(FILE *out, const char *query)
{
	char shown[REQUEST_PATH_MAX];

	/* The page is UTF-8, whatever was asked. */
	text_copy(shown, sizeof(shown), query ? query : "", false);
	fputs("<form method=get action=\"./\"><label>Search <input type=search name=q value=\"",
	      out);
	page_text(out, shown);
	fputs("\"></label> <input type=submit value=Go></form>\n", out);
}

/* The link's query is made of what the form allows: encoded byte by byte. */
static void put_more(FILE *out, const char *query, int64_t last)
{
	fprintf(out, "<p><a href=\"./?after=%lld", (long long)last);
	if (query)
		fputs("&amp;q=", out);
	for (; query && *query; query++)
		fprintf(out, "%%%02X", (unsigned char)*query);
	fputs("\">More</a></p>\n", out);
}

void page_packages(struct request *request)
{
	const char *query = request_argument(request, "q"),
		   *after = request_argument(request, "after");
	struct catalog_filter filter = { .query = query && *query ? query : NULL,
					 .limit = ROWS + 1 };
	struct table table = { .rows = 0 };
	uint64_t number = 0;
	char *text = NULL;
	size_t size;
	int stopped;

	if (after && !name_number(after, INT64_MAX, &number))
		filter.after = (int64_t)number;
	table.out = open_memstream(&text, &size);
	if (!table.out) {
		problem_errno(&request->problem, -12, "page");
		reply_problem(request);
		return;
	}
	page_head(table.out, "Packages", 0);
	put_search(table.out, query);
	fputs("<table><thead><tr><th class=n>Id<th>Name<th>Version<th>Arch<th>Kind<th "
	      "class=n>Size<th>Visible to"
	      "<th>By<th>Uploaded (UTC)<th>SHA-256</tr></thead><tbody>\n",
	      table.out);
	stopped = catalog_each(db_reader(request->repod->db), &filter, put_row, &table);
	fputs("</tbody></table>\n", table.out);
	if (stopped < 0)
		fputs("<p>The list is not complete: the database could not be read.</p>",
		      table.out);
	else if (!table.rows)
		fputs("<p>Nothing here. <code>sluice-repo upload FILE</code> changes that.</p>",
		      table.out);
	if (stopped > 0)
		put_more(table.out, filter.query, table.last);
	page_end(request, table.out, &text);
}

void page_log(struct request *request)
{
	sqlite3 *reader = db_reader(request->repod->db);
	sqlite3_stmt *statement;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	statement = reader ? db_prepare(reader, "SELECT at, who, action, subject, detail FROM audit"
						" ORDER BY id DESC LIMIT 500")
			   : NULL;
	if (!out || !statement) {
		if (out)
			fclose(out);
		free(text);
		problem_errno(&request->problem, -5, "page");
		reply_problem(request);
		return;
	}
	page_head(out, "Log: the last 500 changes", 0);
	fputs("<table><thead><tr><th>When (UTC)<th>Who<th>What<th>Subject<th>Detail</tr></thead>"
	      "<tbody>\n",
	      out);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		fputs("<tr>", out);
		page_time(out, sqlite3_column_int64(statement, 0));
		for (int i = 1; i < 5; i++)
			page_cell(out, db_text(statement, i));
		fputs("</tr>\n", out);
	}
	db_done(statement);
	fputs("</tbody></table>\n", out);
	page_end(request, out, &text);
}
