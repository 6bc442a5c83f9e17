/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLY_MAX     (4 * 1024 * 1024)
#define STALL_SECONDS 60 /* without a byte: the link is dead */

struct reply {
	char *text;
	size_t len;
	/* for files */
	int fd;
	int (*arrived)(uint64_t bytes, void *arg);
	void *arg;
	CURL *curl;
	uint64_t offset;
	int err; /* of writing */
};

static size_t on_text(char *data, size_t size, size_t count, void *arg)
{
	struct reply *reply = arg;
	char *larger;

	size *= count;
	if (reply->len + size > REPLY_MAX)
		return 0;
	larger = realloc(reply->text, reply->len + size + 1);
	if (!larger)
		return 0;
	reply->text = larger;
	memcpy(larger + reply->len, data, size);
	reply->len += size;
	larger[reply->len] = '\0';
	return size;
}

static size_t on_file(char *data, size_t size, size_t count, void *arg)
{
	struct reply *reply = arg;
	size_t left = size *= count;
	long status = 0;

	curl_easy_getinfo(reply->curl, CURLINFO_RESPONSE_CODE, &status);
	/* Only the rest is appended; a whole answer where a rest was asked for begins anew. */
	if (status == 200 && reply->offset) {
		if (ftruncate(reply->fd, 0) || lseek(reply->fd, 0, SEEK_SET))
			return 0;
		reply->offset = 0;
	} else if (status != 200 && status != 206) {
		return size;
	}
	while (left) {
		ssize_t n = write(reply->fd, data, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			reply->err = -errno;
			return 0;
		}
		data += n;
		left -= (size_t)n;
	}
	return reply->arrived(size, reply->arg) ? 0 : size;
}

/* A long poll must not hold up an agent that is to end. */
static int on_progress(void *arg, curl_off_t download_all, curl_off_t download,
		       curl_off_t upload_all, curl_off_t upload)
{
	return cluster_signalled;
}

void http_options(void *curl, const struct http *http, const char *url, char *error)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)http->timeout);
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	if (http->ca) {
		curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca);
	} else {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (http->certificate) {
		curl_easy_setopt(curl, CURLOPT_SSLCERT, http->certificate);
		curl_easy_setopt(curl, CURLOPT_SSLKEY, http->key);
	}
}

static long perform(CURL *curl, const char *error, char **ret_why)
{
	CURLcode result = curl_easy_perform(curl);
	long status = -1;

	if (result == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	else
		*ret_why = strdup(*error ? error : curl_easy_strerror(result));
	return status;
}

long http_call(const struct http *http, const char *url, const char *body, char **ret_body,
	       char **ret_why)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	char error[CURL_ERROR_SIZE] = "";
	CURL *curl = curl_easy_init();
	struct reply reply = { 0 };
	long status = -1;

	*ret_why = NULL;
	*ret_body = NULL;
	if (curl && headers) {
		http_options(curl, http, url, error);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_text);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
		if (body) {
			curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
			curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		}
		status = perform(curl, error, ret_why);
	}
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	if (status < 0) {
		free(reply.text);
		reply.text = NULL;
	}
	*ret_body = reply.text;
	return status;
}

long http_fetch(const struct http *http, const char *url, int fd, uint64_t offset,
		int (*arrived)(uint64_t bytes, void *arg), void *arg, char **ret_why)
{
	CURL *curl = curl_easy_init();
	struct reply reply = { .fd = fd, .arrived = arrived, .arg = arg, .offset = offset };
	char error[CURL_ERROR_SIZE] = "", range[32];
	long status = -1;

	*ret_why = NULL;
	if (!curl)
		return -1;
	reply.curl = curl;
	http_options(curl, http, url, error);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 0L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_file);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
	if (offset) {
		snprintf(range, sizeof(range), "%llu-", (unsigned long long)offset);
		curl_easy_setopt(curl, CURLOPT_RANGE, range);
	}
	status = perform(curl, error, ret_why);
	curl_easy_cleanup(curl);
	if (!reply.err)
		return status;
	free(*ret_why);
	*ret_why = strdup(strerror(-reply.err));
	return reply.err;
}

void node_http(const struct node *node, struct http *ret_http, char paths[3][CLUSTER_PATH_MAX])
{
	node_path(node, "keys/ca.pem", paths[0]);
	node_path(node, "keys/node.pem", paths[1]);
	node_path(node, "keys/node.key", paths[2]);
	*ret_http = (struct http){
		.ca = paths[0],
		.certificate = paths[1],
		.key = paths[2],
		.timeout = 30,
	};
}
