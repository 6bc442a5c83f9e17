/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts a program, and hears it while it runs. What it says goes to the caller as it comes; of
 * long output the end can be kept as text. For a tool whose whole output is wanted: spawn.h.
 */
#ifndef SLUICE_CHILD_H
#define SLUICE_CHILD_H

#include <stddef.h>
#include <stdbool.h>
#include <sys/types.h>

/* A child's files: stdin, stdout, stderr and, as 3, what apt calls the status. */
#define CHILD_FDS 4

struct child_start {
	const char *const *argv;  /* ends with NULL; argv[0] is looked up in PATH */
	char *const *environment; /* NULL: this process's */
	const char *cwd;	  /* NULL: this process's */
	int fds[CHILD_FDS];	  /* -1: /dev/null for stdin, else not given */
	bool group;		  /* one of its own: a signal for this process is not for it */
};

/* No signal is blocked or ignored in it. 0 with a pid to wait for, or -errno. */
int child_start(const struct child_start *start, pid_t *ret_pid);

struct child {
	const char *const *argv;
	char *const *environment;
	int input;	  /* -1: nothing */
	unsigned timeout; /* seconds it may take; 0: any */
	unsigned silence; /* seconds it may say nothing; 0: any */
	/* What it wrote to stdout and stderr, and to file 3 (NULL: it has none). */
	void (*output)(const char *data, size_t len, void *arg);
	void (*status)(const char *data, size_t len, void *arg);
	void (*started)(pid_t pid, void *arg); /* also its group's number; may be NULL */
	void *arg;
};

/*
 * Runs it, in a group of its own, until it ends; what it leaves behind (a service that a package
 * starts) may go on. Its exit status, or 128 + the signal that ended it; -ETIME when it took too
 * long or was silent too long: its group got SIGTERM, and SIGKILL ten seconds later; -errno when
 * it did not start.
 */
int child_run(const struct child *child);
/* Ends a program that child_run() started, by its pid and a pidfd of it, as when it is late. */
void child_end(pid_t pid, int pidfd);

/* Appends to log, of max + 1 bytes, and keeps the end; what is not plain ASCII becomes '?'. */
void child_keep(char *log, size_t max, const char *data, size_t len);
/* The last line that is not empty. */
void child_last_line(const char *log, char *ret_line, size_t size);

#endif
