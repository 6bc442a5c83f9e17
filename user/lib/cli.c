/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nearest.h"
#include "progress.h"
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
	progress_clear();
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

/* name and help hold what the spec points to. */
static struct opt_spec spec_of(const struct cli_program *program, const struct cli_command *command,
			       char name[64], char help[80])
{
	snprintf(name, 64, "%s %s", program->name, command->name);
	snprintf(help, 80, "%s --help", name);
	return (struct opt_spec){
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
}

static void print_usage(const struct cli_program *program, const struct cli_command *command)
{
	char name[64], help[80];
	struct opt_spec spec = spec_of(program, command, name, help);

	opt_usage(&spec, stdout);
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int run_command(const struct cli_program *program, const struct cli_command *command,
		       int argc, char **argv)
{
	char name[64], help[80], *why;
	struct opt_spec spec = spec_of(program, command, name, help);
	int first, status;

	for (int i = 1; i < argc; i++)
		if (is_help(argv[i])) {
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

/* Says which commands begin with this word, or which one was probably meant. */
static int refuse_command(const struct cli_program *program, int argc, char **argv)
{
	char two[64], family[256] = "";
	struct nearest one = { .typed = argv[0] }, both = { .typed = two };
	size_t word = strlen(argv[0]), used = 0;
	const struct cli_command *command;

	snprintf(two, sizeof(two), "%s %s", argv[0], argc > 1 ? argv[1] : "");
	for (const struct cli_family *part = program->families; part->title; part++)
		for (size_t i = 0; (command = nth(part, i)); i++) {
			nearest_offer(&one, command->name);
			nearest_offer(&both, command->name);
			if (!strncmp(command->name, argv[0], word) && command->name[word] == ' ' &&
			    used < sizeof(family))
				used += (size_t)snprintf(family + used, sizeof(family) - used,
							 "%s%s", used ? ", " : "", command->name);
		}
	if (argc > 1 && both.word && (*family || !one.word))
		cli_fail("there is no command '%s'; did you mean '%s'?", two, both.word);
	else if (*family)
		cli_fail("'%s' needs one more word: %s", argv[0], family);
	else if (one.word)
		cli_fail("there is no command '%s'; did you mean '%s'?", argv[0], one.word);
	else
		cli_fail("there is no command '%s'; try '%s --help'", argv[0], program->name);
	return 2;
}

/* Common options may stand before the command as well; 0 with *ret_words, or the exit status. */
static int parse_common(const struct cli_program *program, int argc, char **argv, int *ret_words)
{
	char help[64];
	const struct opt_spec spec = {
		.program = program->name,
		.arguments = "COMMAND",
		.help = help,
		.groups = { program->common },
		.stop_early = true,
	};
	char *why;

	snprintf(help, sizeof(help), "%s --help", program->name);
	if (!opt_parse(&spec, argc, argv, ret_words, &why))
		return 0;
	fprintf(stderr, "%s\n", why ? why : "out of memory");
	free(why);
	return 2;
}

int cli_main(const struct cli_program *program, int argc, char **argv)
{
	const struct cli_command *command;
	bool asked = false;
	int words, first;

	program_name = program->name;
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		printf("%s " SLUICE_VERSION "\n", program->name);
		return 0;
	}
	if (parse_common(program, argc, argv, &first))
		return 2;
	for (int i = 1; i < first; i++)
		asked |= is_help(argv[i]);
	if (first < argc && !strcmp(argv[first], "help")) {
		asked = true;
		first++;
	}
	if (first == argc) {
		print_help(program, asked ? stdout : stderr);
		return asked ? 0 : 2;
	}
	command = find_command(program, argc - first, argv + first, &words);
	if (!command)
		return refuse_command(program, argc - first, argv + first);
	if (asked) {
		print_usage(program, command);
		return 0;
	}
	/* getopt skips argv[0]: the command's last word stands there. */
	return run_command(program, command, argc - first - words + 1, argv + first + words - 1);
}
