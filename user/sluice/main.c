/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line: finds the command in a table, parses its options, runs it. A command
 * is one or two words; the common options stand before or after it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/nearest.h"
#include "command.h"
#include "render.h"

#define HELP "sluice --help"

static enum status run_help(const struct common *common, char **arguments, int count);

static const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.summary = "Explain a command",
	.arguments_max = 2,
	.run = run_help,
};

/* clang-format off */
static const struct command *const commands[] = {
	&command_status,
	&command_tenant_attach,
	&command_tenant_detach,
	&command_tenant_list,
	&command_tenant_show,
	&command_tenant_create,
	&command_tenant_delete,
	&command_gateway_create,
	&command_gateway_delete,
	&command_port_set,
	&command_port_del,
	&command_port_list,
	&command_doctor,
	&command_top,
	&command_trace,
	&command_metrics,
	&command_log_rotate,
	&command_log,
	&command_reload,
	&command_upgrade,
	&command_version,
	&command_help,
};
/* clang-format on */
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static struct common common;

static const struct opt common_options[] = {
	{ .kind = OPT_TEXT,
	  .letter = 'i',
	  .name = "instance",
	  .value = "NAME",
	  .offset = offsetof(struct common, instance),
	  .help = "which sluiced to talk to; default \"default\"" },
	{ .kind = OPT_TEXT,
	  .letter = 's',
	  .name = "socket",
	  .value = "PATH",
	  .offset = offsetof(struct common, socket),
	  .help = "its control socket, if it is elsewhere" },
	{ .kind = OPT_FLAG,
	  .letter = 'j',
	  .name = "json",
	  .offset = offsetof(struct common, json),
	  .help = "print the daemon's data as JSON" },
	{ .kind = OPT_FLAG,
	  .letter = 'h',
	  .name = "help",
	  .offset = offsetof(struct common, help),
	  .help = "print this help" },
	{ .kind = OPT_FLAG,
	  .letter = 'V',
	  .name = "version",
	  .offset = offsetof(struct common, version),
	  .help = "print the version" },
};

#define COMMON_GROUP                                                                               \
	{                                                                                          \
		.title = "Common options", .options = common_options,                              \
		.count = sizeof(common_options) / sizeof(common_options[0]), .target = &common     \
	}

static const struct opt_spec main_spec = {
	.program = "sluice",
	.arguments = "COMMAND",
	.summary = "Control sluiced, which serves the metadata address in tenant networks.",
	.help = HELP,
	.groups = { COMMON_GROUP },
	.stop_early = true,
};

/* The longest command that the words begin with; *ret_words says how many it takes. */
static const struct command *find_command(char **words, int count, int *ret_words)
{
	char two[64] = "";

	if (count >= 2)
		snprintf(two, sizeof(two), "%s %s", words[0], words[1]);
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!strcmp(commands[i]->name, two)) {
			*ret_words = 2;
			return commands[i];
		}
		if (count && !strcmp(commands[i]->name, words[0])) {
			*ret_words = 1;
			return commands[i];
		}
	}
	return NULL;
}

static bool is_family(const char *word, const struct command *command)
{
	size_t len = strlen(word);

	return !strncmp(command->name, word, len) && command->name[len] == ' ';
}

/* Prints the commands of a family, or all; false when there are none. */
static bool list_commands(const char *family, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < COMMANDS; i++) {
		char synopsis[64];

		if (family && !is_family(family, commands[i]))
			continue;
		if (!any)
			fprintf(out, "Commands:\n");
		any = true;
		snprintf(synopsis, sizeof(synopsis), "%s %s", commands[i]->name,
			 commands[i]->arguments ? commands[i]->arguments : "");
		fprintf(out, "  %-26s  %s\n", synopsis, commands[i]->summary);
	}
	return any;
}

static void print_help(FILE *out)
{
	opt_usage(&main_spec, out);
	putc('\n', out);
	list_commands(NULL, out);
	fputs("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 no daemon, 4 no right to.\n"
	      "More: sluice help COMMAND, man sluice.\n",
	      out);
}

/* What was probably meant: a whole command, or the family that a first word names. */
static const char *nearest_command(const char *typed)
{
	struct nearest nearest = { .typed = typed };

	for (size_t i = 0; i < COMMANDS; i++)
		nearest_offer(&nearest, commands[i]->name);
	return nearest.word;
}

