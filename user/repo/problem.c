/* SPDX-License-Identifier: BSD-2-Clause */
#include "problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../lib/text.h"

int problem_set(struct problem *problem, unsigned status, const char *code, const char *hint,
		const char *format, ...)
{
	va_list args;

	problem->status = status;
	problem->code = code;
	va_start(args, format);
	vsnprintf(problem->message, sizeof(problem->message), format, args);
	va_end(args);
	/* A request's words are in it, and it may have been cut: JSON is UTF-8. */
	text_clean(problem->message, strlen(problem->message), false);
	snprintf(problem->hint, sizeof(problem->hint), "%s", hint ? hint : "");
	return -1;
}

int problem_errno(struct problem *problem, int err, const char *what)
{
	switch (-err) {
	case ENOSPC:
	case EDQUOT:
		return problem_set(problem, 507, "disk-full",
				   "free space or delete packages; nothing acknowledged was lost",
				   "%s: the repository's disk is full", what);
	case EBUSY:
		return problem_set(problem, 503, "busy", "try again", "%s: busy", what);
	case ENOENT:
		return problem_set(problem, 404, "not-found", NULL, "%s: not found", what);
	case EUCLEAN:
		return problem_set(problem, 500, "damaged", "run \"sluice-repo fsck\"",
				   "%s: the database is damaged", what);
	default:
		return problem_set(problem, 500, "system", "the daemon's log says more", "%s: %s",
				   what, strerror(-err));
	}
}
