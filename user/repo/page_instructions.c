/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How far VMs are with what they were told: sums by tenant, then the last operations. While
 * something is under way the browser is asked to load the page again.
 */
#include "page.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/instruction.h"
#include "instruct.h"
#include "waiters.h"

#define ROWS	200
#define REFRESH 3

struct sums {
	char tenant[NAME_TENANT_MAX + 1];
	unsigned instances, online;
	json_int_t counts[5];
};

static const char *const counts[] = { "pending", "running", "done", "failed", "cancelled" };
#define COUNTS 5

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static bool is_online(struct request *request, const json_t *row)
{
	return waiters_has(request->repod->waiters, text_of(row, "tenant"),
			   text_of(row, "instance"));
}

/* A link to this page for one tenant, or one VM of it; every byte of a name is encoded. */
static void put_link(FILE *out, const char *tenant, const char *instance)
{
	fputs("<td><a href=\"./instructions?tenant=", out);
	for (const char *c = tenant; *c; c++)
		fprintf(out, "%%%02X", (unsigned char)*c);
	if (instance)
		fputs("&amp;instance=", out);
	for (const char *c = instance ? instance : ""; *c; c++)
		fprintf(out, "%%%02X", (unsigned char)*c);
	fputs("\">", out);
	page_text(out, instance ? instance : tenant);
	fputs("</a></td>", out);
}

static void put_sums(FILE *out, const struct sums *sums)
{
	if (!sums->instances)
		return;
	fputs("<tr>", out);
	put_link(out, sums->tenant, NULL);
	fprintf(out, "<td class=n>%u</td><td class=n>%u</td>", sums->instances, sums->online);
	for (int i = 0; i < COUNTS; i++)
		fprintf(out, "<td class=n>%lld</td>", (long long)sums->counts[i]);
	fputs("</tr>\n", out);
}

/* Rows come sorted by tenant. */
static void put_tenants(struct request *request, FILE *out, const json_t *rows)
{
	struct sums sums = { .instances = 0 };
	const json_t *row;
	size_t i;

	fputs("<table class=sums><thead><tr><th>Tenant<th class=n>VMs<th class=n>Agents waiting"
	      "<th class=n>Pending<th class=n>Running<th class=n>Done<th class=n>Failed"
	      "<th class=n>Cancelled</tr></thead><tbody>\n",
	      out);
	json_array_foreach (rows, i, row) {
		if (strcmp(sums.tenant, text_of(row, "tenant")) != 0) {
			put_sums(out, &sums);
			memset(&sums, 0, sizeof(sums));
			snprintf(sums.tenant, sizeof(sums.tenant), "%s", text_of(row, "tenant"));
		}
		sums.instances++;
		sums.online += is_online(request, row);
		for (int j = 0; j < COUNTS; j++)
			sums.counts[j] += json_integer_value(json_object_get(row, counts[j]));
	}
	put_sums(out, &sums);
	fputs("</tbody></table>\n", out);
}

static void put_state(FILE *out, const json_t *operation)
{
	const char *state = text_of(operation, "state");
	json_int_t percent = json_integer_value(json_object_get(operation, "percent"));

	/* A state is one of five words; the class is never a VM's text. */
	fprintf(out, "<td><span class=\"tag %s\">%s</span></td><td class=n>", state, state);
	if (!strcmp(state, "running"))
		fprintf(out, "<progress max=100 value=%lld></progress>", (long long)percent);
	if (strcmp(state, "pending") != 0 && strcmp(state, "cancelled") != 0)
		fprintf(out, "%lld %%", (long long)percent);
	fputs("</td>", out);
}

static void put_what(FILE *out, const json_t *operation)
{
	const json_t *package;
	size_t i;

	fputs("<td>", out);
	page_text(out, text_of(operation, "action"));
	json_array_foreach (json_object_get(operation, "packages"), i, package) {
		fputc(' ', out);
		page_text(out, json_string_value(package) ? json_string_value(package) : "");
	}
	if (*text_of(operation, "message")) {
		fputs("<br><small>", out);
		page_text(out, text_of(operation, "message"));
		fputs("</small>", out);
	}
	if (*text_of(operation, "log")) {
		fputs("<details><summary>last lines</summary><pre>", out);
		page_text(out, text_of(operation, "log"));
		fputs("</pre></details>", out);
	}
	fputs("</td>", out);
}

static void put_operations(struct request *request, FILE *out, const json_t *list)
{
	const json_t *operation;
	size_t i;

	fputs("<h2>Operations</h2><table><thead><tr><th>Changed "
	      "(UTC)<th>Tenant<th>Instance<th>Agent"
	      "<th>State<th class=n>Progress<th>What<th>By<th>Id</tr></thead><tbody>\n",
	      out);
	json_array_foreach (list, i, operation) {
		fputs("<tr>", out);
		page_time(out, json_integer_value(json_object_get(operation, "updated_at")));
		put_link(out, text_of(operation, "tenant"), NULL);
		put_link(out, text_of(operation, "tenant"), text_of(operation, "instance"));
		page_cell(out, is_online(request, operation) ? "waits" : "");
		put_state(out, operation);
		put_what(out, operation);
		page_cell(out, text_of(operation, "created_by"));
		fputs("<td><code>", out);
		page_text(out, text_of(operation, "id"));
		fputs("</code></td></tr>\n", out);
	}
	fputs("</tbody></table>\n", out);
	if (!json_array_size(list))
		fputs("<p>Nothing here. <code>sluice-repo instruct</code> changes that.</p>", out);
}

/* Is there anything that can move by itself? */
static bool is_moving(const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row)
		if (json_integer_value(json_object_get(row, "pending")) ||
		    json_integer_value(json_object_get(row, "running")))
			return true;
	return false;
}

void page_instructions(struct request *request)
{
	const char *tenant = request_argument(request, "tenant"),
		   *instance = request_argument(request, "instance");
	sqlite3 *reader = db_reader(request->repod->db);
	json_t *rows = instruct_report(reader, tenant);
	json_t *list = rows ? instruct_list(reader, tenant, instance, ROWS) : NULL;
	char *text = NULL;
	size_t size;
	FILE *out = list ? open_memstream(&text, &size) : NULL;

	if (out) {
		page_head(out, "Instructions to VMs", is_moving(rows) ? REFRESH : 0);
		if (tenant)
			fputs("<p><a href=\"./instructions\">All tenants</a></p>\n", out);
		put_tenants(request, out, rows);
		put_operations(request, out, list);
		page_end(request, out, &text);
	} else {
		problem_errno(&request->problem, -5, "page");
		reply_problem(request);
	}
	json_decref(rows);
	json_decref(list);
}
