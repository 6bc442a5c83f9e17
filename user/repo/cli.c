/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <stdio.h>
#include <unistd.h>

#include "../lib/progress.h"

static const struct opt common_options[] = {
	{ OPT_TEXT, 's', "server", "URL",
	  "unix:/path, http://... or https://... (default: $SLUICE_REPO, else the local socket)",
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

static const struct cli_family families[] = {
	{ "Uploading", cli_upload_commands, NULL },
	{ "Packages", cli_package_commands, NULL },
	{ "Instructions to VMs", cli_instruct_commands, NULL },
	{ "Following them", cli_report_commands, NULL },
	{ "Beginning in a VM", cli_userdata_commands, NULL },
	{ "Administration", cli_admin_commands, NULL },
	{ .title = NULL },
};

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

static int run(struct cli *cli, const struct cli_command *command, int argc, char **argv)
{
	int status;

	cli->progress = !cli->options.quiet && progress_terminal(STDERR_FILENO);
	if (cli_http_open(cli))
		return 1;
	status = command->run(cli, argc, argv);
	cli_http_close(cli);
	return status;
}

int main(int argc, char **argv)
{
	static struct cli cli;
	const struct cli_program program = {
		.name = "sluice-repo",
		.summary = "Manages the software repository.",
		.families = families,
		.common = { "Common options", common_options, COMMON_COUNT, &cli.options },
		.cli = &cli,
		.run = run,
	};

	return cli_main(&program, argc, argv);
}
