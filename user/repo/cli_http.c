/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/clock.h"

#define SERVER_DEFAULT "unix:/run/sluice-repo/control.sock"
#define REPLY_MAX      (64 * 1024 * 1024)
#define TOKEN_MAX      256
#define STALL_SECONDS  60
#define JOB_SECONDS    7200 /* a publish or fsck may take this long to answer */

struct cli_http {
	CURL *curl;
	char *base;	     /* "http://sluice-repod" or the URL given, without a last '/' */
	char *socket;	     /* path, or NULL */
	char *authorization; /* a header line, or NULL */
	char error[CURL_ERROR_SIZE];
};

/* What one transfer reads and writes. */
struct transfer {
	char *reply;
	size_t reply_len;
	int in, out; /* -1: none */
	uint64_t in_offset, in_left;
	bool failed_write;
	CURL *curl;
	/* progress */
	bool show;
	const char *label;
	uint64_t base, total;
	int64_t started_ms;
};

static int read_token(struct cli_http *http, const char *path)
{
	char token[TOKEN_MAX + 1];
	struct stat status;
	FILE *file = fopen(path, "re");
	size_t len;

	if (!file)
		return cli_fail("%s: %s", path, strerror(errno));
	if (!fstat(fileno(file), &status) && (status.st_mode & 0077))
		fprintf(stderr, "sluice-repo: warning: %s may be read by others; chmod 600 it\n",
			path);
	len = fread(token, 1, TOKEN_MAX, file);
	fclose(file);
	token[len] = '\0';
	token[strcspn(token, "\r\n \t")] = '\0';
	if (!*token)
		return cli_fail("%s: holds no token", path);
	if (asprintf(&http->authorization, "Authorization: Bearer %s", token) < 0)
		http->authorization = NULL;
	return http->authorization ? 0 : cli_fail("out of memory");
}

int cli_http_open(struct cli *cli)
{
	const char *server = cli->options.server, *token = cli->options.token_file;
	struct cli_http *http = calloc(1, sizeof(*http));
	size_t len;

	if (!http)
		return cli_fail("out of memory");
	cli->http = http;
	if (!server)
		server = getenv("SLUICE_REPO");
	if (!server || !*server)
		server = SERVER_DEFAULT;
	if (!token)
		token = getenv("SLUICE_REPO_TOKEN_FILE");
	if (!strncmp(server, "unix:/", 6)) {
		http->socket = strdup(server + 5);
		http->base = strdup("http://sluice-repod");
	} else if (!strncmp(server, "http://", 7) || !strncmp(server, "https://", 8)) {
		http->base = strdup(server);
		for (len = http->base ? strlen(http->base) : 0; len && http->base[len - 1] == '/';)
			http->base[--len] = '\0';
	} else {
		return cli_fail("'%s' is no server: unix:/path, http://... or https://...", server);
	}
	http->curl = curl_easy_init();
	if (!http->curl || !http->base)
		return cli_fail("out of memory");
	return token && *token ? read_token(http, token) : 0;
}

void cli_http_close(struct cli *cli)
{
	struct cli_http *http = cli->http;

	if (!http)
		return;
	if (http->curl)
		curl_easy_cleanup(http->curl);
	free(http->base);
	free(http->socket);
	free(http->authorization);
	free(http);
	cli->http = NULL;
}

char *cli_http_escape(struct cli *cli, const char *text)
{
	char *escaped = curl_easy_escape(cli->http->curl, text, 0), *copy;

	copy = escaped ? strdup(escaped) : NULL;
	curl_free(escaped);
	return copy;
}

/* The body goes to the file when the answer is one, else into memory: it says why not. */
static size_t on_receive(char *data, size_t unit, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t size = unit * count, left = size;
	long status = 0;
	char *reply;

	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	if (transfer->out >= 0 && (status == 200 || status == 206)) {
		while (left) {
			ssize_t n = write(transfer->out, data, left);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0) {
				transfer->failed_write = true;
				return 0;
			}
			data += n;
			left -= (size_t)n;
		}
		return size;
	}
	if (transfer->reply_len + size > REPLY_MAX)
		return 0;
	reply = realloc(transfer->reply, transfer->reply_len + size + 1);
	if (!reply)
		return 0;
	memcpy(reply + transfer->reply_len, data, size);
	transfer->reply = reply;
	transfer->reply_len += size;
	return size;
}

static size_t on_send(char *data, size_t unit, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t size = unit * count;
	ssize_t n;

	if (size > transfer->in_left)
		size = (size_t)transfer->in_left;
	n = pread(transfer->in, data, size, (off_t)transfer->in_offset);
	if (n < 0)
		return CURL_READFUNC_ABORT;
	transfer->in_offset += (uint64_t)n;
	transfer->in_left -= (uint64_t)n;
	return (size_t)n;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
		       curl_off_t up)
{
	struct transfer *transfer = arg;
	curl_off_t moved = transfer->in >= 0 ? up : down;

	if (transfer->show && moved > 0)
		cli_progress(transfer->label, transfer->base + (uint64_t)moved, transfer->total,
			     transfer->started_ms);
	return 0;
}

