/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAMILIES 6

static const struct opt common_options[] = {
	{ OPT_TEXT, 's', "server", "URL",
	  "unix:/path, http://… or https://… (default: $SLUICE_REPO, else the local socket)",
	  offsetof(struct cli_options, server), 0, 0, NULL },
	{ OPT_TEXT, 't', "token-file", "FILE", "the token (default: $SLUICE_REPO_TOKEN_FILE)",
	  offsetof(struct cli_options, token_file), 0, 0, NULL },
	{ OPT_TEXT, 0, "ca", "FILE", "certificates an https server is checked against",
	  offsetof(struct cli_options, ca), 0, 0, NULL },
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
	const struct cli_command *commands;
	const size_t *count;
} families[FAMILIES] = {
	{ "Uploading", cli_upload_commands, &cli_upload_commands_count },
	{ "Packages", cli_package_commands, &cli_package_commands_count },
	{ "Instructions to VMs", cli_instruct_commands, &cli_instruct_commands_count },
	{ "Following them", cli_report_commands, &cli_report_commands_count },
	{ "Beginning in a VM", cli_userdata_commands, &cli_userdata_commands_count },
	{ "Administration", cli_admin_commands, &cli_admin_commands_count },
};

int cli_fail(const char *format, ...)
{
	va_list args;

	fputs("sluice-repo: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return 1;
}

int cli_fail_reply(long status, const json_t *reply)
{
	const json_t *error = json_object_get(reply, "error");
	const char *message = cli_text(error, "message"), *hint = cli_text(error, "hint");

	if (status < 0)
		return 1;
	if (!*message)
		return cli_fail("the server answered %ld", status);
	cli_fail("%s", message);
	if (*hint)
		fprintf(stderr, "  %s\n", hint);
	return 1;
}

static void print_help(FILE *out)
{
	fputs("Usage: sluice-repo COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Manages the software repository.\n",
	      out);
	for (size_t i = 0; i < FAMILIES; i++) {
		fprintf(out, "\n%s:\n", families[i].title);
		for (size_t j = 0; j < *families[i].count; j++) {
			const struct cli_command *command = &families[i].commands[j];
			char left[64];

			snprintf(left, sizeof(left), "%s%s%s", command->name,
				 command->arguments ? " " : "",
				 command->arguments ? command->arguments : "");
			fprintf(out, "  %-34s %s\n", left, command->summary);
		}
	}
	fputs("\n\"sluice-repo COMMAND --help\" shows a command's options.\n", out);
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
		for (size_t j = 0; j < *families[i].count; j++) {
			*ret_words = name_matches(families[i].commands[j].name, argc, argv);
			if (*ret_words)
				return &families[i].commands[j];
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
		.help = "sluice-repo --help",
		.groups = { { "Options", command->options, command->options_count,
			      command->target },
			    { "Common options", common_options, COMMON_COUNT, &cli.options } },
		.arguments_min = command->arguments_min,
		.arguments_max = command->arguments_max,
	};
	char *why;
	int first, status;

	snprintf(program, sizeof(program), "sluice-repo %s", command->name);
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
	if (cli_http_open(&cli))
		return 1;
	status = command->run(&cli, argc - first, argv + first);
	cli_http_close(&cli);
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
		puts("sluice-repo " SLUICE_VERSION);
		return 0;
	}
	command = find_command(argc - 1, argv + 1, &words);
	if (!command) {
		cli_fail("there is no command '%s'; try 'sluice-repo --help'", argv[1]);
		return 2;
	}
	return run_command(command, argc - words, argv + words);
}
