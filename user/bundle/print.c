/* SPDX-License-Identifier: BSD-2-Clause */
/* What sluice-bundle shows people and programs; and the keys every command reads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/progress.h"
#include "cli.h"
#include "file.h"

#define KEYS_MAX (64 * 1024)

int cli_fail_bundle(const struct cli *cli, int err, const struct bundle_error *error)
{
	if (cli->options.json) {
		json_t *json = json_pack("{s:{s:s}}", "error", "text", error->text);

		if (*error->blob)
			json_object_set_new(json_object_get(json, "error"), "blob",
					    json_string(error->blob));
		cli_print_json(cli, json);
	}
	cli_fail("%s", error->text);
	return err == -EBADMSG || err == -EKEYREJECTED || err == -ESTALE || err == -ENODATA ? 3 : 1;
}

bool cli_print_json(const struct cli *cli, json_t *json)
{
	if (cli->options.json) {
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(json);
	return cli->options.json;
}

int cli_read_keys(const struct cli *cli, bool wanted, char **ret_keys)
{
	size_t len;
	int err;

	*ret_keys = NULL;
	if (!cli->options.keys && wanted) {
		cli_fail("--keys FILE is missing: the public keys that may have signed it");
		return 2;
	}
	if (!cli->options.keys)
		return 0;
	err = file_read_regular(cli->options.keys, KEYS_MAX, ret_keys, &len);
	return err ? cli_fail("%s: %s", cli->options.keys, strerror(-err)) : 0;
}

int cli_split(char *text, const char *list[CLI_LIST_MAX])
{
	int count = 0;

	for (char *next; text; text = next) {
		next = strchr(text, ',');
		if (next)
			*next++ = '\0';
		if (count == CLI_LIST_MAX)
			return -1;
		list[count++] = text;
	}
	return count;
}

/* ---- progress ------------------------------------------------------------------------------ */

void cli_bar_start(struct cli_bar *bar, const struct cli *cli, const char *label, uint64_t total)
{
	*bar = (struct cli_bar){ .cli = cli, .label = label, .total = total };
	bar->started_ms = clock_ms(CLOCK_MONOTONIC);
}

int cli_bar_move(uint64_t bytes, void *arg)
{
	struct cli_bar *bar = arg;
	char rate[16], rest[20];
	int64_t now, spent;

	bar->done += bytes;
	if (!bar->cli->progress)
		return 0;
	now = clock_ms(CLOCK_MONOTONIC);
	if (now - bar->drawn_ms < 100)
		return 0;
	bar->drawn_ms = now;
	spent = now - bar->started_ms;
	cli_print_size(spent > 0 ? bar->done * 1000 / (uint64_t)spent : bar->done, rate);
	snprintf(rest, sizeof(rest), "%s/s", rate);
	progress_draw(bar->label, bar->total ? (unsigned)(bar->done * 100 / bar->total) : 100,
		      rest);
	return 0;
}

void cli_bar_end(struct cli_bar *bar)
{
	progress_clear();
}

void cli_say(const struct cli *cli, const char *what, const char *name)
{
	if (cli->progress)
		progress_say(what, name);
}
