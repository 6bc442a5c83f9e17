/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice log: what VMs asked for. The daemon hands over a descriptor of the access log, so
 * that everybody who may read its state may read this; lines are read, chosen and printed
 * here, as text or JSON, whichever of the two the file holds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

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
	bool json;
};

/* ---- one line ------------------------------------------------------------------------------ */

static bool is_one_of(const char *word, const char *const *list)
{
	while (*list && strcmp(*list, word))
		list++;
	return *list;
}

static json_t *value_of(const char *key, char *text)
{
	static const char *const numbers[] = { "status",   "in",       "out",	   "connect_ms",
					       "first_ms", "total_ms", "left_out", NULL };
	size_t len = strlen(text);

	if (text[0] == '"' && len >= 2 && text[len - 1] == '"')
		return json_stringn(text + 1, len - 2);
	if (!strcmp(text, "-"))
		return json_null();
	if (!is_one_of(key, numbers))
		return json_string(text);
	return strchr(text, '.') ? json_real(strtod(text, NULL))
				 : json_integer(strtoll(text, NULL, 10));
}

/* NULL when it is no line of an access log. */
static json_t *parse_line(char *line)
{
	json_t *object;
	char *word, *rest;

	if (line[0] == '{') {
		object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		if (object && !json_is_object(object)) {
			json_decref(object);
			object = NULL;
		}
		return object;
	}
	object = json_object();
	for (word = strtok_r(line, " ", &rest); object && word; word = strtok_r(NULL, " ", &rest)) {
		char *equal = strchr(word, '=');

		if (!equal) {
			json_decref(object);
			return NULL;
		}
		*equal = '\0';
		json_object_set_new(object, word, value_of(word, equal + 1));
	}
	return object;
}

static char *format_text(json_t *object)
{
	static const char *const quoted[] = { "method", "path", "route", "origin", NULL };
	const char *key;
	json_t *value;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	json_object_foreach (object, key, value) {
		const char *quote = is_one_of(key, quoted) ? "\"" : "";

		fprintf(out, "%s%s=", ftell(out) ? " " : "", key);
		if (json_is_string(value))
			fprintf(out, "%s%s%s", quote, json_string_value(value), quote);
		else if (json_is_integer(value))
			fprintf(out, "%lld", (long long)json_integer_value(value));
		else if (json_is_real(value))
			fprintf(out, "%.3f", json_real_value(value));
		else
			putc('-', out);
	}
	return fclose(out) ? NULL : text;
}

/* The line as it shall be printed, malloc'd; NULL when it is not wanted. */
static char *render_line(const struct reader *reader, const char *line)
{
	bool same = reader->json == (line[0] == '{');
	const char *tenant;
	char *copy = strdup(line), *text = NULL;
	json_t *object;

	if (!copy || (same && !settings.tenant))
		return copy;
	object = parse_line(copy);
	free(copy);
	tenant = json_string_value(json_object_get(object, "tenant"));
	if (object && (!settings.tenant || (tenant && !strcmp(tenant, settings.tenant)))) {
		if (same)
			text = strdup(line);
		else if (reader->json)
			text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));
		else
			text = format_text(object);
	}
	json_decref(object);
	return text;
}

/* ---- the file ------------------------------------------------------------------------------- */

static void take_line(struct reader *reader, char *line)
{
	char *text = render_line(reader, line);

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

/* Everything there is up to now. A line that is not complete yet is read again later. */
static void read_lines(struct reader *reader)
{
	static char *line;
	static size_t cap;
	ssize_t len;

	clearerr(reader->file);
	while ((len = getline(&line, &cap, reader->file)) > 0) {
		if (line[len - 1] != '\n') {
			fseek(reader->file, -len, SEEK_CUR);
			break;
		}
		line[len - 1] = '\0';
		take_line(reader, line);
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
		if (!fstat(fileno(reader->file), &st) && st.st_size < ftell(reader->file))
			rewind(reader->file);
		return STATUS_OK;
	}
	read_lines(reader); /* what came before the change */
	fclose(reader->file);
	reader->file = now;
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
	json_decref(data);
	puts(common->json ? "{}" : "the access log was opened again");
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
