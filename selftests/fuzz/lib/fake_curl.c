/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_curl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../user/lib/clock.h"

#undef NDEBUG
#include <assert.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo

#define TRANSFERS_MAX 256

static struct fake_transfer transfers[TRANSFERS_MAX];
static size_t most;

void fake_curl_begin(size_t transfers_most)
{
	assert(transfers_most <= TRANSFERS_MAX);
	most = transfers_most;
}

CURL *curl_easy_init(void)
{
	for (size_t i = 0; i < most; i++)
		if (!transfers[i].used) {
			transfers[i] = (struct fake_transfer){ .used = true };
			return (CURL *)&transfers[i];
		}
	abort();
}

void curl_easy_cleanup(CURL *curl)
{
	struct fake_transfer *transfer = (struct fake_transfer *)curl;

	assert(!transfer || (transfer->used && !transfer->added));
	if (transfer)
		transfer->used = false;
}

const char *curl_easy_strerror(CURLcode code)
{
	return "it broke";
}

CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...)
{
	struct fake_transfer *transfer = (struct fake_transfer *)curl;
	va_list args;

	va_start(args, option);
	switch (option) {
	case CURLOPT_WRITEFUNCTION:
		transfer->write = va_arg(args, fake_data *);
		break;
	case CURLOPT_WRITEDATA:
		transfer->arg = va_arg(args, void *);
		break;
	case CURLOPT_PRIVATE:
		transfer->private = va_arg(args, void *);
		break;
	case CURLOPT_URL:
		snprintf(transfer->url, sizeof(transfer->url), "%s", va_arg(args, char *));
		if (strchr(transfer->url, '?'))
			*strchr(transfer->url, '?') = '\0';
		break;
	case CURLOPT_RANGE:
		snprintf(transfer->range, sizeof(transfer->range), "%s", va_arg(args, char *));
		break;
	default:
		break;
	}
	va_end(args);
	return CURLE_OK;
}

CURLcode curl_easy_getinfo(CURL *curl, CURLINFO info, ...)
{
	struct fake_transfer *transfer = (struct fake_transfer *)curl;
	va_list args;

	va_start(args, info);
	if (info == CURLINFO_PRIVATE)
		*va_arg(args, void **) = transfer->private;
	else if (info == CURLINFO_RESPONSE_CODE)
		*va_arg(args, long *) = transfer->status;
	else
		abort();
	va_end(args);
	return CURLE_OK;
}

CURLM *curl_multi_init(void)
{
	return (CURLM *)transfers;
}

CURLMcode curl_multi_cleanup(CURLM *multi)
{
	for (size_t i = 0; i < most; i++)
		assert(!transfers[i].added);
	return CURLM_OK;
}

CURLMcode curl_multi_add_handle(CURLM *multi, CURL *curl)
{
	struct fake_transfer *transfer = (struct fake_transfer *)curl;

	assert(transfer->used && !transfer->added);
	transfer->added = true;
	transfer->done = false;
	transfer->status = 0;
	transfer->begun = clock_ms(CLOCK_MONOTONIC);
	return CURLM_OK;
}

CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *curl)
{
	((struct fake_transfer *)curl)->added = false;
	return CURLM_OK;
}

CURLMcode curl_multi_perform(CURLM *multi, int *running)
{
	for (size_t i = 0; i < most; i++)
		if (transfers[i].added && !transfers[i].done)
			fake_curl_move(&transfers[i]);
	*running = 0;
	return CURLM_OK;
}

CURLMsg *curl_multi_info_read(CURLM *multi, int *left)
{
	for (size_t i = 0; i < most; i++)
		if (transfers[i].added && transfers[i].done && transfers[i].message.msg) {
			static CURLMsg message;

			message = transfers[i].message;
			transfers[i].message.msg = CURLMSG_NONE;
			return &message;
		}
	return NULL;
}

CURLMcode curl_multi_poll(CURLM *multi, struct curl_waitfd *fds, unsigned count, int timeout,
			  int *ret)
{
	fake_curl_wait(timeout);
	return CURLM_OK;
}

void fake_curl_end(struct fake_transfer *transfer, CURLcode result)
{
	transfer->done = true;
	transfer->message = (CURLMsg){ .msg = CURLMSG_DONE,
				       .easy_handle = (CURL *)transfer,
				       .data.result = result };
}
