/* SPDX-License-Identifier: BSD-2-Clause */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "text.h"

#define COLUMNS	  80
#define LINES	  24
#define LABEL_MAX 40
#define LABEL_MIN 12
#define BAR_MAX	  24
#define BAR_MIN	  6
#define ENDS	  3 /* of a bar: a blank and two brackets */

static bool drawn;

bool progress_terminal(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

void progress_size(int fd, unsigned *ret_columns, unsigned *ret_lines)
{
	struct winsize size;
	bool known = !ioctl(fd, TIOCGWINSZ, &size);

	*ret_columns = known && size.ws_col ? size.ws_col : COLUMNS;
	*ret_lines = known && size.ws_row ? size.ws_row : LINES;
}

/* A terminal that is written its last column may go to the next line. */
static int columns_left(int taken)
{
	unsigned columns, lines;

	progress_size(STDERR_FILENO, &columns, &lines);
	return (int)columns - 1 - taken;
}

static int clamp(int value, int most)
{
	return value < 0 ? 0 : value < most ? value : most;
}

void progress_draw(const char *label, unsigned percent, const char *rest)
{
	char name[LABEL_MAX + 1], bar[BAR_MAX + 1] = "";
	int left = columns_left((int)strlen("  100 %  ") - 1 + (int)strlen(rest));
	int width = clamp(left - LABEL_MIN - ENDS, BAR_MAX);

	percent = percent < 100 ? percent : 100;
	if (width >= BAR_MIN) {
		memset(bar, '.', (size_t)width);
		memset(bar, '#', percent * (unsigned)width / 100);
		left -= width + ENDS;
	}
	text_copy(name, (size_t)clamp(left, LABEL_MAX) + 1, label, false);
	if (*bar)
		fprintf(stderr, "\r%s [%s] %3u %%  %s\033[K", name, bar, percent, rest);
	else
		fprintf(stderr, "\r%s %3u %%  %s\033[K", name, percent, rest);
	drawn = true;
}

void progress_say(const char *what, const char *name)
{
	char line[128];
	int left = columns_left(0);

	snprintf(line, sizeof(line), "%s %s", what, name);
	text_clean(line, strlen(line), false);
	fprintf(stderr, "\r%.*s\033[K", left, line);
	drawn = true;
}

void progress_clear(void)
{
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
}
