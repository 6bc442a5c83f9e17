/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files over HTTP: conditions (RFC 9110 13) and single ranges (14). Several ranges in one
 * request are answered with the whole file, which every client has to accept.
 */
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct entity {
	char etag[NAME_DIGEST_LEN + 40]; /* with quotes */
	char modified[40];
	time_t mtime;
	uint64_t size;
};

enum { RANGE_NONE, RANGE_ONE, RANGE_UNSATISFIABLE };

static void print_date(time_t when, char *out, size_t size)
{
	struct tm utc;

	gmtime_r(&when, &utc);
	strftime(out, size, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

static bool parse_date(const char *text, time_t *ret_when)
{
	struct tm utc = { 0 };
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &utc);

	if (!end || *end)
		return false;
	*ret_when = timegm(&utc);
	return true;
}

/* Is etag in a list like: "a", W/"b", * */
static bool etag_listed(const char *list, const char *etag, bool weak)
{
	size_t len = strlen(etag);

	while (*list) {
		bool is_weak;

		list += strspn(list, " \t,");
		if (*list == '*')
			return true;
		is_weak = !strncmp(list, "W/", 2);
		if (is_weak)
			list += 2;
		if (!strncmp(list, etag, len) && (weak || !is_weak))
			return true;
		if (*list == '"')
			list += 1 + strcspn(list + 1, "\"");
		list += strcspn(list, ",");
	}
	return false;
}

/* 412, 304 or 0: go on. */
static unsigned check_conditions(const struct request *request, const struct entity *entity)
{
	const char *match = request_header(request, MHD_HTTP_HEADER_IF_MATCH);
	const char *unmodified = request_header(request, MHD_HTTP_HEADER_IF_UNMODIFIED_SINCE);
	const char *none = request_header(request, MHD_HTTP_HEADER_IF_NONE_MATCH);
	const char *modified = request_header(request, MHD_HTTP_HEADER_IF_MODIFIED_SINCE);
	time_t when;

	if (match) {
		if (!etag_listed(match, entity->etag, false))
			return 412;
	} else if (unmodified && parse_date(unmodified, &when) && entity->mtime > when) {
		return 412;
	}
	if (none)
		return etag_listed(none, entity->etag, true) ? 304 : 0;
	/*
	 * Equal, not "not later": a tenant whose own tree came or went is sent to one with another
	 * date, which may be an earlier one.
	 */
	return modified && parse_date(modified, &when) && entity->mtime == when ? 304 : 0;
}

static bool range_applies(const struct request *request, const struct entity *entity)
{
	const char *condition = request_header(request, MHD_HTTP_HEADER_IF_RANGE);

	if (!condition)
		return true;
	if (*condition == '"')
		return !strcmp(condition, entity->etag);
	return !strcmp(condition, entity->modified);
}

static bool take_number(const char **text, uint64_t *ret_number)
{
	char digits[21];
	size_t len = strspn(*text, "0123456789");

	if (!len || len >= sizeof(digits))
		return false;
	memcpy(digits, *text, len);
	digits[len] = '\0';
	*text += len;
	return !name_number(digits, INT64_MAX, ret_number);
}

static int parse_range(const char *text, uint64_t size, uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t first, last = INT64_MAX;

	if (strncasecmp(text, "bytes=", 6) != 0)
		return RANGE_NONE;
	text += 6;
	if (*text == '-') {
		text++;
		if (!take_number(&text, &last) || *text)
			return RANGE_NONE;
		if (!last || !size)
			return RANGE_UNSATISFIABLE;
		*ret_first = last < size ? size - last : 0;
		*ret_last = size - 1;
		return RANGE_ONE;
	}
	if (!take_number(&text, &first) || *text++ != '-')
		return RANGE_NONE;
	if ((*text && !take_number(&text, &last)) || *text || last < first)
		return RANGE_NONE;
	if (first >= size)
		return RANGE_UNSATISFIABLE;
	*ret_first = first;
	*ret_last = last < size ? last : size - 1;
	return RANGE_ONE;
}

static void add_headers(struct request *request, const struct entity *entity, const char *type,
			const char *filename)
{
	char disposition[NAME_FILENAME_MAX + 40];

	reply_header(request, MHD_HTTP_HEADER_ETAG, entity->etag);
	reply_header(request, MHD_HTTP_HEADER_LAST_MODIFIED, entity->modified);
	reply_header(request, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	reply_header(request, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
	if (request->status != 200 && request->status != 206)
		return;
	reply_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (!filename)
		return;
	snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"", filename);
	reply_header(request, MHD_HTTP_HEADER_CONTENT_DISPOSITION, disposition);
}

static void answer(struct request *request, int fd, const struct entity *entity, uint64_t first,
		   uint64_t length, unsigned status)
{
	char range[80];

	request->status = status;
	request->response = MHD_create_response_from_fd_at_offset64(length, fd, first);
	if (!request->response) {
		close(fd);
		return;
	}
	if (status != 206)
		return;
	snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)first,
		 (unsigned long long)(first + length - 1), (unsigned long long)entity->size);
	reply_header(request, MHD_HTTP_HEADER_CONTENT_RANGE, range);
}

static void answer_unsatisfiable(struct request *request, const struct entity *entity)
{
	char range[40];

	reply_empty(request, 416);
	snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)entity->size);
	reply_header(request, MHD_HTTP_HEADER_CONTENT_RANGE, range);
}

void serve_file(struct request *request, int fd, const char *etag, const char *type,
		const char *filename)
{
	const char *range = request_header(request, MHD_HTTP_HEADER_RANGE);
	struct entity entity;
	struct stat stat;
	uint64_t first = 0, last = 0;
	unsigned status;
	int kind = RANGE_NONE;

	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode)) {
		close(fd);
		problem_set(&request->problem, 404, "not-found", NULL, "there is no such file");
		reply_problem(request);
		return;
	}
	entity.mtime = stat.st_mtim.tv_sec;
	entity.size = (uint64_t)stat.st_size;
	print_date(entity.mtime, entity.modified, sizeof(entity.modified));
	if (etag)
		snprintf(entity.etag, sizeof(entity.etag), "\"%s\"", etag);
	else
		snprintf(entity.etag, sizeof(entity.etag), "\"%llx.%lx-%llx\"",
			 (unsigned long long)stat.st_mtim.tv_sec, stat.st_mtim.tv_nsec,
			 (unsigned long long)entity.size);
	status = check_conditions(request, &entity);
	if (!status && range && range_applies(request, &entity))
		kind = parse_range(range, entity.size, &first, &last);
	if (status || kind == RANGE_UNSATISFIABLE) {
		close(fd);
		if (status)
			reply_empty(request, status);
		else
			answer_unsatisfiable(request, &entity);
	} else if (kind == RANGE_ONE) {
		answer(request, fd, &entity, first, last - first + 1, 206);
	} else {
		answer(request, fd, &entity, 0, entity.size, 200);
	}
	add_headers(request, &entity, type, filename);
}
