/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What went wrong, as the client will read it: an HTTP status, a stable code, a
 * sentence, and what to do next. Every operation that can fail for a reason the client
 * should know fills one; status 0 means no problem.
 */
#ifndef REPO_PROBLEM_H
#define REPO_PROBLEM_H

#include <stddef.h>

struct problem {
	unsigned status;
	const char *code; /* static */
	char message[320];
	char hint[240];
};

/* hint may be NULL; format is the message's. Returns -1, for "return problem_set(…)". */
int problem_set(struct problem *problem, unsigned status, const char *code, const char *hint,
		const char *format, ...) __attribute__((format(printf, 5, 6)));
/* From -errno: 507 for a full disk, 503 for a busy database, 404, 500. what: "reading …". */
int problem_errno(struct problem *problem, int err, const char *what);

#endif
