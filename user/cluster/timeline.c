/* SPDX-License-Identifier: BSD-2-Clause */
/* Spans of time from the events of a run, as JSON and as a picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runs.h"
#include "swarm.h"

#define LEFT  190
#define WIDTH 800
#define LANE  22
#define TOP   50

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static int64_t number(const json_t *object, const char *key)
{
	return (int64_t)json_integer_value(json_object_get(object, key));
}

/* Which of the two an item is in: under way, or being worked on. NULL: neither. */
static const char *span_state(const char *state)
{
	if (!strcmp(state, "sending"))
		return "sending";
	if (!strcmp(state, "staged"))
		return "verifying";
	if (!strcmp(state, "installing") || !strcmp(state, "configured"))
		return "installing";
	return !strcmp(state, "removing") ? "removing" : NULL;
}

static bool same_lane(const json_t *a, const json_t *b)
{
	return !strcmp(text(a, "node"), text(b, "node")) &&
	       !strcmp(text(a, "item"), text(b, "item"));
}

json_t *timeline_make(struct cluster *cluster, const char *run, const char *mode, int64_t started,
		      int64_t ended)
{
	json_t *rows = NULL, *row, *spans = json_array(), *span;
	size_t i;

	if (state_run(&cluster->state, &rows,
		      "SELECT node, item, state, at FROM events WHERE run = ? ORDER BY node, item,"
		      " id",
		      "s", run)) {
		json_decref(spans);
		return NULL;
	}
	json_array_foreach (rows, i, row) {
		const json_t *next = json_array_get(rows, i + 1);
		const char *state = span_state(text(row, "state"));
		int64_t to = next && same_lane(row, next) ? number(next, "at") : ended;
		int64_t from = number(row, "at") < started ? started : number(row, "at");

		if (!state)
			continue;
		span = json_array_get(spans, json_array_size(spans) - 1);
		/* installing and configured are one stretch */
		if (span && same_lane(span, row) && !strcmp(text(span, "state"), state)) {
			json_object_set_new(span, "to", json_integer(to - started));
			continue;
		}
		json_array_append_new(
			spans, json_pack("{s:s, s:s, s:s, s:I, s:I}", "node", text(row, "node"),
					 "item", text(row, "item"), "state", state, "from",
					 (json_int_t)(from - started), "to",
					 (json_int_t)((to < from ? from : to) - started)));
	}
	json_decref(rows);
	return json_pack("{s:s, s:s, s:I, s:o, s:o}", "run", run, "mode", mode, "milliseconds",
			 (json_int_t)(ended - started), "spans", spans, "sources",
			 swarm_sources_of_run(&cluster->state, run));
}

static const char *color(const char *state)
{
	if (!strcmp(state, "sending"))
		return "#4c78a8";
	if (!strcmp(state, "verifying"))
		return "#72b7b2";
	return !strcmp(state, "removing") ? "#b279a2" : "#f58518";
}

/* Of what was sent to an item's node, the part that came from other nodes, in thousandths. */
static unsigned from_peers(const json_t *timeline, const json_t *span)
{
	const json_t *source;
	int64_t all = 0, peers = 0;
	size_t i;

	json_array_foreach (json_object_get(timeline, "sources"), i, source) {
		if (!same_lane(source, span))
			continue;
		all += number(source, "bytes");
		if (strcmp(text(source, "peer"), SWARM_CONTROL) != 0)
			peers += number(source, "bytes");
	}
	return all > 0 ? (unsigned)(peers * 1000 / all) : 0;
}

/* The lower part of a bar, as high as the share of peers. */
static void draw_share(FILE *out, unsigned x, unsigned y, unsigned width, unsigned thousandths)
{
	unsigned height = (LANE - 5) * thousandths / 1000;

	if (height)
		fprintf(out,
			"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"#54a24b\">"
			"<title>%u %% from other nodes</title></rect>\n",
			x, y + (LANE - 5) - height, width, height, thousandths / 10);
}

static void draw_axis(FILE *out, int64_t total, unsigned height)
{
	for (unsigned i = 0; i <= 8; i++) {
		unsigned x = LEFT + WIDTH * i / 8;

		fprintf(out,
			"<line x1=\"%u\" y1=\"%d\" x2=\"%u\" y2=\"%u\" stroke=\"#ddd\"/>"
			"<text x=\"%u\" y=\"%d\" text-anchor=\"middle\">%.1f s</text>\n",
			x, TOP - 6, x, height - 6, x, TOP - 12, (double)total * i / 8000);
	}
}

static void draw_spans(FILE *out, const json_t *timeline, int64_t total)
{
	const json_t *spans = json_object_get(timeline, "spans"), *span, *before = NULL;
	unsigned lane = 0;
	size_t i;

	json_array_foreach (spans, i, span) {
		unsigned from = (unsigned)(number(span, "from") * WIDTH / total);
		unsigned to = (unsigned)(number(span, "to") * WIDTH / total);

		if (before && !same_lane(before, span))
			lane++;
		if (!before || !same_lane(before, span))
			fprintf(out, "<text x=\"4\" y=\"%u\">%s %s</text>\n",
				TOP + lane * LANE + 14, text(span, "node"), text(span, "item"));
		fprintf(out,
			"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%d\" fill=\"%s\">"
			"<title>%s %.2f to %.2f s</title></rect>\n",
			LEFT + from, TOP + lane * LANE, to > from ? to - from : 1, LANE - 5,
			color(text(span, "state")), text(span, "state"),
			(double)number(span, "from") / 1000, (double)number(span, "to") / 1000);
		if (!strcmp(text(span, "state"), "sending"))
			draw_share(out, LEFT + from, TOP + lane * LANE, to > from ? to - from : 1,
				   from_peers(timeline, span));
		before = span;
	}
}

char *timeline_svg(const json_t *timeline)
{
	const json_t *spans = json_object_get(timeline, "spans"), *span, *before = NULL;
	int64_t total = number(timeline, "milliseconds");
	unsigned lanes = 0, height;
	char *svg = NULL;
	size_t size = 0, i;
	FILE *out;

	json_array_foreach (spans, i, span) {
		lanes += !before || !same_lane(before, span);
		before = span;
	}
	height = TOP + lanes * LANE + 10;
	out = open_memstream(&svg, &size);
	if (!out)
		return NULL;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\""
		" font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
		"<text x=\"4\" y=\"18\" font-weight=\"bold\">%s: blue sending, of that green"
		" from other nodes, teal verifying, orange installing</text>\n",
		LEFT + WIDTH + 20, height, text(timeline, "mode"));
	draw_axis(out, total, height);
	draw_spans(out, timeline, total > 0 ? total : 1);
	fputs("</svg>\n", out);
	if (fclose(out)) {
		free(svg);
		return NULL;
	}
	return svg;
}
