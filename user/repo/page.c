/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages for a browser on the management side: what is there, who sees it, who did what.
 * Plain HTML without scripts. Everything that comes from a package or a person is escaped.
 */
#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS 200

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
	"<title>%s – sluice-repo</title><style>"
	"body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:76rem;padding:1rem 1.5rem;"
	"color:#1b2733;background:#fff}"
	"h1{font-size:1.3rem;margin:.2rem 0 1rem}nav a{margin-right:1rem}a{color:#0b5cad}"
	"table{border-collapse:collapse;width:100%%}th,td{text-align:left;padding:.35rem .6rem;"
	"border-bottom:1px solid #d9e0e6;vertical-align:top;overflow-wrap:anywhere}"
	"th{background:#f3f6f8}td.n{text-align:right;white-space:nowrap}"
	"code{font-size:.85em}.tag{background:#e3eefb;border-radius:.6rem;padding:.05rem .5rem;"
	"margin-right:.3rem;white-space:nowrap;display:inline-block}.public{background:#e0f3e4}"
	"form{margin:.5rem 0 1rem}input{font:inherit;padding:.25rem .5rem}"
	"@media(prefers-color-scheme:dark){body{background:#14191f;color:#d8e0e8}a{color:#7db8f5}"
	"th{background:#1f2831}th,td{border-color:#33404d}.tag{background:#24405f}"
	".public{background:#1f4a2b}}"
	"</style></head><body><nav><a href=\"./\">Packages</a><a "
	"href=\"./log\">Log</a></nav><h1>%s</h1>\n";

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '\'':
			fputs("&#39;", out);
			break;
		default:
			fputc(*text, out);
		}
}

static void put_cell(FILE *out, const char *text)
{
	fputs("<td>", out);
	put_escaped(out, text);
	fputs("</td>", out);
}

static void put_time(FILE *out, int64_t when)
{
	time_t seconds = (time_t)when;
	char text[32];
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &utc);
	fprintf(out, "<td class=n>%s</td>", text);
}

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
		put_escaped(out, tenant);
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
	put_escaped(out, row->name);
	fputs("</a><br><small>", out);
	put_escaped(out, row->summary);
	fputs("</small></td>", out);
	put_cell(out, row->version);
	put_cell(out, row->arch);
	put_cell(out, row->kind);
	put_size(out, row->size);
	put_visibility(out, row);
	put_cell(out, row->uploaded_by);
	put_time(out, row->uploaded_at);
	fprintf(out, "<td><code title=\"%s\">%.12s…</code></td></tr>\n", row->sha256, row->sha256);
	return 0;
}

static void finish(struct request *request, FILE *out, char **text)
{
	fputs("</body></html>\n", out);
	if (fclose(out)) {
		free(*text);
		*text = NULL;
	}
	reply_text(request, 200, "text/html; charset=utf-8", *text);
	reply_header(request, "Content-Security-Policy",
		     "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
		     "base-uri 'none'; frame-ancestors 'none'");
	reply_header(request, "Referrer-Policy", "no-referrer");
}

static void put_search(FILE *out, const char *query)
{
	fputs("<form method=get action=\"./\"><label>Search <input type=search name=q value=\"",
	      out);
	put_escaped(out, query ? query : "");
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
	fprintf(table.out, head, "Packages", "Packages");
	put_search(table.out, query);
	fputs("<table><thead><tr><th>Id<th>Name<th>Version<th>Arch<th>Kind<th>Size<th>Visible to"
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
	finish(request, table.out, &text);
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
	fprintf(out, head, "Log", "Log: the last 500 changes");
	fputs("<table><thead><tr><th>When (UTC)<th>Who<th>What<th>Subject<th>Detail</tr></thead>"
	      "<tbody>\n",
	      out);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		fputs("<tr>", out);
		put_time(out, sqlite3_column_int64(statement, 0));
		for (int i = 1; i < 5; i++)
			put_cell(out, db_text(statement, i));
		fputs("</tr>\n", out);
	}
	db_done(statement);
	fputs("</tbody></table>\n", out);
	finish(request, out, &text);
}
