/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One GET of a range, by libcurl. Redirects are followed here and not by libcurl, since where they
 * may lead is a decision: to the origin the caller named (scheme, host and port), or to https
 * anywhere; never down to http elsewhere. Credentials are sent to that one origin and to nobody a
 * redirect leads to. They come from files: a command line is read by everybody on the machine.
 */
#include "web.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"

#define REDIRECTS_MAX  5
#define IGNORED_MAX    (64 * 1024) /* of a body that is no answer */
#define CREDENTIAL_MAX 4096
#define STALL_TIME     30
#define SIZE_MAX_SANE  ((uint64_t)1 << 50)

struct web {
	CURL *curl;
	char *token, *user, *password;
	char error[CURL_ERROR_SIZE];
	/* the answer under way */
	char *buffer;
	size_t wanted, ignored;
	uint64_t from, promised; /* what the answer says it is: the first byte, and how many */
	struct web_answer *answer;
};

/* ---- credentials ----------------------------------------------------------------------------- */

static int check_mode(int fd, const char *path, struct bundle_error *error)
{
	struct stat status;

	if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		return bundle_failed(error, -EINVAL, "%s is no file", path);
	if (status.st_mode & S_IRWXO)
		return bundle_failed(error, -EPERM,
				     "%s can be read by everybody: chmod o= %s, and change what is "
				     "in it",
				     path, path);
	return 0;
}

/* The first line of a file that others cannot read. */
static int read_secret(const char *path, char **ret_secret, struct bundle_error *error)
{
	char text[CREDENTIAL_MAX + 1];
	ssize_t len = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return bundle_failed(error, -errno, "%s: %s", path, strerror(errno));
	err = check_mode(fd, path, error);
	if (!err) {
		len = read(fd, text, CREDENTIAL_MAX);
		if (len < 0)
			err = bundle_failed(error, -errno, "%s: %s", path, strerror(errno));
	}
	close(fd);
	if (err)
		return err;
	text[len] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*text = '\0';
	if (!*text)
		err = bundle_failed(error, -EINVAL, "%s: its first line is no credential", path);
	else if (!(*ret_secret = strdup(text)))
		err = bundle_failed(error, -ENOMEM, "out of memory");
	explicit_bzero(text, sizeof(text));
	return err;
}

static int read_credentials(struct web *web, const struct web_options *options,
			    struct bundle_error *error)
{
	char *colon;
	int err = 0;

	if (options->token_file && options->user_file)
		return bundle_failed(error, -EINVAL, "--token-file or --user-file, not both");
	if (options->token_file) {
		err = read_secret(options->token_file, &web->token, error);
		if (!err && strchr(web->token, ' '))
			err = bundle_failed(error, -EINVAL, "%s: a token has no blanks",
					    options->token_file);
	}
	if (!err && options->user_file) {
		err = read_secret(options->user_file, &web->user, error);
		colon = err ? NULL : strchr(web->user, ':');
		if (!err && !colon)
			return bundle_failed(error, -EINVAL, "%s: NAME:PASSWORD is wanted",
					     options->user_file);
		if (colon) {
			*colon = '\0';
			web->password = colon + 1;
		}
	}
	return err;
}

static void set_credentials(struct web *web, bool send)
{
	CURL *curl = web->curl;

	curl_easy_setopt(curl, CURLOPT_HTTPAUTH,
			 (long)(web->token ? CURLAUTH_BEARER : CURLAUTH_BASIC));
	curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, send ? web->token : NULL);
	curl_easy_setopt(curl, CURLOPT_USERNAME, send ? web->user : NULL);
	curl_easy_setopt(curl, CURLOPT_PASSWORD, send ? web->password : NULL);
}

/* ---- where a redirect may lead ----------------------------------------------------------------
 */

struct place {
	char *scheme, *host, *port, *user, *password;
};

static void place_free(struct place *place)
{
	curl_free(place->scheme);
	curl_free(place->host);
	curl_free(place->port);
	curl_free(place->user);
	curl_free(place->password);
}

