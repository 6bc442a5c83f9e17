/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a tool (apt-ftparchive, gpg, …) and waits for it: no shell, a small environment. */
#ifndef SLUICE_SPAWN_H
#define SLUICE_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

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
 * -ENOENT (not installed), -ECANCELED (by spawn_stop()) or another -errno, with *ret_why as well.
 */
int spawn_run(const struct spawn *spawn, char **ret_text, char **ret_why);

/* The same in two steps, for what runs beside others. */
struct spawn_child {
	const char *name;
	pid_t pid;
	unsigned timeout; /* from spawn_end() on */
	int out, errors;
	bool last; /* of spawn_run_last() */
};
/* 0, and spawn_end() must follow; or -errno and *ret_why. argv[0] must live as long. */
int spawn_begin(const struct spawn *spawn, struct spawn_child *ret_child, char **ret_why);
int spawn_end(struct spawn_child *child, char **ret_text, char **ret_why);

/* The program is going to end: tools that are waited for are killed, and no more are begun. */
void spawn_stop(void);
/* spawn_run() for what clears up: spawn_stop() is not for it. */
int spawn_run_last(const struct spawn *spawn, char **ret_text, char **ret_why);

#endif
