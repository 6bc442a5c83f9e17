/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice top: who does what now. On a terminal a page that is drawn again and again and takes
 * keys; elsewhere, on a dumb terminal and with --once, one table over one interval.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "client.h"
#include "rates.h"
#include "render.h"

#define ANSWER_S   10
#define INTERVAL_S 2
#define LINES_MIN  6

static struct {
	bool once;
	uint32_t interval, lines;
	const char *sort;
} settings = { .interval = INTERVAL_S, .sort = "requests" };

static const struct opt options[] = {
	{ .kind = OPT_FLAG,
	  .name = "once",
	  .offset = offsetof(typeof(settings), once),
	  .help = "print one table over one interval, and end" },
	{ .kind = OPT_NUMBER,
	  .letter = 'd',
	  .name = "interval",
	  .value = "SECONDS",
	  .least = 1,
	  .most = 3600,
	  .offset = offsetof(typeof(settings), interval),
	  .help = "between two looks; default 2" },
	{ .kind = OPT_NUMBER,
	  .letter = 'n',
	  .name = "lines",
	  .value = "N",
	  .most = 100000,
	  .offset = offsetof(typeof(settings), lines),
	  .help = "show so many tenants at most" },
	{ .kind = OPT_WORD,
	  .letter = 'o',
	  .name = "sort",
	  .value = "COLUMN",
	  .words = rates_sort_words,
	  .offset = offsetof(typeof(settings), sort),
	  .help = "by which; default requests" },
};

struct view {
	enum rates_sort sort;
	bool reverse;
	unsigned columns, lines; /* of the terminal */
};

static volatile sig_atomic_t ended, resized;

/* ---- the table ------------------------------------------------------------------------------ */

static const char *human_time(uint64_t us, char ret[HUMAN_MAX])
{
	if (!us)
		return strcpy(ret, "-");
	if (us < 10000)
		snprintf(ret, HUMAN_MAX, "%.1f ms", (double)us / 1000);
	else if (us < 10000000)
		snprintf(ret, HUMAN_MAX, "%.0f ms", (double)us / 1000);
	else
		snprintf(ret, HUMAN_MAX, "%.0f s", (double)us / 1000000);
	return ret;
}

static const char *human_rate(double value, char ret[HUMAN_MAX])
{
	if (value > 0 && value < 9.95) {
		snprintf(ret, HUMAN_MAX, "%.1f", value);
		return ret;
	}
	return human_count((uint64_t)(value + 0.5), ret);
}

enum column {
	COLUMN_STATE,
	COLUMN_GUARD,
	COLUMN_REQUESTS,
	COLUMN_ERRORS,
	COLUMN_BYTES,
	COLUMN_DROPS,
	COLUMN_OPEN,
	COLUMN_P99,
	COLUMNS
};

/* needs: how wide the page must be for it; the less a column matters, the wider. */
static const struct {
	const char *title;
	int width;
	unsigned needs;
	bool left;
} columns[COLUMNS] = {
	[COLUMN_STATE] = { "STATE", 9, 80, true },    [COLUMN_GUARD] = { "GUARD", 11, 96, true },
	[COLUMN_REQUESTS] = { "REQ/S", 8, 0, false }, [COLUMN_ERRORS] = { "5XX/S", 8, 72, false },
	[COLUMN_BYTES] = { "MB/S", 8, 0, false },     [COLUMN_DROPS] = { "DROPS/S", 8, 0, false },
	[COLUMN_OPEN] = { "OPEN", 7, 60, false },     [COLUMN_P99] = { "P99", 8, 0, false },
};

static int name_width(const struct view *view)
{
	int left = (int)view->columns;

	for (unsigned i = 0; i < COLUMNS; i++)
		if (view->columns >= columns[i].needs)
			left -= columns[i].width + 1;
	return left < 8 ? 8 : left > 40 ? 40 : left;
}

static const char *cell(const struct rate *rate, enum column column, char text[HUMAN_MAX])
{
	switch (column) {
	case COLUMN_STATE:
		return rate->state;
	case COLUMN_GUARD:
		return rate->guard;
	case COLUMN_REQUESTS:
		return human_rate(rate->requests, text);
	case COLUMN_ERRORS:
		return human_rate(rate->errors, text);
	case COLUMN_BYTES:
		snprintf(text, HUMAN_MAX, "%.1f", rate->bytes / 1e6);
		return text;
	case COLUMN_DROPS:
		return human_rate(rate->drops, text);
	case COLUMN_OPEN:
		return human_count(rate->open, text);
	case COLUMN_P99:
		return human_time(rate->p99_us, text);
	case COLUMNS:
		break;
	}
	return "";
}