/* -EINVAL: not a URL this follows; why has the reason. */
static int place_parse(const char *url, struct place *ret, char *why, size_t size)
{
	CURLU *parsed = curl_url();
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	if (!parsed)
		return -ENOMEM;
	if (curl_url_set(parsed, CURLUPART_URL, url, 0) ||
	    curl_url_get(parsed, CURLUPART_SCHEME, &ret->scheme, 0) ||
	    curl_url_get(parsed, CURLUPART_HOST, &ret->host, 0) ||
	    curl_url_get(parsed, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT) ||
	    (strcmp(ret->scheme, "http") != 0 && strcmp(ret->scheme, "https") != 0)) {
		snprintf(why, size, "%.200s is no http URL", url);
		err = -EINVAL;
	}
	curl_url_get(parsed, CURLUPART_USER, &ret->user, 0);
	curl_url_get(parsed, CURLUPART_PASSWORD, &ret->password, 0);
	curl_url_cleanup(parsed);
	if (!err && (ret->user || ret->password)) {
		snprintf(why, size,
			 "a URL with a password in it: everybody sees those; take --user-file");
		err = -EINVAL;
	}
	return err;
}

static bool same_origin(const struct place *a, const struct place *b)
{
	return !strcmp(a->scheme, b->scheme) && !strcasecmp(a->host, b->host) &&
	       !strcmp(a->port, b->port);
}

/* May what began at origin go on at url? With *ret_own: is it the origin itself? */
static int judge(const struct place *origin, const char *url, bool *ret_own, char *why, size_t size)
{
	struct place place;
	int err = place_parse(url, &place, why, size);

	if (!err) {
		*ret_own = same_origin(origin, &place);
		if (!*ret_own && strcmp(place.scheme, "https") != 0) {
			snprintf(why, size,
				 "the server sends us on to http://%.100s:%.8s, which is not "
				 "followed: to the same server or to https only",
				 place.host, place.port);
			err = -EPERM;
		}
	} else if (err == -EINVAL) {
		err = -EPERM;
	}
	place_free(&place);
	return err;
}

/* ---- one request -------------------------------------------------------------------------------
 */

static size_t on_body(char *data, size_t unit, size_t count, void *arg)
{
	struct web *web = arg;
	size_t size = unit * count;
	long status = 0;

	curl_easy_getinfo(web->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 206) {
		web->ignored += size;
		return web->ignored <= IGNORED_MAX ? size : 0;
	}
	if (size > web->wanted - web->answer->len || size > web->promised - web->answer->len)
		return 0;
	memcpy(web->buffer + web->answer->len, data, size);
	web->answer->len += size;
	return size;
}

static size_t on_header(char *data, size_t unit, size_t count, void *arg)
{
	struct web *web = arg;
	struct web_answer *answer = web->answer;
	size_t size = unit * count;
	unsigned long long from, to, whole;
	char line[512];

	/* A trailer behind the body says nothing of it any more. */
	if (answer->len)
		return size;
	snprintf(line, sizeof(line), "%.*s", (int)(size < 511 ? size : 511), data);
	line[strcspn(line, "\r\n")] = '\0';
	if (!strncmp(line, "HTTP/", 5)) {
		answer->size = web->promised = 0;
		answer->etag[0] = '\0';
	} else if (!strncasecmp(line, "Content-Range:", 14)) {
		if (sscanf(line + 14, " bytes %llu-%llu/%llu", &from, &to, &whole) == 3 &&
		    from <= to && to < whole && whole < SIZE_MAX_SANE) {
			web->from = from;
			web->promised = to - from + 1;
			answer->size = whole;
		}
	} else if (!strncasecmp(line, "ETag:", 5)) {
		snprintf(answer->etag, sizeof(answer->etag), "%.255s",
			 line + 5 + strspn(line + 5, " \t"));
	}
	return size;
}

/* What a status that is no 206 means. */
static int refuse(const struct web *web, long status, bool own, char *why, size_t size)
{
	if (status == 200) {
		snprintf(why, size, "the server does not answer with ranges");
		return -ENOTSUP;
	}
	if (status == 401 && !web->token && !web->user) {
		snprintf(why, size, "the server answers 401: --token-file or --user-file");
	} else if (status == 401 && !own) {
		snprintf(why, size,
			 "the server sends us on to one that answers 401, and credentials are for "
			 "the first alone");
	} else if (status) {
		snprintf(why, size, "the server answers %ld", status);
	}
	if (status >= 400 && status < 500 && status != 408 && status != 429)
		return status == 404 || status == 410 ? -ENOENT : -EACCES;
	return -EAGAIN;
}

