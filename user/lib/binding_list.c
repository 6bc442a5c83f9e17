/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists of bindings, and the files they stand in: a JSON object a line; empty lines and lines
 * that begin with '#' mean nothing. A line is read by itself, so that every mistake has one.
 */
#include "binding.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define MISTAKES_MAX 20 /* listed at once */

/* ---- lists ------------------------------------------------------------------------------------
 */

static int compare(const char *a_tenant, const uint8_t *a_mac, const struct binding *b)
{
	int order = strcmp(a_tenant, b->tenant);

	return order ? order : memcmp(a_mac, b->mac, sizeof(b->mac));
}

/* The first place whose binding is not before (tenant, mac). */
static size_t place(const struct binding_list *list, const char *tenant, const uint8_t *mac)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(tenant, mac, list->list[middle]) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool stands(const struct binding_list *list, size_t at, const char *tenant,
		   const uint8_t *mac)
{
	return at < list->count && !compare(tenant, mac, list->list[at]);
}

struct binding *bindings_find(const struct binding_list *list, const char *tenant,
			      const uint8_t mac[6])
{
	size_t at = place(list, tenant, mac);

	return stands(list, at, tenant, mac) ? list->list[at] : NULL;
}

size_t bindings_first(const struct binding_list *list, const char *tenant)
{
	static const uint8_t least[6];

	return place(list, tenant, least);
}

static int make_room(struct binding_list *list)
{
	size_t room = list->room ? 2 * list->room : 64;
	struct binding **grown;

	if (list->count < list->room)
		return 0;
	grown = reallocarray(list->list, room, sizeof(struct binding *));
	if (!grown)
		return -ENOMEM;
	list->list = grown;
	list->room = room;
	return 0;
}

int bindings_put(struct binding_list *list, struct binding *binding)
{
	size_t at = place(list, binding->tenant, binding->mac);
	int err;

	if (stands(list, at, binding->tenant, binding->mac)) {
		free(list->list[at]);
		list->list[at] = binding;
		return 0;
	}
	if (list->count >= BINDINGS_MAX)
		return -ENOSPC;
	err = make_room(list);
	if (err)
		return err;
	memmove(list->list + at + 1, list->list + at,
		(list->count - at) * sizeof(struct binding *));
	list->list[at] = binding;
	list->count++;
	return 0;
}

struct binding *bindings_take(struct binding_list *list, const char *tenant, const uint8_t mac[6])
{
	size_t at = place(list, tenant, mac);
	struct binding *binding;

	if (!stands(list, at, tenant, mac))
		return NULL;
	binding = list->list[at];
	list->count--;
	memmove(list->list + at, list->list + at + 1,
		(list->count - at) * sizeof(struct binding *));
	return binding;
}

void bindings_free(struct binding_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->list[i]);
	free(list->list);
	*list = (struct binding_list){ 0 };
}

/* ---- text --------------------------------------------------------------------------------------
 */

/* A binding and where it stood, until all are read. */
struct row {
	struct binding *binding;
	size_t line;
};

struct reader {
	const char *name;
	struct row *rows;
	size_t count, room;
	unsigned mistakes;
	char *why;
	bool oom;
};

__attribute__((format(printf, 3, 4))) static void complain(struct reader *reader, size_t line,
							   const char *format, ...)
{
	char message[512], *text;
	va_list args;

	if (++reader->mistakes > MISTAKES_MAX)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	/* It quotes the file: one line stays one line. */
	text_clean(message, strlen(message), false);
	if (asprintf(&text, "%s%s%s:%zu: %s", reader->why ? reader->why : "",
		     reader->why ? "\n" : "", reader->name, line, message) < 0) {
		reader->oom = true;
		return;
	}
	free(reader->why);
	reader->why = text;
}

static void keep(struct reader *reader, struct binding *binding, size_t line)
{
	if (reader->count == reader->room) {
		size_t room = reader->room ? 2 * reader->room : 64;
		struct row *grown = reallocarray(reader->rows, room, sizeof(*grown));

		if (!grown) {
			reader->oom = true;
			free(binding);
			return;
		}
		reader->rows = grown;
		reader->room = room;
	}
	reader->rows[reader->count++] = (struct row){ binding, line };
}