/* Cut, so that a line is a line of the terminal. */
static void put_line(const struct view *view, const struct rate *rate, enum tint tint)
{
	char line[512], text[HUMAN_MAX];
	int width = name_width(view);
	size_t len = (size_t)snprintf(line, sizeof(line), "%-*.*s", width, width,
				      rate ? rate->name : "TENANT");

	for (unsigned i = 0; i < COLUMNS; i++) {
		if (view->columns < columns[i].needs)
			continue;
		len += (size_t)snprintf(line + len, sizeof(line) - len,
					columns[i].left ? " %-*.*s" : " %*.*s", columns[i].width,
					columns[i].width,
					rate ? cell(rate, i, text) : columns[i].title);
	}
	while (len && line[len - 1] == ' ')
		line[--len] = '\0';
	if (len > view->columns)
		line[view->columns] = '\0';
	render_tinted(tint, line);
}

static void print_page(const struct view *view, struct rates *rates, const char *line_end)
{
	size_t most = settings.lines ? settings.lines : rates->count;

	if (view->lines && (!settings.lines || most > view->lines - LINES_MIN))
		most = view->lines > LINES_MIN ? view->lines - LINES_MIN : 1;
	rates_order(rates, view->sort, view->reverse);
	put_line(view, NULL, TINT_DIM);
	fputs(line_end, stdout);
	for (size_t i = 0; i < rates->count && i < most; i++) {
		put_line(view, &rates->rate[i],
			 !strcmp(rates->rate[i].state, "attached")
				 ? TINT_NONE
				 : tint_of_state(rates->rate[i].state));
		fputs(line_end, stdout);
	}
	put_line(view, &rates->sum, TINT_BOLD);
	fputs(line_end, stdout);
	if (rates->count > most)
		printf("%zu more tenants%s", rates->count - most, line_end);
}

/* ---- one look ------------------------------------------------------------------------------- */

static json_t *rate_json(const struct rate *rate)
{
	return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:I, s:o}", "name", rate->name,
			 "state", rate->state, "guard", rate->guard, "requests_per_s",
			 rate->requests, "errors_per_s", rate->errors, "bytes_per_s", rate->bytes,
			 "drops_per_s", rate->drops, "open", (json_int_t)rate->open, "p99_ms",
			 rate->p99_us ? json_real((double)rate->p99_us / 1000) : json_null());
}

static void print_json(const struct rates *rates)
{
	json_t *list = json_array(), *all;

	for (size_t i = 0; i < rates->count && (!settings.lines || i < settings.lines); i++)
		json_array_append_new(list, rate_json(&rates->rate[i]));
	all = json_pack("{s:f, s:o, s:o}", "seconds", rates->seconds, "all", rate_json(&rates->sum),
			"tenants", list);
	render_json(all);
	json_decref(all);
}

static enum status run_once(const struct common *common, struct view *view, json_t *before)
{
	struct timespec nap = { .tv_sec = settings.interval };
	struct rates rates;
	json_t *after;
	enum status status;

	while (nanosleep(&nap, &nap) && errno == EINTR && !ended)
		;
	status = client_call(common, "top", NULL, &after);
	if (status != STATUS_OK)
		return status;
	if (rates_compute(before, after, &rates))
		status = STATUS_FAILED;
	else if (common->json)
		rates_order(&rates, view->sort, view->reverse), print_json(&rates);
	else
		print_page(view, &rates, "\n");
	rates_free(&rates);
	json_decref(after);
	return status;
}

/* ---- the living page ---------------------------------------------------------------------------
 */

static struct termios before_raw;

static void on_signal(int number)
{
	if (number == SIGWINCH)
		resized = 1;
	else
		ended = 1;
}

static void measure(struct view *view)
{
	struct winsize size;

	view->columns = 80;
	view->lines = 24;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col && size.ws_row) {
		view->columns = size.ws_col;
		view->lines = size.ws_row;
	}
}

static void take_terminal(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct termios raw = before_raw;

	sigaction(SIGWINCH, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	fputs("\033[?1049h\033[?25l", stdout); /* the other screen, no cursor */
}

static void give_terminal_back(void)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_raw);
}

