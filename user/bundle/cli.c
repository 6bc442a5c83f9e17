/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "../lib/progress.h"
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

#define COMMANDS (const struct cli_command *const[])

static const struct cli_family families[] = {
	{ "Making", NULL,
	  COMMANDS{ &create_command, &delta_command, &split_command, &join_command, NULL } },
	{ "Looking", NULL, COMMANDS{ &verify_command, &inspect_command, &diff_command, NULL } },
	{ "Using", NULL, COMMANDS{ &pull_command, &unpack_command, NULL } },
	{ "Keys", NULL, COMMANDS{ &key_new_command, &key_show_command, NULL } },
	{ .title = NULL },
};

static int run(struct cli *cli, const struct cli_command *command, int argc, char **argv)
{
	/* A full disk or a closed pipe is an error of write(2), not a death. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (cleanup_start())
		return cli_fail("no thread can be started");
	cli->progress = !cli->options.quiet && progress_terminal(STDERR_FILENO);
	return command->run(cli, argc, argv);
}

int main(int argc, char **argv)
{
	static struct cli cli;
	const struct cli_program program = {
		.name = "sluice-bundle",
		.summary = "Makes and reads bundles, from which clusters without a network are "
			   "installed.",
		.families = families,
		.common = { "Common options", common_options, COMMON_COUNT, &cli.options },
		.cli = &cli,
		.run = run,
	};

	return cli_main(&program, argc, argv);
}
