/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice reload and sluice version: the daemon as a whole. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "render.h"

static enum status run_reload(const struct common *common, char **arguments, int count)
{
	enum status status;
	json_t *data;

	status = client_call(common, "reload", NULL, &data);
	if (status != STATUS_OK)
		return status;
	if (common->json)
		render_json(data);
	else
		puts("reloaded");
	json_decref(data);
	return STATUS_OK;
}

/* The program's own version always; the daemon's when it answers. */
static enum status run_version(const struct common *common, char **arguments, int count)
{
	json_t *data = NULL, *versions;
	const char *daemon = NULL;

	if (client_try(common, "status", &data) == STATUS_OK)
		daemon = json_string_value(json_object_get(data, "version"));
	if (common->json) {
		versions = json_pack("{s:s, s:s?}", "sluice", SLUICE_VERSION, "sluiced", daemon);
		render_json(versions);
		json_decref(versions);
	} else {
		puts("sluice " SLUICE_VERSION);
		if (daemon)
			printf("sluiced %s (instance %s)\n", daemon, json_text(data, "instance"));
		if (daemon && strcmp(daemon, SLUICE_VERSION))
			fputs("sluice: the daemon is of another version; restart or upgrade it\n",
			      stderr);
	}
	json_decref(data);
	return STATUS_OK;
}

const struct command command_reload = {
	.name = "reload",
	.summary = "Apply the configuration file again, cutting no transfer",
	.run = run_reload,
};

const struct command command_version = {
	.name = "version",
	.summary = "Print the versions of this program and of the daemon",
	.run = run_version,
};
