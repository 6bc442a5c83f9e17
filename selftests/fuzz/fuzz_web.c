/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A web server that is not what it should be, before bundle/web.c and http.c: any status, headers,
 * bodies, redirects, and lists of parts that do not fit together. libcurl's transfers are played
 * here; its reading of URLs is real.
 *
 * Asserted: what is read lies in the file that was found, a request goes to the server that was
 * named or by https, credentials go to that server alone, and redirects end.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "../../user/bundle/http.h"
#include "../../user/bundle/web.h"
#include "../../user/lib/bundle_impl.h"
#include "fuzz.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

#define REQUESTS_MAX  64 /* answered by the input; the rest by 404 */
#define REDIRECTS_MAX 8
#define FILE_SIZE     100000

typedef size_t data_function(char *data, size_t unit, size_t count, void *arg);

static struct fuzz_input input;
static struct {
	data_function *on_body, *on_header;
	void *body_arg, *header_arg;
	const char *url, *token, *user, *range;
	char redirect[300];
	long status;
} curl;
static char named[300]; /* the URL that was asked for */
static unsigned requests, redirects;

/* ---- libcurl ------------------------------------------------------------------------------- */

CURL *curl_easy_init(void)
{
	return (CURL *)&curl;
}

void curl_easy_cleanup(CURL *handle)
{
}

const char *curl_easy_strerror(CURLcode code)
{
	return "it broke";
}

CURLcode curl_easy_setopt(CURL *handle, CURLoption option, ...)
{
	va_list args;

	va_start(args, option);
	switch (option) {
	case CURLOPT_WRITEFUNCTION:
		curl.on_body = va_arg(args, data_function *);
		break;
	case CURLOPT_HEADERFUNCTION:
		curl.on_header = va_arg(args, data_function *);
		break;
	case CURLOPT_WRITEDATA:
		curl.body_arg = va_arg(args, void *);
		break;
	case CURLOPT_HEADERDATA:
		curl.header_arg = va_arg(args, void *);
		break;
	case CURLOPT_URL:
		curl.url = va_arg(args, const char *);
		break;
	case CURLOPT_RANGE:
		curl.range = va_arg(args, const char *);
		break;
	case CURLOPT_XOAUTH2_BEARER:
		curl.token = va_arg(args, const char *);
		break;
	case CURLOPT_USERNAME:
		curl.user = va_arg(args, const char *);
		break;
	default:
		break;
	}
	va_end(args);
	return CURLE_OK;
}

CURLcode curl_easy_getinfo(CURL *handle, CURLINFO info, ...)
{
	va_list args;

	va_start(args, info);
	if (info == CURLINFO_RESPONSE_CODE)
		*va_arg(args, long *) = curl.status;
	else if (info == CURLINFO_REDIRECT_URL)
		*va_arg(args, char **) = *curl.redirect ? curl.redirect : NULL;
	else
		abort();
	va_end(args);
	return CURLE_OK;
}

/* ---- whom a request may go to --------------------------------------------------------------- */

static char *url_part(const char *url, CURLUPart part)
{
	CURLU *parsed = curl_url();
	char *text = NULL;

	assert(parsed && !curl_url_set(parsed, CURLUPART_URL, url, 0));
	assert(!curl_url_get(parsed, part, &text, CURLU_DEFAULT_PORT));
	curl_url_cleanup(parsed);
	return text;
}

static bool same(CURLUPart part, const char *a, const char *b)
{
	char *of_a = url_part(a, part), *of_b = url_part(b, part);
	bool is = !strcasecmp(of_a, of_b);

	curl_free(of_a);
	curl_free(of_b);
	return is;
}

static void check_request(void)
{
	bool own = same(CURLUPART_SCHEME, curl.url, named) &&
		   same(CURLUPART_HOST, curl.url, named) && same(CURLUPART_PORT, curl.url, named);

	assert(own || !strncasecmp(curl.url, "https:", 6));
	assert(own || (!curl.token && !curl.user));
}

/* ---- the server ------------------------------------------------------------------------------ */

static CURLcode say(const char *line)
{
	size_t len = strlen(line);
	char *copy = fuzz_copy(line, len);
	size_t taken = curl.on_header(copy, 1, len, curl.header_arg);

	free(copy);
	return taken == len ? CURLE_OK : CURLE_WRITE_ERROR;
}

/* A header of the input's bytes, behind one of the names that count. */
static CURLcode say_anything(void)
{
	static const char *const names[] = {
		"",	  "Content-Range:", "content-range: bytes ",
		"ETag: ", "HTTP/1.1 206 ",  "Content-Range: bytes 0-"
	};
	char line[700];
	size_t at = (size_t)snprintf(line, sizeof(line), "%s", names[fuzz_next(&input) % 6]);
	size_t len = fuzz_next(&input) * (fuzz_next(&input) & 1 ? 2U : 1U);

	for (size_t i = 0; i < len; i++) {
		char c = (char)fuzz_next(&input);

		line[at++] = c ? c : '0';
	}
	line[at] = '\0';
	return say(line);
}

