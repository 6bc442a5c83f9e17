/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A struct bundle_source over HTTP. Small reads here and there (the headers of a tar) take a small
 * window, reading on takes a large one; every answer has to be 206 with the range asked for, the
 * size and the ETag of the first. What comes is verified blob by blob by who reads.
 */
#include "http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"

#define SMALL	   (64 * 1024)
#define LARGE	   (4 * 1024 * 1024)
#define STALL_TIME 30
#define PAUSE_MAX  15

struct http {
	struct bundle_source source;
	CURL *curl;
	char *url;
	unsigned tries;
	char etag[256], why[CURL_ERROR_SIZE];
	/* the window */
	char *buffer;
	uint64_t offset;
	size_t len, wanted;
	/* the answer under way */
	uint64_t got_from, got_size;
	char got_etag[256];
};

bool http_is_url(const char *text)
{
	return !strncmp(text, "http://", 7) || !strncmp(text, "https://", 8);
}

static size_t on_body(char *data, size_t unit, size_t count, void *arg)
{
	struct http *http = arg;
	size_t size = unit * count;
	long status = 0;

	curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 206)
		return size < SMALL ? size : 0;
	if (size > http->wanted - http->len)
		return 0;
	memcpy(http->buffer + http->len, data, size);
	http->len += size;
	return size;
}

static size_t on_header(char *data, size_t unit, size_t count, void *arg)
{
	struct http *http = arg;
	size_t size = unit * count;
	unsigned long long from, to, whole;
	char line[512];

	snprintf(line, sizeof(line), "%.*s", (int)(size < 511 ? size : 511), data);
	line[strcspn(line, "\r\n")] = '\0';
	if (!strncmp(line, "HTTP/", 5)) {
		http->got_size = 0;
		http->got_etag[0] = '\0';
	} else if (!strncasecmp(line, "Content-Range:", 14)) {
		if (sscanf(line + 14, " bytes %llu-%llu/%llu", &from, &to, &whole) == 3) {
			http->got_from = from;
			http->got_size = whole;
		}
	} else if (!strncasecmp(line, "ETag:", 5)) {
		snprintf(http->got_etag, sizeof(http->got_etag), "%s",
			 line + 5 + strspn(line + 5, " \t"));
	}
	return size;
}

/* One request. 0, -EAGAIN (worth trying again, http->why says why) or another -errno. */
static int request(struct http *http, uint64_t offset)
{
	char range[64];
	long status = 0;
	CURLcode code;

	http->len = 0;
	http->offset = offset;
	http->why[0] = '\0';
	snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)offset,
		 (unsigned long long)(offset + http->wanted - 1));
	curl_easy_setopt(http->curl, CURLOPT_RANGE, range);
	code = curl_easy_perform(http->curl);
	curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 206 && http->got_size && http->got_from == offset) {
		if (http->source.size && (http->got_size != http->source.size ||
					  strcmp(http->etag, http->got_etag) != 0)) {
			snprintf(http->why, sizeof(http->why), "the file changed meanwhile");
			return -ESTALE;
		}
		/* Cut short, it is still what it is. */
		if (http->len)
			return 0;
	}
	if (status == 200) {
		snprintf(http->why, sizeof(http->why), "the server does not answer with ranges");
		return -ENOTSUP;
	}
	if (status >= 400 && status < 500 && status != 408 && status != 429) {
		snprintf(http->why, sizeof(http->why), "the server answers %ld", status);
		return status == 404 ? -ENOENT : -EACCES;
	}
	if (status >= 500)
		snprintf(http->why, sizeof(http->why), "the server answers %ld", status);
	else if (!http->why[0])
		snprintf(http->why, sizeof(http->why), "%s", curl_easy_strerror(code));
	return -EAGAIN;
}

static int fill(struct http *http, uint64_t offset, size_t wanted)
{
	unsigned pause = 1;
	int err;

	if (http->source.size && wanted > http->source.size - offset)
		wanted = (size_t)(http->source.size - offset);
	http->wanted = wanted;
	for (unsigned i = 0;; i++) {
		err = request(http, offset);
		if (err != -EAGAIN || i + 1 >= http->tries)
			break;
		sleep(pause);
		pause = pause * 2 > PAUSE_MAX ? PAUSE_MAX : pause * 2;
	}
	if (err)
		http->len = 0;
	return err == -EAGAIN ? -EHOSTUNREACH : err;
}

static ssize_t http_read(struct bundle_source *source, void *buffer, size_t len, uint64_t offset)
{
	struct http *http = (struct http *)source;
	bool on = offset == http->offset + http->len;
	int err;

	if (offset < http->offset || offset >= http->offset + http->len) {
		err = fill(http, offset, on && len > SMALL ? LARGE : SMALL);
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

	if (http->curl)
		curl_easy_cleanup(http->curl);
	free(http->buffer);
	free(http->url);
	free(http);
}

static void set_options(struct http *http)
{
	CURL *curl = http->curl;

	curl_easy_setopt(curl, CURLOPT_URL, http->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->why);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_TIME);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluice-bundle/" SLUICE_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, http);
}

int http_open(const char *url, unsigned tries, struct bundle_source **ret_source,
	      struct bundle_error *error)
{
	struct http *http = calloc(1, sizeof(*http));
	int err = -ENOMEM;

	if (!http)
		return bundle_failed(error, err, "out of memory");
	http->source.read = http_read;
	http->source.close = http_close;
	http->tries = tries;
	http->url = strdup(url);
	http->buffer = malloc(LARGE);
	http->curl = curl_easy_init();
	snprintf(http->source.name, sizeof(http->source.name), "%s", url);
	if (http->url && http->buffer && http->curl) {
		set_options(http);
		err = fill(http, 0, SMALL);
	} else {
		snprintf(http->why, sizeof(http->why), "out of memory");
	}
	if (err) {
		bundle_failed(error, err, "%s: %s", url, http->why);
		http_close(&http->source);
		return err;
	}
	http->source.size = http->got_size;
	memcpy(http->etag, http->got_etag, sizeof(http->etag));
	*ret_source = &http->source;
	return 0;
}
