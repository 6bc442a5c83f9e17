/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a tool (apt-ftparchive, gpg, …) and waits for it: no shell, a small environment. */
#ifndef SLUICE_SPAWN_H
#define SLUICE_SPAWN_H

#include <stddef.h>

#define SPAWN_OUTPUT_MAX (64 * 1024)

struct spawn {
	const char *const *argv; /* ends with NULL; argv[0] is looked up in PATH */
	const char *cwd;	 /* NULL: the daemon's */
	const char *input;	 /* what stdin reads; NULL: nothing */
	int output;		 /* stdout goes to this fd; -1: into text */
	unsigned timeout;	 /* seconds; then it is killed */
};

/*
 * 0 when the tool ran and exited with 0; *ret_text (may be NULL) is its stdout, malloc'd.
 * -EIO when it failed: *ret_why then holds the end of its stderr, malloc'd. -ETIME,
 * -ENOENT (not installed) or another -errno, with *ret_why as well.
 */
int spawn_run(const struct spawn *spawn, char **ret_text, char **ret_why);

#endif