static void draw(const struct view *view, const json_t *answer, struct rates *rates)
{
	char up[HUMAN_MAX], line[256];

	fputs("\033[H", stdout);
	if (answer)
		snprintf(line, sizeof(line), "sluice %s, instance %s, up %s, %zu tenants",
			 json_text(answer, "version"), json_text(answer, "instance"),
			 human_seconds(json_number(answer, "uptime_s"), up), rates->count);
	else
		snprintf(line, sizeof(line), "sluiced does not answer; trying again");
	line[view->columns < sizeof(line) ? view->columns : sizeof(line) - 1] = '\0';
	render_tinted(answer ? TINT_NONE : TINT_BAD, line);
	printf("\033[K\r\n\033[K\r\n");
	print_page(view, rates, "\033[K\r\n");
	snprintf(line, sizeof(line), "q quit  s sort (%s%s)  r reverse  every %u s",
		 rates_sort_words[view->sort], view->reverse ? ", reversed" : "",
		 settings.interval);
	line[view->columns < sizeof(line) ? view->columns : sizeof(line) - 1] = '\0';
	render_tinted(TINT_DIM, line);
	fputs("\033[K\033[J", stdout);
	fflush(stdout);
}

/* A key was pressed; false: that was enough. */
static bool press(struct view *view, char key)
{
	switch (key) {
	case 'q':
	case 'Q':
	case 3: /* where signals from keys are off */
		return false;
	case 's':
		view->sort = (view->sort + 1) % RATES_SORTS;
		break;
	case 'S':
		view->sort = (view->sort + RATES_SORTS - 1) % RATES_SORTS;
		break;
	case 'r':
		view->reverse = !view->reverse;
		break;
	default:
		break;
	}
	return true;
}

/* Keys and changes of size until the next look is due; false: the end. */
static bool attend(struct view *view, const json_t *answer, struct rates *rates, int64_t due)
{
	struct pollfd keys = { .fd = STDIN_FILENO, .events = POLLIN };

	for (;;) {
		int64_t left = due - clock_ms(CLOCK_MONOTONIC);
		char key;

		if (ended || left <= 0)
			return !ended;
		if (poll(&keys, 1, (int)left) > 0) {
			if (read(STDIN_FILENO, &key, 1) != 1 || !press(view, key))
				return false;
		} else if (!resized) {
			continue;
		}
		resized = 0;
		measure(view);
		draw(view, answer, rates);
	}
}

static enum status run_live(const struct common *common, struct view *view, json_t *before)
{
	bool more, answered = true, first = true;
	int64_t due = clock_ms(CLOCK_MONOTONIC);
	struct rates rates;
	int fd = -1;

	more = !rates_compute(NULL, before, &rates);

	json_incref(before);
	take_terminal();
	measure(view);
	draw(view, before, &rates);
	while (more) {
		json_t *after = NULL;

		/* The second look comes soon, so that the page fills. */
		due = clock_ms(CLOCK_MONOTONIC) + (first ? 1000 : settings.interval * 1000);
		first = false;
		if (!attend(view, answered ? before : NULL, &rates, due))
			break;
		answered = client_ask(common, "top", NULL, ANSWER_S, &after, &fd) == STATUS_OK;
		if (answered) {
			rates_free(&rates);
			more = !rates_compute(before, after, &rates);
			json_decref(before);
			before = after;
		}
		measure(view);
		draw(view, answered ? before : NULL, &rates);
	}
	give_terminal_back();
	rates_free(&rates);
	json_decref(before);
	return STATUS_OK;
}

static enum rates_sort sort_of(const char *word)
{
	unsigned i = 0;

	while (rates_sort_words[i] && strcmp(rates_sort_words[i], word) != 0)
		i++;
	return i;
}

static enum status run_top(const struct common *common, char **arguments, int count)
{
	const char *term = getenv("TERM");
	struct view view = { .sort = sort_of(settings.sort), .columns = 100 };
	bool live = !settings.once && !common->json && isatty(STDOUT_FILENO) && term && *term &&
		    strcmp(term, "dumb") != 0 && !tcgetattr(STDIN_FILENO, &before_raw);
	json_t *before;
	enum status status = client_call(common, "top", NULL, &before);

	if (status != STATUS_OK)
		return status;
	status = live ? run_live(common, &view, before) : run_once(common, &view, before);
	json_decref(before);
	return status;
}

const struct command command_top = {
	.name = "top",
	.summary = "Show live what tenants do",
	.options = options,
	.options_count = sizeof(options) / sizeof(options[0]),
	.target = &settings,
	.run = run_top,
};
