/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

static const struct opt common_options[] = {
	{ OPT_TEXT, 'k', "keys", "FILE", "public keys, any of which must have signed it",
	  offsetof(struct cli_options, keys), 0, 0, NULL },
	{ OPT_FLAG, 'j', "json", NULL, "print JSON", offsetof(struct cli_options, json), 0, 0,
	  NULL },
	{ OPT_FLAG, 'q', "quiet", NULL, "no progress line", offsetof(struct cli_options, quiet), 0,
	  0, NULL },
	{ OPT_FLAG, 'h', "help", NULL, "print this and exit", offsetof(struct cli_options, help), 0,
	  0, NULL },
};
#define COMMON_COUNT (sizeof(common_options) / sizeof(common_options[0]))

static const struct family {
	const char *title;
	const struct cli_command *commands[6];
} families[] = {
	{ "Making", { &create_command, &delta_command, &split_command, &join_command } },
	{ "Looking", { &verify_command, &inspect_command, &diff_command } },
	{ "Using", { &pull_command, &unpack_command } },
	{ "Keys", { &key_new_command, &key_show_command } },
};
#define FAMILIES (sizeof(families) / sizeof(families[0]))

static void print_help(FILE *out)
{
	fputs("Usage: sluice-bundle COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Bundles: everything a cluster without a network is installed from, in one signed "
	      "file.\n",
	      out);
	for (size_t i = 0; i < FAMILIES; i++) {
		fprintf(out, "\n%s:\n", families[i].title);
		for (const struct cli_command *const *at = families[i].commands; *at; at++) {
			char left[64];

			snprintf(left, sizeof(left), "%s %s", (*at)->name, (*at)->arguments);
			fprintf(out, "  %-34s %s\n", left, (*at)->summary);
		}
	}
	fputs("\n\"sluice-bundle COMMAND --help\" shows a command's options.\n", out);
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

static const struct cli_command *find_command(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < FAMILIES; i++)
		for (const struct cli_command *const *at = families[i].commands; *at; at++) {
			*ret_words = name_matches((*at)->name, argc, argv);
			if (*ret_words)
				return *at;
		}
	return NULL;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
	struct cli cli = { .options = { 0 } };
	char program[64];
	struct opt_spec spec = {
		.program = program,
		.arguments = command->arguments,
		.summary = command->summary,
		.help = "sluice-bundle --help",
		.groups = { { "Options", command->options, command->options_count,
			      command->target },
			    { "Common options", common_options, COMMON_COUNT, &cli.options } },
		.arguments_min = command->arguments_min,
		.arguments_max = command->arguments_max,
	};
	char *why;
	int first, status;

	snprintf(program, sizeof(program), "sluice-bundle %s", command->name);
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
	cli.progress = !cli.options.quiet && isatty(STDERR_FILENO);
	status = command->run(&cli, argc - first, argv + first);
	if (fflush(stdout))
		return cli_fail("standard output cannot be written");
	return status;
}

int main(int argc, char **argv)
{
	const struct cli_command *command;
	int words;

	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("sluice-bundle " SLUICE_VERSION);
		return 0;
	}
	/* A full disk or a closed pipe is an error of write(2), not a death. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (cleanup_start())
		return cli_fail("no thread can be started");
	command = find_command(argc - 1, argv + 1, &words);
	if (!command) {
		cli_fail("there is no command '%s'; try 'sluice-bundle --help'", argv[1]);
		return 2;
	}
	return run_command(command, argc - words, argv + words);
}
