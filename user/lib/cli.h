/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command line of many commands: tables say which exist, cli_main() finds the one that is meant,
 * parses its options and those that all have, and runs it. Exit statuses: 0 done, 1 failed, 2 wrong
 * usage; a command may have others.
 */
#ifndef SLUICE_CLI_H
#define SLUICE_CLI_H

#include <stddef.h>
#include <stdint.h>

#include "opt.h"

/* What every command of a program is told: each program has its own. */
struct cli;

struct cli_command {
	const char *name;      /* "token create" is two words */
	const char *arguments; /* for the usage line, or NULL */
	const char *summary;
	unsigned arguments_min, arguments_max;
	const struct opt *options;
	size_t options_count;
	void *target; /* what options fill */
	int (*run)(struct cli *cli, int argc, char **argv);
};

struct cli_family {
	const char *title;
	/* One of the two: a table that ends with an empty one, or a list that ends with NULL. */
	const struct cli_command *table;
	const struct cli_command *const *list;
};

struct cli_program {
	const char *name;
	const char *summary;		   /* one sentence */
	const struct cli_family *families; /* ends with an empty one */
	struct opt_group common;	   /* options of every command, --help among them */
	struct cli *cli;
	/* Runs the command when everything was understood; its exit status. */
	int (*run)(struct cli *cli, const struct cli_command *command, int argc, char **argv);
};

/* Returns the exit status. */
int cli_main(const struct cli_program *program, int argc, char **argv);

/* Prints "PROGRAM: …" to stderr; returns 1, a command's exit status. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "12.5 MiB" */
void cli_print_size(uint64_t size, char out[16]);
/* "2026-11-22 01:50", UTC, of seconds since the epoch. */
void cli_print_time(int64_t when, char out[20]);
/* Writes text so that it does nothing to a terminal: lib/text.h. */
void cli_put(const char *text);

#endif
