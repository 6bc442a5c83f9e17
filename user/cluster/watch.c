/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/progress.h"
#include "../lib/text.h"
#include "swarm.h"

#define BAR_WIDTH   20
#define COLUMNS_BAR 80 /* a terminal so wide has room for the bar */

static const char *size_text(int64_t bytes, char *ret, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	snprintf(ret, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return ret;
}

void watch_begin(struct watch *watch, bool quiet)
{
	*watch = (struct watch){ .terminal = progress_terminal(STDOUT_FILENO),
				 .quiet = quiet,
				 .shown = json_object() };
}

static const char *entry_text(const struct member *member, const struct entry *entry)
{
	if (*entry->state)
		return entry->state;
	if (member->failed)
		return "-";
	return entry->stage ? "asked" : "waiting";
}

/* Cut, so that a line is a line of the terminal. */
static void draw_entry(const struct member *member, const struct entry *entry, unsigned columns)
{
	char line[160], bar[BAR_WIDTH + 1], amount[40] = "", rate[32];
	int64_t percent = entry_done(entry) ? 100 : entry->percent;

	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < percent * BAR_WIDTH / 100 ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	if (!strcmp(entry->state, "sending"))
		snprintf(amount, sizeof(amount), "  %s/s",
			 size_text(entry->rate, rate, sizeof(rate)));
	if (columns >= COLUMNS_BAR)
		snprintf(line, sizeof(line), "%-14.14s %-20.20s %-11s [%s] %3lld %%%s",
			 member->name, entry->name, entry_text(member, entry), bar,
			 (long long)percent, amount);
	else
		snprintf(line, sizeof(line), "%3lld %% %-11s %s %s", (long long)percent,
			 entry_text(member, entry), member->name, entry->name);
	printf("\033[K%.*s\n", (int)columns - 1, line);
}

/* What fits on the terminal: where something goes on or went wrong, and how many are not shown. */
static bool is_quiet(const struct member *member, const struct entry *entry)
{
	const char *state = entry_text(member, entry);

	return entry_done(entry) || !strcmp(state, "waiting") || !strcmp(state, "-");
}

static void draw(struct watch *watch, const struct schedule *schedule)
{
	unsigned columns, lines, all = 0, done = 0, left_out = 0;

	progress_size(STDOUT_FILENO, &columns, &lines);
	for (size_t i = 0; i < schedule->count; i++)
		all += (unsigned)schedule->members[i].count;
	if (watch->lines)
		printf("\033[%uA", watch->lines);
	watch->lines = 0;
	for (size_t i = 0; i < schedule->count; i++)
		for (size_t k = 0; k < schedule->members[i].count; k++) {
			const struct member *member = &schedule->members[i];
			const struct entry *entry = &member->entries[k];

			done += entry_done(entry);
			if (all + 1 > lines &&
			    (is_quiet(member, entry) || watch->lines + 2 >= lines)) {
				left_out++;
				continue;
			}
			draw_entry(member, entry, columns);
			watch->lines++;
		}
	if (left_out) {
		printf("\033[K%u of %u done, %u not shown\n", done, all, left_out);
		watch->lines++;
	}
	/* Below it may stand what was drawn before, when more went on. */
	fputs("\033[J", stdout);
	fflush(stdout);
}

/* A line for every state that was not there before. */
static void print_changes(struct watch *watch, const struct schedule *schedule)
{
	char key[200];

	for (size_t i = 0; i < schedule->count; i++) {
		for (size_t k = 0; k < schedule->members[i].count; k++) {
			const struct member *member = &schedule->members[i];
			const struct entry *entry = &member->entries[k];
			const char *before;

			snprintf(key, sizeof(key), "%s %s", member->name, entry->name);
			before = json_string_value(json_object_get(watch->shown, key));
			if (!*entry->state || (before && !strcmp(before, entry->state)))
				continue;
			json_object_set_new(watch->shown, key, json_string(entry->state));
			printf("%-14s %-20s %-11s ", member->name, entry->name, entry->state);
			if (!strcmp(entry->state, "failed"))
				text_put(stdout, entry->message);
			putchar('\n');
		}
	}
	fflush(stdout);
}

/* Who sends wrong pieces is named at once, above the table. */
static void show_liars(struct watch *watch, const struct schedule *schedule)
{
	json_t *rows = swarm_sources_of_run(&schedule->cluster->state, schedule->run), *row;
	char key[200];
	size_t i;

	json_array_foreach (rows, i, row) {
		const char *node = json_string_value(json_object_get(row, "node"));
		const char *peer = json_string_value(json_object_get(row, "peer"));

		snprintf(key, sizeof(key), "%s <- %s", node, peer);
		if (!json_integer_value(json_object_get(row, "wrong")) ||
		    json_object_get(watch->shown, key))
			continue;
		json_object_set_new(watch->shown, key, json_true());
		if (watch->lines)
			printf("\033[%uA", watch->lines);
		watch->lines = 0;
		printf("%s%s got wrong pieces from %s: it does not ask it any more\n",
		       watch->terminal ? "\033[K" : "", node, peer);
	}
	json_decref(rows);
}

void watch_show(struct watch *watch, const struct schedule *schedule)
{
	if (watch->quiet)
		return;
	if (schedule->mode == CONFIG_SWARM)
		show_liars(watch, schedule);
	if (watch->terminal)
		draw(watch, schedule);
	else
		print_changes(watch, schedule);
}

void watch_end(struct watch *watch)
{
	json_decref(watch->shown);
}
