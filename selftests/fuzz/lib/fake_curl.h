/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcurl's multi interface in memory, in place of the library: what it is told of a transfer is
 * kept, and the target says how each goes on, whenever the program lets transfers move.
 */
#ifndef SELFTESTS_FUZZ_FAKE_CURL_H
#define SELFTESTS_FUZZ_FAKE_CURL_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef size_t fake_data(char *data, size_t unit, size_t count, void *arg);

struct fake_transfer {
	bool used, added, done;
	fake_data *write;
	void *arg, *private;
	char url[400]; /* without its query */
	char range[64];
	long status;
	int64_t begun;
	CURLMsg message;
};

/* More transfers than that at once abort. */
void fake_curl_begin(size_t transfers_most);
/* A transfer is over; its message is what the program hears next. */
void fake_curl_end(struct fake_transfer *transfer, CURLcode result);

/* The target's: one transfer's turn; and so long the program waits for them. */
void fake_curl_move(struct fake_transfer *transfer);
void fake_curl_wait(int milliseconds);

#endif