static void read_line(struct reader *reader, const char *text, size_t len, size_t line)
{
	char why[BINDING_WHY_MAX];
	struct binding *binding;
	json_error_t error;
	json_t *object;
	int err;

	if (len > BINDING_LINE_MAX) {
		complain(reader, line, "the line is longer than %d bytes; write one binding a line",
			 BINDING_LINE_MAX);
		return;
	}
	object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!object) {
		complain(reader, line, "column %d: %s; write one JSON object a line", error.column,
			 error.text);
		return;
	}
	err = binding_read(object, &binding, why);
	json_decref(object);
	if (err == -ENOMEM)
		reader->oom = true;
	else if (err)
		complain(reader, line, "%s", why);
	else if (reader->count == BINDINGS_MAX)
		complain(reader, line, "more than %d bindings; use another instance for the rest",
			 BINDINGS_MAX);
	if (!err && reader->count < BINDINGS_MAX)
		keep(reader, binding, line);
	else if (!err)
		free(binding);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void read_lines(struct reader *reader, const char *text, size_t len)
{
	const char *end = text + len;

	for (size_t line = 1; text < end && !reader->oom; line++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		const char *last = stop ? stop : end;

		while (text < last && is_blank(*text))
			text++;
		if (text < last && *text != '#')
			read_line(reader, text, (size_t)(last - text), line);
		/* What comes after so many is more of the same. */
		if (reader->mistakes > MISTAKES_MAX)
			break;
		text = stop ? stop + 1 : end;
	}
}

static int by_place(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = compare(x->binding->tenant, x->binding->mac, y->binding);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static void find_doubles(struct reader *reader)
{
	qsort(reader->rows, reader->count, sizeof(*reader->rows), by_place);
	for (size_t i = 1; i < reader->count; i++) {
		const struct binding *binding = reader->rows[i].binding;
		char mac[BINDING_MAC_TEXT];

		if (compare(binding->tenant, binding->mac, reader->rows[i - 1].binding))
			continue;
		binding_mac_text(binding->mac, mac);
		complain(reader, reader->rows[i].line,
			 "%s of tenant %s is bound in line %zu already; remove one of them", mac,
			 binding->tenant, reader->rows[i - 1].line);
	}
}

int bindings_parse(const char *name, const char *text, size_t len, struct binding_list *ret,
		   char **ret_why)
{
	struct reader reader = { .name = name };
	struct binding_list list = { 0 };

	*ret_why = NULL;
	read_lines(&reader, text, len);
	if (!reader.mistakes && reader.count)
		find_doubles(&reader);
	list.list = reader.oom ? NULL : calloc(reader.count + 1, sizeof(struct binding *));
	for (size_t i = 0; i < reader.count; i++)
		if (list.list && !reader.mistakes)
			list.list[list.count++] = reader.rows[i].binding;
		else
			free(reader.rows[i].binding);
	list.room = reader.count + 1;
	free(reader.rows);
	if (list.list && !reader.mistakes) {
		*ret = list;
		return 0;
	}
	if (!list.list) {
		free(reader.why);
		return -ENOMEM;
	}
	free(list.list);
	*ret_why = reader.why;
	return -EINVAL;
}

/* ---- files -------------------------------------------------------------------------------------
 */

static int read_file(int fd, char **ret_text, size_t *ret_len)
{
	struct stat st;
	size_t len = 0;
	char *text;
	ssize_t n;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	/* Who can write here can be any machine. */
	if (st.st_mode & S_IWOTH)
		return -EPERM;
	if (st.st_size > BINDINGS_FILE_MAX)
		return -EFBIG;
	if (!st.st_size)
		return -ENODATA;
	/* A byte more: one that is being written to shows. */
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while ((n = read(fd, text + len, (size_t)st.st_size + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0 || len > (size_t)st.st_size) {
		int err = n < 0 ? -errno : -EAGAIN;

		free(text);
		return err;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int bindings_load(const char *path, struct binding_list *ret, char **ret_why)
{
	/* O_NONBLOCK: a FIFO in the file's place must not hang the daemon. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	size_t len = 0;
	int err = fd < 0 ? -errno : read_file(fd, &text, &len);

	if (fd >= 0)
		close(fd);
	if (!err) {
		err = bindings_parse(path, text, len, ret, ret_why);
		free(text);
		return err;
	}
	if (asprintf(ret_why, "%s: cannot be read: %s", path,
		     err == -ENOTSUP   ? "it is no regular file"
		     : err == -EPERM   ? "everybody may write to it; run: chmod o-w"
		     : err == -ENODATA ? "it is empty; should nobody be bound, write a line '#'"
		     : err == -EAGAIN  ? "it is being written; write another one and rename it"
				       : strerror(-err)) < 0)
		*ret_why = NULL;
	return err;
}

static int write_lines(FILE *file, const struct binding_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		json_t *object = binding_write(list->list[i]);
		int bad = !object || json_dumpf(object, file, JSON_COMPACT) ||
			  putc('\n', file) == EOF;

		json_decref(object);
		if (bad)
			return -EIO;
	}
	return fflush(file) || fsync(fileno(file)) ? -errno : 0;
}

int bindings_save(const char *path, const struct binding_list *list)
{
	char fresh[PATH_MAX];
	FILE *file;
	int fd, err;

	if (!list->count)
		return unlink(path) && errno != ENOENT ? -errno : 0;
	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >= sizeof(fresh))
		return -ENAMETOOLONG;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	file = fdopen(fd, "w");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	err = write_lines(file, list);
	if (fclose(file) && !err)
		err = -errno;
	if (!err && rename(fresh, path))
		err = -errno;
	if (err)
		unlink(fresh);
	return err;
}
