/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-repo, the command line of the repository. cli.c has main() and the table of
 * commands; cli_http.c talks to sluice-repod; each cli_*.c holds a family of commands.
 * Exit statuses: 0 done, 1 refused or failed, 2 wrong usage.
 */
#ifndef REPO_CLI_H
#define REPO_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/cli.h"

struct cli_http;

/* Options every command has. */
struct cli_options {
	const char *server, *token_file, *ca;
	bool json, quiet, help;
};

struct cli {
	struct cli_options options;
	struct cli_http *http;
	bool progress; /* stderr is a terminal, and nobody said --quiet */
};

/* Every family's table. */
extern const struct cli_command cli_upload_commands[], cli_package_commands[], cli_admin_commands[],
	cli_instruct_commands[], cli_report_commands[], cli_userdata_commands[];

/* cli_fail() with the server's {"error": …}; reply may be NULL. */
int cli_fail_reply(long status, const json_t *reply);

/* cli_admin.c: what "upload --publish" ends with. An exit status. */
int cli_publish_now(struct cli *cli);

/* ---- cli_http.c ---- */

int cli_http_open(struct cli *cli);
void cli_http_close(struct cli *cli);
/*
 * One request. body NULL: none (taken otherwise). Returns the status and *ret_reply, JSON
 * or NULL; -1 when there was no answer (said already).
 */
long cli_http_call(struct cli *cli, const char *method, const char *path, json_t *body,
		   json_t **ret_reply);
/*
 * Sends size bytes of fd from offset on with PATCH. As above; -1: the connection broke, try
 * again (not said yet: *ret_why is static or points into the connection).
 */
long cli_http_append(struct cli *cli, const char *path, int fd, uint64_t offset, uint64_t size,
		     const char *label, json_t **ret_reply, const char **ret_why);
/* Fetches path from offset on, appending to fd. 200 or 206 and the bytes are in fd. */
long cli_http_fetch(struct cli *cli, const char *path, int fd, uint64_t offset, uint64_t size,
		    const char *label, json_t **ret_reply, const char **ret_why);
/* Percent-encodes, malloc'd; NULL when memory is out. */
char *cli_http_escape(struct cli *cli, const char *text);

/* ---- cli_instruct.c, cli_report.c ---- */

/* GETs path with "&tenant=" and "&instance=", each unless NULL. NULL: said why. */
json_t *cli_instruct_fetch(struct cli *cli, const char *path, const char *tenant,
			   const char *instance);
/* The operation of this id, a new reference. NULL: said why. */
json_t *cli_report_operation(struct cli *cli, const char *id);

/* ---- cli_print.c ---- */

/* Prints JSON when --json was given, then true. Does not take reply. */
bool cli_print_json(const struct cli *cli, const json_t *reply);
void cli_print_packages(const json_t *packages);
/* A text member, "" when it is not there; control characters would be the sender's. */
const char *cli_text(const json_t *object, const char *key);
/* Redraws the progress line; done == total ends it. */
void cli_progress(const char *label, uint64_t done, uint64_t total, int64_t started_ms);

#endif
