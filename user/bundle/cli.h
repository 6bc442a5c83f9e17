/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-bundle: makes, checks, cuts, moves and unpacks bundles (docs/bundle.md). cli.c has main()
 * and the table of commands. Exit statuses: 0 done, 1 failed, 2 wrong usage, 3 refused: damaged,
 * not signed by a trusted key, or too old.
 */
#ifndef BUNDLE_CLI_H
#define BUNDLE_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/bundle.h"
#include "../lib/cli.h"

#define CLI_LIST_MAX 8

/* Options every command has. */
struct cli_options {
	const char *keys; /* file of trusted public keys */
	bool json, quiet, help;
};

struct cli {
	struct cli_options options;
	bool progress; /* stderr is a terminal, and nobody said --quiet */
};

extern const struct cli_command create_command, verify_command, inspect_command, diff_command,
	delta_command, split_command, join_command, pull_command, unpack_command, key_new_command,
	key_show_command;

/* cli_fail() for what a bundle's functions said: 3 when the bundle is refused, else 1. With --json
 * {"error": {"text", "blob"}} on stdout as well. */
int cli_fail_bundle(const struct cli *cli, int err, const struct bundle_error *error);
/* Prints json when --json was given, then true. Takes json. */
bool cli_print_json(const struct cli *cli, json_t *json);

/* Reads --keys; *ret_keys is malloc'd, or NULL without --keys, when that is allowed. 0 or said. */
int cli_read_keys(const struct cli *cli, bool wanted, char **ret_keys);
/* Splits "a,b" in place into at most CLI_LIST_MAX. Returns how many, -1: too many. */
int cli_split(char *text, const char *list[CLI_LIST_MAX]);

struct cli_bar {
	const struct cli *cli;
	const char *label;
	uint64_t done, total;
	int64_t started_ms, drawn_ms;
};
void cli_bar_start(struct cli_bar *bar, const struct cli *cli, const char *label, uint64_t total);
/* A bundle_progress. */
int cli_bar_move(uint64_t bytes, void *bar);
void cli_bar_end(struct cli_bar *bar);
/* A line about what happens now, when there is a progress line. */
void cli_say(const struct cli *cli, const char *what, const char *name);

#endif
