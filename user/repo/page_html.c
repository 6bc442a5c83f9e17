/* SPDX-License-Identifier: BSD-2-Clause */
/* What all pages have in common: head, style, escaping, headers. */
#include "page.h"

#include <stdlib.h>
#include <time.h>

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
	"%s<title>%s – sluice-repo</title><style>"
	"body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:76rem;padding:1rem 1.5rem;"
	"color:#1b2733;background:#fff}"
	"h1{font-size:1.3rem;margin:.2rem 0 1rem}h2{font-size:1.1rem;margin:1.5rem 0 "
	".6rem}table.sums{width:auto}nav a{margin-right:1rem}a{color:#0b5cad}"
	"table{border-collapse:collapse;width:100%%}th,td{text-align:left;padding:.35rem .6rem;"
	"border-bottom:1px solid #d9e0e6;vertical-align:top;overflow-wrap:anywhere}"
	"th{background:#f3f6f8}td.n,th.n{text-align:right;white-space:nowrap}"
	"code{font-size:.85em}.tag{background:#e3eefb;border-radius:.6rem;padding:.05rem .5rem;"
	"margin-right:.3rem;white-space:nowrap;display:inline-block}.public{background:#e0f3e4}"
	"form{margin:.5rem 0 1rem}input{font:inherit;padding:.25rem .5rem}"
	"@media(prefers-color-scheme:dark){body{background:#14191f;color:#d8e0e8}a{color:#7db8f5}"
	"th{background:#1f2831}th,td{border-color:#33404d}.tag{background:#24405f}"
	".public{background:#1f4a2b}}"
	"progress{width:7rem;margin-right:.5rem}pre{white-space:pre-wrap;margin:.3rem 0}"
	".failed{background:#fbe0e0}.done{background:#e0f3e4}.running{background:#fff1cf}"
	"@media(prefers-color-scheme:dark){.failed{background:#5c2626}.done{background:#1f4a2b}"
	".running{background:#554418}}"
	"</style></head><body><nav><a href=\"./\">Packages</a>"
	"<a href=\"./instructions\">Instructions</a><a href=\"./log\">Log</a></nav><h1>%s</h1>\n";

void page_head(FILE *out, const char *title, unsigned refresh)
{
	char again[64] = "";

	if (refresh)
		snprintf(again, sizeof(again), "<meta http-equiv=\"refresh\" content=\"%u\">",
			 refresh);
	fprintf(out, head, again, title, title);
}

void page_text(FILE *out, const char *text)
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

void page_cell(FILE *out, const char *text)
{
	fputs("<td>", out);
	page_text(out, text);
	fputs("</td>", out);
}

void page_time(FILE *out, int64_t when)
{
	time_t seconds = (time_t)when;
	char text[32];
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &utc);
	fprintf(out, "<td>%s</td>", text);
}

void page_end(struct request *request, FILE *out, char **text)
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
