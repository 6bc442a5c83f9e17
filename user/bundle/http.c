/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A struct bundle_source over HTTP. Small reads here and there (the headers of a tar) take a small
 * window, reading on takes a large one; every answer has to be a range of the file that was found
 * first: the same size, the same ETag. A split container is found by its parts NAME.001, NAME.002,
 * … . What comes is verified blob by blob by who reads.
 */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "web.h"

#define SMALL	  (64 * 1024)
#define LARGE	  (4 * 1024 * 1024)
#define PAUSE_MAX 15
#define SUFFIX	  ".001"

struct part {
	char *url;
	uint64_t from, size; /* in the whole */
	char etag[256];
};

struct http {
	struct bundle_source source;
	struct web *web;
	unsigned tries;
	struct part *parts;
	size_t count;
	/* the window: bytes of the whole, within one part */
	char *buffer;
	uint64_t offset;
	size_t len;
	struct web_answer answer;
};

bool http_is_url(const char *text)
{
	return !strncmp(text, "http://", 7) || !strncmp(text, "https://", 8);
}

/* Fills the window from offset of a part. */
static int fill(struct http *http, const struct part *part, uint64_t offset, size_t wanted)
{
	struct web_answer *answer = &http->answer;
	unsigned pause = 1;
	int err;

	if (part->size && wanted > part->size - offset)
		wanted = (size_t)(part->size - offset);
	http->len = 0;
	for (unsigned i = 0;; i++) {
		err = web_get(http->web, part->url, offset, http->buffer, wanted, answer);
		if (err != -EAGAIN || i + 1 >= http->tries)
			break;
		sleep(pause);
		pause = pause * 2 > PAUSE_MAX ? PAUSE_MAX : pause * 2;
	}
	if (err)
		return err == -EAGAIN ? -EHOSTUNREACH : err;
	if (part->size && (answer->size != part->size || strcmp(answer->etag, part->etag) != 0)) {
		snprintf(answer->why, sizeof(answer->why), "the file changed meanwhile");
		return -ESTALE;
	}
	http->offset = part->from + offset;
	http->len = answer->len;
	return 0;
}

static const struct part *part_at(const struct http *http, uint64_t offset)
{
	size_t low = 0, high = http->count - 1;

	while (low < high) {
		size_t middle = (low + high + 1) / 2;

		if (http->parts[middle].from <= offset)
			low = middle;
		else
			high = middle - 1;
	}
	return &http->parts[low];
}

static ssize_t http_read(struct bundle_source *source, void *buffer, size_t len, uint64_t offset)
{
	struct http *http = (struct http *)source;
	bool on = offset == http->offset + http->len;
	const struct part *part;
	int err;

	if (offset < http->offset || offset >= http->offset + http->len) {
		part = part_at(http, offset);
		err = fill(http, part, offset - part->from, on && len > SMALL ? LARGE : SMALL);
		if (err)
			return err;
	}
	if (len > http->len - (size_t)(offset - http->offset))
		len = http->len - (size_t)(offset - http->offset);
	memcpy(buffer, http->buffer + (offset - http->offset), len);
	return (ssize_t)len;
}

static void http_close(struct bundle_source *source)
{
	struct http *http = (struct http *)source;

	for (size_t i = 0; i < http->count; i++)
		free(http->parts[i].url);
	free(http->parts);
	web_close(http->web);
	free(http->buffer);
	free(http);
}

/* ---- finding it -------------------------------------------------------------------------------
 */

/* Asks for its beginning, and knows it from then on. Takes url. */
static int add_part(struct http *http, char *url, size_t wanted)
{
	struct part *part = &http->parts[http->count];
	int err;

	if (!url)
		return -ENOMEM;
	*part = (struct part){ .url = url, .from = http->source.size };
	err = fill(http, part, 0, wanted);
	if (err) {
		free(part->url);
		return err;
	}
	part->size = http->answer.size;
	memcpy(part->etag, http->answer.etag, sizeof(part->etag));
	http->source.size += part->size;
	http->count++;
	return 0;
}

