/* SPDX-License-Identifier: BSD-2-Clause */
#include "render.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool colours;

void render_init(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	colours = isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb");
}

static const char *tint_code(enum tint tint)
{
	static const char *const codes[] = {
		[TINT_NONE] = "",	   [TINT_GOOD] = "\033[32m", [TINT_WARN] = "\033[33m",
		[TINT_BAD] = "\033[1;31m", [TINT_DIM] = "\033[2m",   [TINT_BOLD] = "\033[1m",
	};

	return codes[tint];
}

/* The daemon's words quote names of interfaces and files: nothing in them may reach a terminal
 * as a command. */
static void put_plain(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

void render_tinted(enum tint tint, const char *text)
{
	if (colours && tint != TINT_NONE)
		fputs(tint_code(tint), stdout);
	put_plain(text);
	if (colours && tint != TINT_NONE)
		fputs("\033[0m", stdout);
}

void render_heading(const char *text)
{
	putchar('\n');
	render_tinted(TINT_BOLD, text);
	putchar('\n');
}

void table_column(struct table *table, const char *title, bool right)
{
	table->titles[table->columns] = title;
	table->right[table->columns++] = right;
}

void table_cell(struct table *table, enum tint tint, const char *format, ...)
{
	struct table_cell *cell;
	va_list args;

	if (table->cells_count == table->cells_cap) {
		table->cells_cap = table->cells_cap ? 2 * table->cells_cap : 64;
		table->cells = realloc(table->cells, table->cells_cap * sizeof(*table->cells));
		if (!table->cells)
			abort();
	}
	cell = &table->cells[table->cells_count++];
	cell->tint = tint;
	va_start(args, format);
	if (vasprintf(&cell->text, format, args) < 0)
		abort();
	va_end(args);
}

/* Columns a text takes: UTF-8 continuation bytes take none. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* No blanks at the end of a line. */
static void put_cell(const struct table *table, unsigned column, int width, const char *text,
		     enum tint tint)
{
	int space = width - width_of(text);

	if (!*text && column + 1 == table->columns)
		return;
	fputs("  ", stdout);
	if (table->right[column])
		printf("%*s", space, "");
	render_tinted(tint, text);
	if (!table->right[column] && column + 1 < table->columns)
		printf("%*s", space, "");
}

void table_print(struct table *table)
{
	int widths[TABLE_COLUMNS_MAX] = { 0 };

	for (unsigned c = 0; c < table->columns; c++)
		widths[c] = table->titles[c] ? width_of(table->titles[c]) : 0;
	for (size_t i = 0; i < table->cells_count; i++) {
		int width = width_of(table->cells[i].text);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	if (table->titles[0]) {
		for (unsigned c = 0; c < table->columns; c++)
			put_cell(table, c, widths[c], table->titles[c], TINT_DIM);
		putchar('\n');
	}
	for (size_t i = 0; i < table->cells_count; i++) {
		unsigned column = (unsigned)(i % table->columns);

		put_cell(table, column, widths[column], table->cells[i].text, table->cells[i].tint);
		if (column + 1 == table->columns)
			putchar('\n');
		free(table->cells[i].text);
	}
	free(table->cells);
	table->cells = NULL;
	table->cells_count = table->cells_cap = 0;
}

const char *human_count(uint64_t value, char ret[HUMAN_MAX])
{
	static const char units[] = "kMGTPE";
	double scaled = (double)value;
	int unit = -1;

	if (value < 10000) {
		snprintf(ret, HUMAN_MAX, "%llu", (unsigned long long)value);
		return ret;
	}
	for (; scaled >= 999.95; unit++)
		scaled /= 1000;
	snprintf(ret, HUMAN_MAX, "%.1f%c", scaled, units[unit]);
	return ret;
}

const char *human_bytes(uint64_t value, char ret[HUMAN_MAX])
{
	static const char units[] = "KMGTPE";
	double scaled = (double)value;
	int unit = -1;

	if (value < 1024) {
		snprintf(ret, HUMAN_MAX, value ? "%llu B" : "0", (unsigned long long)value);
		return ret;
	}
	for (; scaled >= 1023.95; unit++)
		scaled /= 1024;
	snprintf(ret, HUMAN_MAX, "%.1f %ciB", scaled, units[unit]);
	return ret;
}

const char *human_seconds(uint64_t value, char ret[HUMAN_MAX])
{
	unsigned long long s = value;

	if (s < 60)
		snprintf(ret, HUMAN_MAX, "%llus", s);
	else if (s < 3600)
		snprintf(ret, HUMAN_MAX, "%llum %llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(ret, HUMAN_MAX, "%lluh %llum", s / 3600, s % 3600 / 60);
	else
		snprintf(ret, HUMAN_MAX, "%llud %lluh", s / 86400, s % 86400 / 3600);
	return ret;
}

const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : "-";
}

uint64_t json_number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

bool json_flag(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

void render_json(const json_t *data)
{
	json_dumpf(data, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
	putchar('\n');
}

enum tint tint_of_state(const char *state)
{
	static const struct {
		const char *state;
		enum tint tint;
	} known[] = {
		{ "attached", TINT_GOOD }, { "ready", TINT_GOOD },    { "running", TINT_GOOD },
		{ "serving", TINT_GOOD },  { "conflict", TINT_WARN }, { "starting", TINT_WARN },
		{ "draining", TINT_WARN }, { "-", TINT_DIM },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].state, state))
			return known[i].tint;
	return TINT_BAD;
}