static int ask(struct web *web, const char *url, uint64_t offset, bool own)
{
	struct web_answer *answer = web->answer;
	char range[64];
	long status = 0;
	CURLcode code;

	answer->len = web->ignored = 0;
	answer->size = web->promised = 0;
	answer->etag[0] = answer->why[0] = web->error[0] = '\0';
	snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)offset,
		 (unsigned long long)(offset + web->wanted - 1));
	set_credentials(web, own);
	curl_easy_setopt(web->curl, CURLOPT_URL, url);
	curl_easy_setopt(web->curl, CURLOPT_RANGE, range);
	code = curl_easy_perform(web->curl);
	curl_easy_getinfo(web->curl, CURLINFO_RESPONSE_CODE, &status);
	/* Cut short, it is still what it is. */
	if (status == 206 && answer->size && web->from == offset && answer->len)
		return 0;
	answer->len = 0;
	if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
		return -EREMCHG;
	snprintf(answer->why, sizeof(answer->why), "%s",
		 web->error[0] ? web->error
		 : code	       ? curl_easy_strerror(code)
			       : "the answer is not the range that was asked for");
	/* Trying again makes no certificate better. */
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return -EACCES;
	return status == 206 ? -EAGAIN : refuse(web, status, own, answer->why, sizeof(answer->why));
}

/* Where the answer sends us; malloc'd in *url. */
static int follow(struct web *web, const struct place *origin, char **url, bool *ret_own)
{
	struct web_answer *answer = web->answer;
	char *next = NULL;
	int err;

	curl_easy_getinfo(web->curl, CURLINFO_REDIRECT_URL, &next);
	if (!next) {
		snprintf(answer->why, sizeof(answer->why), "a redirect that leads nowhere");
		return -EPERM;
	}
	err = judge(origin, next, ret_own, answer->why, sizeof(answer->why));
	if (!err) {
		free(*url);
		*url = strdup(next);
		err = *url ? 0 : -ENOMEM;
	}
	return err;
}

int web_get(struct web *web, const char *url, uint64_t offset, void *buffer, size_t wanted,
	    struct web_answer *ret_answer)
{
	struct place origin;
	char *at = strdup(url);
	bool own = true;
	int err;

	memset(ret_answer, 0, sizeof(*ret_answer));
	web->answer = ret_answer;
	web->buffer = buffer;
	web->wanted = wanted;
	err = place_parse(url, &origin, ret_answer->why, sizeof(ret_answer->why));
	if (!err && !at)
		err = -ENOMEM;
	for (unsigned i = 0; !err; i++) {
		err = ask(web, at, offset, own);
		if (err != -EREMCHG)
			break;
		if (i == REDIRECTS_MAX) {
			snprintf(ret_answer->why, sizeof(ret_answer->why),
				 "the server sends us on more than %u times", REDIRECTS_MAX);
			err = -ELOOP;
		} else {
			err = follow(web, &origin, &at, &own);
		}
	}
	place_free(&origin);
	free(at);
	web->answer = NULL;
	return err;
}

/* ---- the handle --------------------------------------------------------------------------------
 */

void web_close(struct web *web)
{
	if (!web)
		return;
	if (web->curl)
		curl_easy_cleanup(web->curl);
	if (web->token)
		explicit_bzero(web->token, strlen(web->token));
	if (web->password)
		explicit_bzero(web->password, strlen(web->password));
	free(web->token);
	free(web->user);
	free(web);
}

static void set_options(struct web *web, const struct web_options *options)
{
	CURL *curl = web->curl;

	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, web->error);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_TIME);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluice-bundle/" SLUICE_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, web);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, web);
	if (options->ca)
		curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca);
}

int web_open(const struct web_options *options, struct web **ret_web, struct bundle_error *error)
{
	struct web *web = calloc(1, sizeof(*web));
	int err;

	if (web)
		web->curl = curl_easy_init();
	if (!web || !web->curl)
		err = bundle_failed(error, -ENOMEM, "out of memory");
	else
		err = read_credentials(web, options, error);
	if (err) {
		web_close(web);
		return err;
	}
	set_options(web, options);
	*ret_web = web;
	return 0;
}
