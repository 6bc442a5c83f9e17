/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice reload, upgrade and version: the daemon as a whole. */
#include <stdio.h>
#include <string.h>
#include <time.h>

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

#define UPGRADE_MS 120000
#define LOOK_MS	   100

/* 1: taken over (by *ret_version), 0: not yet, -1: it will not, and why has been said. */
static int look_at_upgrade(const struct common *common, json_int_t before, char *ret_version,
			   size_t size)
{
	json_t *data, *upgrade;
	const char *failure;
	int result = 0;

	/* The daemon closes connections while it changes. */
	if (client_try(common, "status", &data) != STATUS_OK)
		return 0;
	upgrade = json_object_get(data, "upgrade");
	failure = json_string_value(json_object_get(upgrade, "failure"));
	if (json_integer_value(json_object_get(data, "upgrades")) > before) {
		snprintf(ret_version, size, "%s", json_text(data, "version"));
		result = 1;
	} else if (failure && !json_is_true(json_object_get(upgrade, "active"))) {
		fprintf(stderr, "sluice: not upgraded: %s\n", failure);
		result = -1;
	}
	json_decref(data);
	return result;
}

static enum status run_upgrade(const struct common *common, char **arguments, int count)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	char version[32];
	json_int_t before;
	enum status status;
	json_t *data;
	int result = 0;

	status = client_call(common, "upgrade", NULL, &data);
	if (status != STATUS_OK)
		return status;
	before = json_integer_value(json_object_get(data, "upgrades"));
	json_decref(data);
	for (int waited = 0; !result && waited < UPGRADE_MS; waited += LOOK_MS) {
		nanosleep(&pause, NULL);
		result = look_at_upgrade(common, before, version, sizeof(version));
	}
	if (!result)
		fputs("sluice: the daemon does not say whether it was upgraded; see its log\n",
		      stderr);
	if (result <= 0)
		return STATUS_FAILED;
	if (common->json) {
		data = json_pack("{s:s}", "version", version);
		render_json(data);
		json_decref(data);
	} else {
		printf("upgraded to sluiced %s\n", version);
	}
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
	.summary = "Apply the configuration file; nothing is cut",
	.run = run_reload,
};

const struct command command_upgrade = {
	.name = "upgrade",
	.summary = "Replace the running sluiced; nothing is cut",
	.run = run_upgrade,
};

const struct command command_version = {
	.name = "version",
	.summary = "Print the versions of program and daemon",
	.run = run_version,
};
