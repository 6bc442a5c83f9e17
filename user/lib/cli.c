/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

static const char *program_name = "sluice";

int cli_fail(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	/* Names of files, and what is in them, may be of somebody else. */
	fprintf(stderr, "%s: ", program_name);
	text_put(stderr, text ? text : "out of memory");
	fputc('\n', stderr);
	free(text);
	return 1;
}

void cli_print_size(uint64_t size, char out[16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)size;
	unsigned unit = 0;

	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	snprintf(out, 16, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void cli_print_time(int64_t when, char out[20])
{
	time_t seconds = (time_t)when;
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(out, 20, "%Y-%m-%d %H:%M", &utc);
}

void cli_put(const char *text)
{
	text_put(stdout, text);
}

/* NULL behind the last one. */
static const struct cli_command *nth(const struct cli_family *family, size_t n)
{
	if (family->list)
		return family->list[n];
	return family->table[n].name ? &family->table[n] : NULL;
}

static void print_help(const struct cli_program *program, FILE *out)
{
	fprintf(out, "Usage: %s COMMAND [OPTION]... [ARGUMENT]...\n%s\n", program->name,
		program->summary);
	for (const struct cli_family *family = program->families; family->title; family++) {
		const struct cli_command *command;

		fprintf(out, "\n%s:\n", family->title);
		for (size_t i = 0; (command = nth(family, i)); i++) {
			char left[64];

			snprintf(left, sizeof(left), "%s%s%s", command->name,
				 command->arguments ? " " : "",
				 command->arguments ? command->arguments : "");
			fprintf(out, "  %-34s %s\n", left, command->summary);
		}
	}
	fprintf(out, "\n\"%s COMMAND --help\" shows a command's options.\n", program->name);
}

/* How many words of argv name this command: 0 when they do not. */
static int name_matches(const char *name, int argc, char **argv)
{
	const char *space = strchr(name, ' ');
	size_t len = space ? (size_t)(space - name) : strlen(name);

	if (argc < 1 || strlen(argv[0]) != len || strncmp(argv[0], name, len) != 0)
		return 0;
	if (!space)
		return 1;
	return argc > 1 && !strcmp(argv[1], space + 1) ? 2 : 0;
}

static const struct cli_command *find_command(const struct cli_program *program, int argc,
					      char **argv, int *ret_words)
{
	const struct cli_command *command;

	for (const struct cli_family *family = program->families; family->title; family++)
		for (size_t i = 0; (command = nth(family, i)); i++) {
			*ret_words = name_matches(command->name, argc, argv);
			if (*ret_words)
				return command;
		}
	return NULL;
}

static int run_command(const struct cli_program *program, const struct cli_command *command,
		       int argc, char **argv)
{
	char name[64], help[64];
	struct opt_spec spec = {
		.program = name,
		.arguments = command->arguments,
		.summary = command->summary,
		.help = help,
		.groups = { { "Options", command->options, command->options_count,
			      command->target },
			    program->common },
		.arguments_min = command->arguments_min,
		.arguments_max = command->arguments_max,
	};
	int first, status;
	char *why;

	snprintf(name, sizeof(name), "%s %s", program->name, command->name);
	snprintf(help, sizeof(help), "%s --help", program->name);
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			opt_usage(&spec, stdout);
			return 0;
		}
	if (opt_parse(&spec, argc, argv, &first, &why)) {
		fprintf(stderr, "%s\n", why ? why : "out of memory");
		free(why);
		return 2;
	}
	status = program->run(program->cli, command, argc - first, argv + first);
	if (fflush(stdout))
		return cli_fail("standard output cannot be written");
	return status;
}

int cli_main(const struct cli_program *program, int argc, char **argv)
{
	const struct cli_command *command;
	int words;

	program_name = program->name;
	if (argc < 2) {
		print_help(program, stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(program, stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("%s " SLUICE_VERSION "\n", program->name);
		return 0;
	}
	command = find_command(program, argc - 1, argv + 1, &words);
	if (!command) {
		cli_fail("there is no command '%s'; try '%s --help'", argv[1], program->name);
		return 2;
	}
	return run_command(program, command, argc - words, argv + words);
}