/* Where a URL's name ends: a query stays behind it. */
static size_t name_len(const char *url)
{
	return strcspn(url, "?#");
}

static bool is_first_part(const char *url)
{
	size_t len = name_len(url), suffix = strlen(SUFFIX);

	return len > suffix && !strncmp(url + len - suffix, SUFFIX, suffix);
}

/* The URL of part number of the container called url; NULL: out of memory. */
static char *part_url(const char *url, unsigned number)
{
	size_t len = name_len(url);
	char *text;

	if (is_first_part(url))
		len -= strlen(SUFFIX);
	return asprintf(&text, "%.*s.%03u%s", (int)len, url, number, url + name_len(url)) < 0
		       ? NULL
		       : text;
}

/* All but the last are of one size: what was uploaded incompletely shows here, with its name. */
static int check_part(const struct http *http, struct bundle_error *error)
{
	const struct part *first = &http->parts[0], *last = &http->parts[http->count - 1];

	if (last->size > first->size)
		return bundle_failed(error, -EBADMSG, "%s is smaller than %s: upload it again",
				     first->url, last->url);
	if (http->count > 2 && last[-1].size != first->size)
		return bundle_failed(error, -EBADMSG, "%s is not as large as %s: upload it again",
				     last[-1].url, first->url);
	return 0;
}

/* Nothing behind the last one: is it a gap? The one after it tells. */
static int check_gap(struct http *http, const char *url, struct bundle_error *error)
{
	char *missing = part_url(url, (unsigned)http->count + 1);
	int err = 0;

	if (!add_part(http, part_url(url, (unsigned)http->count + 2), 1))
		err = bundle_failed(error, -ENOENT, "%s is missing, the part after it is there",
				    missing ? missing : url);
	free(missing);
	return err;
}

static int open_parts(struct http *http, const char *url, struct bundle_error *error)
{
	int err = 0;

	while (!err && http->count < BUNDLE_PARTS_MAX) {
		err = add_part(http, part_url(url, (unsigned)http->count + 1), 1);
		if (!err)
			err = check_part(http, error);
		else if (err != -ENOENT)
			return bundle_failed(error, err, "part %03zu of %s: %s", http->count + 1,
					     url, http->answer.why);
	}
	if (err != -ENOENT)
		return err;
	return http->count ? check_gap(http, url, error) : -ENOENT;
}

static struct http *http_new(const char *url, unsigned tries)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http)
		return NULL;
	http->source.read = http_read;
	http->source.close = http_close;
	http->tries = tries;
	http->buffer = malloc(LARGE);
	/* One more, to look behind a gap. */
	http->parts = calloc(BUNDLE_PARTS_MAX + 1, sizeof(*http->parts));
	snprintf(http->source.name, sizeof(http->source.name), "%s", url);
	if (http->buffer && http->parts)
		return http;
	http_close(&http->source);
	return NULL;
}

static int find(struct http *http, const char *url, struct bundle_error *error)
{
	int err = -ENOENT;

	if (!is_first_part(url)) {
		err = add_part(http, strdup(url), SMALL);
		if (err && err != -ENOENT)
			return bundle_failed(error, err, "%s: %s", url, http->answer.why);
	}
	if (err == -ENOENT) {
		err = open_parts(http, url, error);
		if (err == -ENOENT && !http->count)
			bundle_failed(error, err, "%s: the server has no such file, and no %s", url,
				      is_first_part(url) ? "first part" : ".001 beside it");
	}
	return err;
}

int http_open(const char *url, unsigned tries, const struct web_options *options,
	      struct bundle_source **ret_source, struct bundle_error *error)
{
	struct http *http = http_new(url, tries);
	int err;

	if (!http)
		return bundle_failed(error, -ENOMEM, "out of memory");
	err = web_open(options, &http->web, error);
	if (!err)
		err = find(http, url, error);
	if (err)
		http_close(&http->source);
	else
		*ret_source = &http->source;
	return err;
}
