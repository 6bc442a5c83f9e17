/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command line options: a table says what exists, opt_parse() fills a typed struct from
 * argv, opt_usage() prints the same table. Defaults are what the struct holds before.
 */
#ifndef SLUICE_OPT_H
#define SLUICE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum opt_kind {
	OPT_FLAG,    /* bool: set to true */
	OPT_TEXT,    /* const char *: into argv, never empty */
	OPT_WORD,    /* const char *: one of words */
	OPT_NUMBER,  /* uint32_t: decimal, least..most */
	OPT_NUMBERS, /* struct opt_numbers: may be given several times */
};

#define OPT_NUMBERS_MAX 8
struct opt_numbers {
	uint32_t list[OPT_NUMBERS_MAX];
	unsigned count;
};

struct opt {
	enum opt_kind kind;
	char letter;	   /* short name, or 0 */
	const char *name;  /* long name, without dashes */
	const char *value; /* what the usage text calls the value; NULL for OPT_FLAG */
	const char *help;  /* one line */
	size_t offset;	   /* into the group's target */
	uint32_t least, most;
	const char *const *words; /* OPT_WORD: ends with NULL */
};

/* Options that share a heading and a struct. */
struct opt_group {
	const char *title;
	const struct opt *options;
	size_t count;
	void *target;
};

#define OPT_GROUPS_MAX 2
struct opt_spec {
	const char *program;   /* "sluice tenant attach": for messages and usage */
	const char *arguments; /* "NAME", or NULL */
	const char *summary;   /* one sentence */
	const char *help;      /* the command to try after a mistake: "sluice --help" */
	struct opt_group groups[OPT_GROUPS_MAX];
	unsigned arguments_min, arguments_max;
	bool stop_early; /* what follows the first argument belongs to a command: leave it */
};

/*
 * Parses argv[1..]. 0 with the arguments at argv[*ret_first..argc-1] (argv is reordered
 * unless stop_early), or -EINVAL with *ret_why, malloc'd: one line that names the option
 * and ends with the next step. Uses getopt_long(3): one thread at a time.
 */
int opt_parse(const struct opt_spec *spec, int argc, char **argv, int *ret_first, char **ret_why);
/* Prints usage, summary and every option. */
void opt_usage(const struct opt_spec *spec, FILE *out);
/* A plain decimal number, without sign, space or leading zero. 0 or -EINVAL. */
int opt_number(const char *text, uint32_t least, uint32_t most, uint32_t *ret);

#endif
