/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/digest.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/nearest.h"
#include "../lib/opt.h"
#include "../lib/text.h"
#include "cluster.h"

#define FILE_MAX (1024 * 1024)

struct options {
	const char *state;
	bool json, verbose, help, version;
};

static const struct opt option_table[] = {
	{ OPT_TEXT, 's', "state", "DIR", "default: /var/lib/sluice-cluster",
	  offsetof(struct options, state), 0, 0, NULL },
	{ OPT_FLAG, 'j', "json", NULL, "print JSON", offsetof(struct options, json), 0, 0, NULL },
	{ OPT_FLAG, 'v', "verbose", NULL, "log more", offsetof(struct options, verbose), 0, 0,
	  NULL },
	{ OPT_FLAG, 'h', "help", NULL, "print this and exit", offsetof(struct options, help), 0, 0,
	  NULL },
	{ OPT_FLAG, 0, "version", NULL, "print the version and exit",
	  offsetof(struct options, version), 0, 0, NULL },
};

static const struct cluster_command *const commands[] = {
	&command_init,	    &command_enrol,  &command_serve,  &command_bootstrap, &command_plan,
	&command_apply,	    &command_status, &command_report, &command_retry,	  &command_rollback,
	&command_uninstall, &command_renew,  &command_revoke,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

void cluster_complain(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	/* What it is about was said before it, also where both go to one file. */
	fflush(stdout);
	fputs("sluice-cluster: ", stderr);
	text_put(stderr, text ? text : "out of memory");
	fputc('\n', stderr);
	free(text);
}

const char *cluster_path(const struct cluster *cluster, const char *name)
{
	static _Thread_local char paths[8][CLUSTER_PATH_MAX];
	static _Thread_local unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, CLUSTER_PATH_MAX, "%s/%s", cluster->directory, name);
	return path;
}

char *cluster_read(const struct cluster *cluster, const char *name)
{
	char *text = NULL;
	int err = file_read(cluster_path(cluster, name), FILE_MAX, &text, NULL);

	if (err)
		cluster_complain("%s: %s", cluster_path(cluster, name), strerror(-err));
	return err ? NULL : text;
}

struct config *cluster_config(const struct cluster *cluster, const char *path)
{
	struct config *config = NULL;
	char *why = NULL;

	if (config_load(path ? path : cluster_path(cluster, "cluster.yaml"), &config, &why))
		fprintf(stderr, "%s\n", why ? why : "sluice-cluster: out of memory");
	free(why);
	return config;
}

void cluster_print(json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
}

int cluster_run_id(char ret_id[DESIRED_RUN_LEN + 1])
{
	return digest_random_hex(DESIRED_RUN_LEN / 2, ret_id);
}

static void usage(FILE *out)
{
	fputs("Usage: sluice-cluster COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Installs a cluster that has no external network from one signed "
	      "bundle.\n\nCommands:\n",
	      out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\nOptions of a command: sluice-cluster COMMAND --help; manual: sluice-cluster(1)\n",
	      out);
}

static const struct cluster_command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void refuse_command(const char *name)
{
	struct nearest nearest = { .typed = name };

	for (size_t i = 0; i < COMMANDS; i++)
		nearest_offer(&nearest, commands[i]->name);
	if (nearest.word)
		cluster_complain("no command '%s' exists; did you mean '%s'?", name, nearest.word);
	else
		cluster_complain("no command '%s' exists; try 'sluice-cluster --help'", name);
}

static enum cluster_exit run(const struct cluster_command *command, const struct options *options,
			     char **arguments, unsigned count)
{
	struct cluster cluster = { .directory = options->state, .json = options->json };
	enum cluster_exit status;
	int err = 0;

	if (!command->no_state)
		err = state_open(cluster.directory, false, &cluster.state);
	if (err) {
		if (err == -ENOENT)
			cluster_complain("%s holds no cluster; make one: sluice-cluster init "
					 "cluster.yaml",
					 cluster.directory);
		else
			cluster_complain("%s/cluster.db: %s", cluster.directory,
					 err == -EPROTO ? "another program or version wrote it"
							: strerror(-err));
		return CLUSTER_ERROR;
	}
	status = command->run(&cluster, arguments, count);
	state_close(&cluster.state);
	if (status == CLUSTER_DONE && fflush(stdout)) {
		cluster_complain("standard output cannot be written: %s", strerror(errno));
		status = CLUSTER_ERROR;
	}
	return status;
}

#define COMMON_GROUP(target)                                                                       \
	{                                                                                          \
		"Options of all commands", option_table,                                           \
			sizeof(option_table) / sizeof(option_table[0]), target                     \
	}

static struct opt_spec spec_of(const struct cluster_command *command, struct options *options,
			       char name[64], char help[80])
{
	snprintf(name, 64, "sluice-cluster %s", command->name);
	snprintf(help, 80, "%s --help", name);
	return (struct opt_spec){
		.program = name,
		.arguments = command->arguments,
		.summary = command->summary,
		.help = help,
		.groups = { { "Options", command->options, command->options_count,
			      command->values },
			    COMMON_GROUP(options) },
		.arguments_min = command->least,
		.arguments_max = command->most,
	};
}

/* Options of all commands may stand before the command: 0 with *ret_first, or CLUSTER_USAGE. */
static int parse_common(struct options *options, int argc, char **argv, int *ret_first)
{
	const struct opt_spec spec = {
		.program = "sluice-cluster",
		.arguments = "COMMAND",
		.help = "sluice-cluster --help",
		.groups = { COMMON_GROUP(options) },
		.stop_early = true,
	};
	char *why = NULL;

	if (!opt_parse(&spec, argc, argv, ret_first, &why))
		return 0;
	fprintf(stderr, "%s\n", why ? why : "out of memory");
	free(why);
	return CLUSTER_USAGE;
}

static int main_command(const struct cluster_command *command, struct options *options, int argc,
			char **argv)
{
	char name[64], help[80], *why = NULL;
	struct opt_spec spec = spec_of(command, options, name, help);
	int first;

	/* Help is help, also where an argument is missing. */
	for (int i = 1; i < argc; i++)
		options->help |= !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
	if (options->help) {
		opt_usage(&spec, stdout);
		return CLUSTER_DONE;
	}
	if (opt_parse(&spec, argc, argv, &first, &why)) {
		fprintf(stderr, "%s\n", why ? why : "out of memory");
		free(why);
		return CLUSTER_USAGE;
	}
	log_init("sluice-cluster", options->verbose ? LOG_DEBUG : LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	return (int)run(command, options, argv + first, (unsigned)(argc - first));
}

int main(int argc, char **argv)
{
	struct options options = { .state = "/var/lib/sluice-cluster" };
	const struct cluster_command *command;
	int first;

	if (parse_common(&options, argc, argv, &first))
		return CLUSTER_USAGE;
	if (options.version) {
		puts("sluice-cluster " SLUICE_VERSION);
		return CLUSTER_DONE;
	}
	if (first < argc && !strcmp(argv[first], "help")) {
		options.help = true;
		first++;
	}
	if (first == argc) {
		usage(options.help ? stdout : stderr);
		return options.help ? CLUSTER_DONE : CLUSTER_USAGE;
	}
	command = find(argv[first]);
	if (!command) {
		refuse_command(argv[first]);
		return CLUSTER_USAGE;
	}
	return main_command(command, &options, argc - first, argv + first);
}