static CURLcode perform(struct cli *cli, const char *method, const char *path,
			struct curl_slist *headers, struct transfer *transfer, long *ret_status)
{
	struct cli_http *http = cli->http;
	CURL *curl = http->curl;
	CURLcode result;
	char *url;

	if (asprintf(&url, "%s%s", http->base, path) < 0)
		return CURLE_OUT_OF_MEMORY;
	transfer->curl = curl;
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->error);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_receive);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
	if (http->socket)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, http->socket);
	if (cli->options.ca)
		curl_easy_setopt(curl, CURLOPT_CAINFO, cli->options.ca);
	if (transfer->in >= 0) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
		curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->in_left);
	}
	if (transfer->out >= 0) {
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	} else {
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)JOB_SECONDS);
	}
	http->error[0] = '\0';
	result = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
	free(url);
	return result;
}

static struct curl_slist *make_headers(struct cli *cli, const char *more)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");

	if (cli->http->authorization)
		headers = curl_slist_append(headers, cli->http->authorization);
	if (more)
		headers = curl_slist_append(headers, more);
	return headers;
}

static json_t *parse_reply(struct transfer *transfer)
{
	json_t *reply = NULL;

	if (transfer->reply_len)
		reply = json_loadb(transfer->reply, transfer->reply_len, 0, NULL);
	free(transfer->reply);
	return reply;
}

static const char *error_text(const struct cli *cli, CURLcode result)
{
	return cli->http->error[0] ? cli->http->error : curl_easy_strerror(result);
}

/* A body in memory is sent from a temporary file: one way of sending is enough. */
static int body_file(json_t *body)
{
	FILE *file = tmpfile();
	int fd = -1;

	if (file && !json_dumpf(body, file, JSON_COMPACT) && !fflush(file))
		fd = dup(fileno(file));
	if (file)
		fclose(file);
	return fd;
}

long cli_http_call(struct cli *cli, const char *method, const char *path, json_t *body,
		   json_t **ret_reply)
{
	struct transfer transfer = { .in = -1, .out = -1 };
	struct curl_slist *headers =
		make_headers(cli, body ? "Content-Type: application/json" : NULL);
	CURLcode result;
	long status = 0;

	*ret_reply = NULL;
	if (body) {
		transfer.in = body_file(body);
		json_decref(body);
		if (transfer.in < 0) {
			curl_slist_free_all(headers);
			cli_fail("no temporary file can be made");
			return -1;
		}
		transfer.in_left = (uint64_t)lseek(transfer.in, 0, SEEK_END);
	}
	result = perform(cli, method, path, headers, &transfer, &status);
	curl_slist_free_all(headers);
	if (transfer.in >= 0)
		close(transfer.in);
	*ret_reply = parse_reply(&transfer);
	if (result == CURLE_OK)
		return status;
	json_decref(*ret_reply);
	*ret_reply = NULL;
	cli_fail("%s: %s", cli->http->socket ? cli->http->socket : cli->http->base,
		 error_text(cli, result));
	if (result == CURLE_COULDNT_CONNECT)
		fputs("  is sluice-repod running, and is --server right?\n", stderr);
	return -1;
}

long cli_http_append(struct cli *cli, const char *path, int fd, uint64_t offset, uint64_t size,
		     const char *label, json_t **ret_reply, const char **ret_why)
{
	struct transfer transfer = {
		.in = fd,
		.out = -1,
		.in_offset = offset,
		.in_left = size,
		.show = cli->progress,
		.label = label,
		.base = offset,
		.total = offset + size,
		.started_ms = clock_ms(CLOCK_MONOTONIC),
	};
	struct curl_slist *headers;
	CURLcode result;
	long status = 0;
	char line[48];

	snprintf(line, sizeof(line), "Upload-Offset: %llu", (unsigned long long)offset);
	headers = make_headers(cli, line);
	result = perform(cli, "PATCH", path, headers, &transfer, &status);
	curl_slist_free_all(headers);
	*ret_reply = parse_reply(&transfer);
	/* An answer that came while we were still sending counts, whatever broke afterwards. */
	if (result == CURLE_OK || (status >= 400 && *ret_reply))
		return status;
	json_decref(*ret_reply);
	*ret_reply = NULL;
	*ret_why = error_text(cli, result);
	return -1;
}

long cli_http_fetch(struct cli *cli, const char *path, int fd, uint64_t offset, uint64_t size,
		    const char *label, json_t **ret_reply, const char **ret_why)
{
	struct transfer transfer = {
		.in = -1,
		.out = fd,
		.show = cli->progress,
		.label = label,
		.base = offset,
		.total = size,
		.started_ms = clock_ms(CLOCK_MONOTONIC),
	};
	struct curl_slist *headers;
	CURLcode result;
	long status = 0;
	char line[48];

	snprintf(line, sizeof(line), "Range: bytes=%llu-", (unsigned long long)offset);
	headers = make_headers(cli, offset ? line : NULL);
	result = perform(cli, "GET", path, headers, &transfer, &status);
	curl_slist_free_all(headers);
	*ret_reply = parse_reply(&transfer);
	if (result == CURLE_OK)
		return status;
	*ret_why = transfer.failed_write ? "the file cannot be written" : error_text(cli, result);
	json_decref(*ret_reply);
	*ret_reply = NULL;
	return -1;
}