static CURLcode send_body(uint64_t from, size_t len)
{
	char *bytes = malloc(len + 1);
	CURLcode code = CURLE_OK;
	size_t step;

	assert(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)((from + i) * 31 >> 3);
	for (size_t done = 0; done < len && !code; done += step) {
		step = len - done < 16384 ? len - done : 16384;
		if (curl.on_body(bytes + done, 1, step, curl.body_arg) != step)
			code = CURLE_WRITE_ERROR;
	}
	free(bytes);
	return code;
}

static CURLcode answer_right(uint64_t size)
{
	unsigned long long from, to;
	char line[128];

	assert(sscanf(curl.range, "%llu-%llu", &from, &to) == 2 && from <= to);
	if (from >= size) {
		curl.status = 416;
		return CURLE_OK;
	}
	to = to < size ? to : size - 1;
	curl.status = 206;
	say("HTTP/1.1 206 Partial Content\r\n");
	snprintf(line, sizeof(line), "Content-Range: bytes %llu-%llu/%llu\r\n", from, to,
		 (unsigned long long)size);
	say(line);
	return send_body(from, (size_t)(to - from + 1));
}

static CURLcode redirect(void)
{
	static const char *const where[] = {
		"http://r.example/other",   "https://r.example/x",
		"http://R.EXAMPLE:80/x",    "https://elsewhere.example/x",
		"http://elsewhere.example", "ftp://r.example/",
		"https://r.example@evil/",  "http://r.example:8080/",
		"https://r.example:443/y",  "file:///etc/passwd",
	};
	size_t pick = fuzz_next(&input) % 11, len;

	curl.status = 301 + fuzz_next(&input) % 8;
	if (pick < 10) {
		snprintf(curl.redirect, sizeof(curl.redirect), "%s", where[pick]);
		return CURLE_OK;
	}
	len = fuzz_next(&input);
	for (size_t i = 0; i < len; i++)
		curl.redirect[i] = (char)fuzz_next(&input);
	curl.redirect[len] = '\0';
	return CURLE_OK;
}

static CURLcode answer_anything(void)
{
	static const long statuses[] = { 206, 206, 206, 200, 401, 404, 416, 429, 500, 0 };
	CURLcode code = CURLE_OK;
	unsigned headers = fuzz_next(&input) % 6;

	curl.status = statuses[fuzz_next(&input) % 10];
	for (unsigned i = 0; i < headers && !code; i++)
		code = say_anything();
	if (!code)
		code = send_body(fuzz_next(&input), (size_t)fuzz_next(&input)
							    << fuzz_next(&input) % 11);
	/* A trailer. */
	if (!code && (fuzz_next(&input) & 1))
		code = say_anything();
	return !code && (fuzz_next(&input) & 1) ? CURLE_PARTIAL_FILE : code;
}

CURLcode curl_easy_perform(CURL *handle)
{
	unsigned what = fuzz_next(&input) % 8;

	check_request();
	curl.status = 0;
	*curl.redirect = '\0';
	if (what != 3)
		redirects = 0;
	if (!input.left || ++requests > REQUESTS_MAX) {
		curl.status = 404;
		return CURLE_OK;
	}
	switch (what) {
	case 0:
	case 1:
		return answer_right(FILE_SIZE);
	case 2:
		return answer_right((uint64_t)fuzz_next(&input) * 300);
	case 3:
		assert(++redirects < REDIRECTS_MAX);
		return redirect();
	case 4:
		curl.status = 404;
		return CURLE_OK;
	case 5:
		return CURLE_COULDNT_CONNECT;
	default:
		return answer_anything();
	}
}

/* ---- one input --------------------------------------------------------------------------------
 */

static void read_here_and_there(struct bundle_source *source)
{
	for (unsigned i = 0; i < 32 && input.left; i++) {
		size_t len = 1 + ((size_t)fuzz_next(&input) << fuzz_next(&input) % 12);
		uint64_t offset = ((uint64_t)fuzz_next(&input) << 16 |
				   (uint64_t)fuzz_next(&input) << 8 | fuzz_next(&input)) %
				  source->size;
		char *buffer = malloc(len);
		ssize_t n;

		assert(buffer);
		redirects = 0;
		n = source->read(source, buffer, len, offset);
		assert(n < 0 ||
		       (n > 0 && (size_t)n <= len && (uint64_t)n <= source->size - offset));
		free(buffer);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const urls[] = { "http://r.example/b.sluice",
					    "https://r.example/b.sluice",
					    "http://r.example/b.sluice.001?key=1" };
	static char file[64];
	struct web_options options = { 0 };
	struct bundle_source *source = NULL;
	struct bundle_error error = { 0 };
	int err;

	if (!*file) {
		int fd = memfd_create("credential", MFD_CLOEXEC);

		assert(fd >= 0 && !fchmod(fd, 0600) && write(fd, "me:secret\n", 10) == 10);
		snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	}
	input = (struct fuzz_input){ data, size };
	requests = redirects = 0;
	memset(&curl, 0, sizeof(curl));
	options.token_file = fuzz_next(&input) & 1 ? file : NULL;
	options.user_file = options.token_file ? NULL : file;
	strcpy(named, urls[fuzz_next(&input) % 3]);
	err = http_open(named, 1, &options, &source, &error);
	assert(!err == !error.text[0]);
	if (!err) {
		assert(source->size > 0);
		read_here_and_there(source);
		source->close(source);
	}
	return 0;
}
