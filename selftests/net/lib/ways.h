/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a table of cases against a worker, for each engine and bridge at once. A case is a
 * name and a function; it says what a user would notice with expect().
 */
#ifndef SELFTEST_WAYS_H
#define SELFTEST_WAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "origin.h"
#include "parent.h"

struct way {
	const char *engine;
	bool stream;
};

struct bench {
	const struct way *way;
	struct parent *parent;
	struct origin_server *origin;
	uint16_t port;
	bool failed;
};

struct ways_case {
	const char *name;
	void (*run)(struct bench *bench);
};

/*
 * extra: more YAML (limits and the like). Each case has workers of its own when fresh is
 * set, else all cases of a way share them. Returns the program's exit status.
 */
int ways_run(const struct ways_case *cases, size_t count, const char *extra, bool fresh);

/*
 * One origin serves all of it: as service "o", the first, with time enough, and as "hasty", by
 * paths that begin with /stall/hasty or /echo/hasty, in a second and a half.
 */

/* Notes a failure of the case, with what was expected. */
#define expect(bench, condition) ways_expect(bench, condition, __FILE__, __LINE__, #condition)
void ways_expect(struct bench *bench, bool good, const char *file, int line, const char *text);
/* A complete 200 with the first length bytes of the test body. */
#define expect_body(bench, response, bytes)                                                        \
	ways_expect_body(bench, response, bytes, __FILE__, __LINE__)
void ways_expect_body(struct bench *bench, const struct response *response, uint64_t length,
		      const char *file, int line);
void ways_sleep(unsigned ms);
/* Waits up to half a minute for a counter to reach at least value. */
bool ways_counter(struct bench *bench, size_t offset, uint64_t value);

#endif
