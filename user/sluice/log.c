/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice log: what VMs asked for. The daemon hands over a descriptor of the access log, so
 * that everybody who may read its state may read this; lines are read here, chosen and rendered by
 * log_line.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "log_line.h"
#include "render.h"

#define LINES_DEFAULT 100
#define LINES_MOST    1000000
#define NAP_MS	      200
#define NAPS_TO_LOOK  5 /* so often it is asked whether the log was rotated */

static struct {
	bool follow;
	const char *tenant;
	uint32_t lines;
} settings = { .lines = LINES_DEFAULT };

static const struct opt options[] = {
	{ .kind = OPT_FLAG,
	  .letter = 'f',
	  .name = "follow",
	  .offset = offsetof(typeof(settings), follow),
	  .help = "go on with what is logged from now on, also in a new file" },
	{ .kind = OPT_NUMBER,
	  .letter = 'n',
	  .name = "lines",
	  .value = "N",
	  .most = LINES_MOST,
	  .offset = offsetof(typeof(settings), lines),
	  .help = "how many of the last lines to print first; default 100" },
	{ .kind = OPT_TEXT,
	  .letter = 't',
	  .name = "tenant",
	  .value = "NAME",
	  .offset = offsetof(typeof(settings), tenant),
	  .help = "only requests of this tenant" },
};

/* The last lines seen, in a ring; and how they are to look. */
struct reader {
	FILE *file;
	char **last;
	size_t count, next;
	bool streaming; /* the last lines are out: print what comes */
	bool skip;	/* within a line that is none */
	bool json;
};

/* ---- the file ------------------------------------------------------------------------------- */

static void take_line(struct reader *reader, const char *line)
{
	char *text = log_line_render(line, reader->json, settings.tenant);

	if (!text)
		return;
	if (reader->streaming || !settings.lines) {
		puts(text);
		free(text);
		return;
	}
	free(reader->last[reader->next]);
	reader->last[reader->next] = text;
	reader->next = (reader->next + 1) % settings.lines;
	if (reader->count < settings.lines)
		reader->count++;
}

static void print_last(struct reader *reader)
{
	size_t at = (reader->next + settings.lines - reader->count) %
		    (settings.lines ? settings.lines : 1);

	for (size_t i = 0; i < reader->count; i++) {
		puts(reader->last[(at + i) % settings.lines]);
		free(reader->last[(at + i) % settings.lines]);
	}
	reader->count = 0;
	reader->streaming = true;
}

/* One line without its end, NUL-terminated; false: it is not complete yet, and is read later. */
static bool read_line(struct reader *reader, char line[LOG_LINE_MAX + 1])
{
	off_t begin = ftello(reader->file);
	size_t len = 0;
	int c;

	while ((c = getc_unlocked(reader->file)) != EOF && c != '\n') {
		if (len < LOG_LINE_MAX)
			line[len++] = (char)(c ? c : '?');
		else
			reader->skip = true;
	}
	line[len] = '\0';
	/* Too much for a line: nothing of it is kept, and it is not read again. */
	if (c == EOF && !reader->skip)
		fseeko(reader->file, begin, SEEK_SET);
	return c != EOF;
}

/* Everything there is up to now. */
static void read_lines(struct reader *reader)
{
	char line[LOG_LINE_MAX + 1];

	clearerr(reader->file);
	while (read_line(reader, line)) {
		if (!reader->skip)
			take_line(reader, line);
		reader->skip = false;
	}
}

static enum status open_log(const struct common *common, FILE **ret_file)
{
	json_t *data;
	int fd;
	enum status status = client_open(common, "log.open", NULL, &data, &fd);

	if (status != STATUS_OK)
		return status;
	json_decref(data);
	*ret_file = fdopen(fd, "r");
	if (!*ret_file) {
		perror("sluice log");
		close(fd);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

static bool same_file(FILE *a, FILE *b)
{
	struct stat one, other;

	return !fstat(fileno(a), &one) && !fstat(fileno(b), &other) && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

/* Goes over to the new file when the log was rotated, and to its beginning when it was cut. */
static enum status look_again(const struct common *common, struct reader *reader)
{
	FILE *now;
	struct stat st;
	enum status status = open_log(common, &now);

	if (status != STATUS_OK)
		return status;
	if (same_file(reader->file, now)) {
		fclose(now);
		if (!fstat(fileno(reader->file), &st) && st.st_size < ftello(reader->file)) {
			rewind(reader->file);
			reader->skip = false;
		}
		return STATUS_OK;
	}
	read_lines(reader); /* what came before the change */
	fclose(reader->file);
	reader->file = now;
	reader->skip = false;
	return STATUS_OK;
}

static enum status follow(const struct common *common, struct reader *reader)
{
	static const struct timespec nap = { .tv_nsec = NAP_MS * 1000000L };
	enum status status = STATUS_OK;

	for (unsigned i = 1; status == STATUS_OK; i++) {
		read_lines(reader);
		if (fflush(stdout) != 0)
			return STATUS_FAILED;
		nanosleep(&nap, NULL);
		if (i % NAPS_TO_LOOK == 0)
			status = look_again(common, reader);
	}
	return status;
}

static enum status run_log(const struct common *common, char **arguments, int count)
{
	struct reader reader = { .json = common->json };
	enum status status = open_log(common, &reader.file);

	if (status != STATUS_OK)
		return status;
	reader.last = calloc(settings.lines + 1, sizeof(*reader.last));
	if (!reader.last) {
		perror("sluice log");
		fclose(reader.file);
		return STATUS_FAILED;
	}
	read_lines(&reader);
	print_last(&reader);
	if (settings.follow)
		status = follow(common, &reader);
	fclose(reader.file);
	free(reader.last);
	return status;
}

static enum status run_rotate(const struct common *common, char **arguments, int count)
{
	json_t *data;
	enum status status = client_call(common, "log.rotate", NULL, &data);

	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(data);
	else if (json_is_null(json_object_get(data, "path")))
		puts("there is no access log; log.access in sluice.yaml turns it on");
	else
		puts("the access log was opened again");
	json_decref(data);
	return STATUS_OK;
}

const struct command command_log = {
	.name = "log",
	.summary = "Print the access log: what VMs asked for",
	.options = options,
	.options_count = sizeof(options) / sizeof(options[0]),
	.target = &settings,
	.run = run_log,
};

const struct command command_log_rotate = {
	.name = "log rotate",
	.summary = "Open the access log anew, after it was renamed",
	.run = run_rotate,
};
