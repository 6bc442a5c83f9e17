/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How replies look: aligned tables, numbers people can read, colour on terminals. Data
 * comes as JSON and goes to stdout.
 */
#ifndef SLUICE_RENDER_H
#define SLUICE_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum tint { TINT_NONE, TINT_GOOD, TINT_WARN, TINT_BAD, TINT_DIM, TINT_BOLD };

#define TABLE_COLUMNS_MAX 12

struct table_cell {
	char *text;
	enum tint tint;
};

/* Cells are added row by row; table_print() frees them. */
struct table {
	const char *titles[TABLE_COLUMNS_MAX];
	bool right[TABLE_COLUMNS_MAX]; /* numbers stand at the right */
	unsigned columns;
	struct table_cell *cells;
	size_t cells_count, cells_cap;
};

/* Decides about colour: a terminal, and neither NO_COLOR nor TERM=dumb. */
void render_init(void);
/* Prints text in a colour, when colours are on. */
void render_tinted(enum tint tint, const char *text);
/* A heading with an empty line above. */
void render_heading(const char *text);

void table_column(struct table *table, const char *title, bool right);
void table_cell(struct table *table, enum tint tint, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Without titles no heading line is printed. */
void table_print(struct table *table);

#define HUMAN_MAX 32
/* "0", "999", "12.3k", "4.5M" */
const char *human_count(uint64_t value, char ret[HUMAN_MAX]);
/* "0", "812 B", "4.0 KiB", "1.2 GiB" */
const char *human_bytes(uint64_t value, char ret[HUMAN_MAX]);
/* "12s", "3m 4s", "2h 5m", "3d 4h" */
const char *human_seconds(uint64_t value, char ret[HUMAN_MAX]);

/* Members of a JSON object; missing or of another type: "-", 0, false. */
const char *json_text(const json_t *object, const char *key);
uint64_t json_number(const json_t *object, const char *key);
bool json_flag(const json_t *object, const char *key);

/* For --json: indented, members in the order the daemon gave them. */
void render_json(const json_t *data);

/* Colours of states: attached, ready good; conflict, draining warn; the rest bad. */
enum tint tint_of_state(const char *state);

#endif
