/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX    (256 * 1024)
#define POST_SECONDS 15

struct reply {
	char *text;
	size_t len;
};

static size_t on_receive(char *data, size_t unit, size_t count, void *arg)
{
	struct reply *reply = arg;
	size_t size = unit * count;
	char *text;

	if (reply->len + size > REPLY_MAX)
		return 0;
	text = realloc(reply->text, reply->len + size + 1);
	if (!text)
		return 0;
	memcpy(text + reply->len, data, size);
	reply->text = text;
	reply->len += size;
	text[reply->len] = '\0';
	return size;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
		       curl_off_t up)
{
	return agent_ending;
}

/* No redirection is followed and no proxy asked: the metadata address is one hop away. */
static long perform(CURL *curl, const char *url, unsigned timeout, struct reply *reply,
		    const char **ret_why)
{
	CURLcode result;
	long status = -1;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)timeout);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_receive);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
	result = curl_easy_perform(curl);
	if (result == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	else
		*ret_why = curl_easy_strerror(result);
	return status;
}

long agent_get(const char *url, unsigned timeout, char **ret_body, size_t *ret_len,
	       const char **ret_why)
{
	CURL *curl = curl_easy_init();
	struct reply reply = { NULL, 0 };
	long status = -1;

	*ret_why = "out of memory";
	*ret_body = NULL;
	*ret_len = 0;
	if (!curl)
		return -1;
	/* A poll ends when the agent is to end; a report does not, since it may be the last. */
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	status = perform(curl, url, timeout, &reply, ret_why);
	curl_easy_cleanup(curl);
	if (status < 0) {
		free(reply.text);
		return -1;
	}
	*ret_body = reply.text;
	*ret_len = reply.len;
	return status;
}

long agent_post(const char *url, const char *body, const char **ret_why)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURL *curl = curl_easy_init();
	struct reply reply = { NULL, 0 };
	long status = -1;

	*ret_why = "out of memory";
	if (curl) {
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		status = perform(curl, url, POST_SECONDS, &reply, ret_why);
		curl_easy_cleanup(curl);
	}
	curl_slist_free_all(headers);
	free(reply.text);
	return status;
}
