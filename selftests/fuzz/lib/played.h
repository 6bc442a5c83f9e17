/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What surrounds sluice-repod when fuzz_repod.c feeds it requests: libmicrohttpd, as far as http.c
 * calls it, threads, time, chance, and the tools that publishing runs. Each request's fields come
 * from the target, and what is answered goes to it.
 */
#ifndef SELFTESTS_FUZZ_PLAYED_H
#define SELFTESTS_FUZZ_PLAYED_H

#include <microhttpd.h>
#include <stdbool.h>

#define PLAYED_TIME	  1700000000
#define PLAYED_FIELDS_MAX 32

struct field {
	char *name, *value;
};

/* The one request there is. */
struct played_request {
	struct field headers[PLAYED_FIELDS_MAX], arguments[PLAYED_FIELDS_MAX];
	unsigned header_count, argument_count;
	unsigned answers, status;
	bool suspended;
};

struct played {
	/* What http.c gave to the library. */
	MHD_AccessHandlerCallback handler;
	void *(*begin)(void *arg, const char *target, struct MHD_Connection *connection);
	MHD_RequestCompletedCallback end;

	char *text;	  /* of the last answer that is text */
	unsigned randoms; /* how many numbers were drawn */
	int peer;	  /* a connected socket: who asks is this process */
	bool tools_fail, tools_failed;
	unsigned tools_running;
};

extern struct played_request now;
extern struct played played;

#endif