static void say_no_command(const char *typed)
{
	const char *meant = nearest_command(typed);

	if (meant)
		fprintf(stderr, "sluice: no command '%s' exists; did you mean '%s'?\n", typed,
			meant);
	else
		fprintf(stderr, "sluice: no command '%s' exists; try '" HELP "'\n", typed);
}

static enum status refuse_command(char **words, int count)
{
	char two[64];

	if (!count) {
		fprintf(stderr, "sluice: a command is missing; try '" HELP "'\n");
		return STATUS_USAGE;
	}
	snprintf(two, sizeof(two), "%s %s", words[0], count > 1 ? words[1] : "");
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!is_family(words[0], commands[i]))
			continue;
		if (count > 1)
			say_no_command(two);
		else
			fprintf(stderr, "sluice: '%s' needs one more word\n", words[0]);
		list_commands(words[0], stderr);
		return STATUS_USAGE;
	}
	/* "tennant list" is a slip of two words, "statsu --json" one of one. */
	say_no_command(count > 1 && nearest_command(two) && !nearest_command(words[0]) ? two
										       : words[0]);
	return STATUS_USAGE;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static void build_spec(const struct command *command, struct opt_spec *ret, char *program,
		       size_t cap)
{
	static char help[96];

	snprintf(program, cap, "sluice %s", command->name);
	snprintf(help, sizeof(help), "sluice help %s", command->name);
	*ret = (struct opt_spec){
		.program = program,
		.arguments = command->arguments,
		.summary = command->summary,
		.help = help,
		.groups = { { .title = "Options",
			      .options = command->options,
			      .count = command->options_count,
			      .target = command->target },
			    COMMON_GROUP },
		.arguments_min = command->arguments_min,
		.arguments_max = command->arguments_max,
	};
}

static enum status run_help(const struct common *ignored, char **arguments, int count)
{
	const struct command *command;
	struct opt_spec spec;
	char program[64];
	int words;

	if (!count) {
		print_help(stdout);
		return STATUS_OK;
	}
	command = find_command(arguments, count, &words);
	if (!command && count == 1 && list_commands(arguments[0], stdout))
		return STATUS_OK;
	if (!command)
		return refuse_command(arguments, count);
	build_spec(command, &spec, program, sizeof(program));
	opt_usage(&spec, stdout);
	return STATUS_OK;
}

static enum status run_command(const struct command *command, int argc, char **argv)
{
	struct opt_spec spec;
	char program[64], *why;
	int first;

	build_spec(command, &spec, program, sizeof(program));
	/* Help is help, also where an argument is missing. */
	for (int i = 1; i < argc; i++)
		if (is_help(argv[i])) {
			opt_usage(&spec, stdout);
			return STATUS_OK;
		}
	if (opt_parse(&spec, argc, argv, &first, &why) < 0) {
		fprintf(stderr, "%s\n", why ? why : "sluice: out of memory");
		free(why);
		return STATUS_USAGE;
	}
	return command->run(&common, argv + first, argc - first);
}

int main(int argc, char **argv)
{
	const struct command *command;
	enum status status;
	int first, words;
	char *why;

	render_init();
	if (opt_parse(&main_spec, argc, argv, &first, &why) < 0) {
		fprintf(stderr, "%s\n", why ? why : "sluice: out of memory");
		free(why);
		return STATUS_USAGE;
	}
	if (common.help) {
		print_help(stdout);
		return STATUS_OK;
	}
	if (common.version)
		return command_version.run(&common, NULL, 0);
	command = find_command(argv + first, argc - first, &words);
	if (!command && argc - first == 2 && is_help(argv[first + 1]) &&
	    list_commands(argv[first], stdout))
		return STATUS_OK;
	if (!command)
		return refuse_command(argv + first, argc - first);
	/* getopt skips argv[0]: the command's last word stands there. */
	status = run_command(command, argc - first - words + 1, argv + first + words - 1);
	/* A full disk or a closed pipe is a failure too, when the output was the point. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("sluice: writing the output");
		return STATUS_FAILED;
	}
	return status;
}
