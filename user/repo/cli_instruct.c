/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-repo instruct, instructions, instruct-key: what VMs are told to do, and what became of
 * it. With --key the document is signed here, and sluice-repod never has the key.
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/digest.h"
#include "../lib/instruction.h"
#include "../lib/progress.h"
#include "../lib/signed.h"

#define PEM_MAX	 8192
#define WATCH_MS 300

static struct instruct_options {
	const char *tenant, *instance, *key;
	uint32_t days, timeout;
	bool watch;
} instruct_options = { .days = 7, .timeout = 3600 };

static const struct opt instruct_opts[] = {
	{ OPT_TEXT, 'T', "tenant", "TENANT", "the VM's tenant",
	  offsetof(struct instruct_options, tenant), 0, 0, NULL },
	{ OPT_TEXT, 'I', "instance", "ID", "the VM's instance id",
	  offsetof(struct instruct_options, instance), 0, 0, NULL },
	{ OPT_TEXT, 'k', "key", "FILE", "sign here, with this private key",
	  offsetof(struct instruct_options, key), 0, 0, NULL },
	{ OPT_NUMBER, 'd', "days", "N", "how long the instruction is valid (default 7)",
	  offsetof(struct instruct_options, days), 1, 366, NULL },
	{ OPT_FLAG, 'w', "watch", NULL, "wait for the end, showing the percentage",
	  offsetof(struct instruct_options, watch), 0, 0, NULL },
	{ OPT_NUMBER, 0, "timeout", "SECONDS", "with --watch: how long (default 3600)",
	  offsetof(struct instruct_options, timeout), 1, 86400, NULL },
};

static struct cancel_options {
	const char *key;
	bool force;
} cancel_options;

static const struct opt cancel_opts[] = {
	{ OPT_FLAG, 'f', "force", NULL, "also one that an agent has begun",
	  offsetof(struct cancel_options, force), 0, 0, NULL },
	{ OPT_TEXT, 'k', "key", "FILE", "sign here, with this private key",
	  offsetof(struct cancel_options, key), 0, 0, NULL },
};

static char *read_text(const char *path, bool secret)
{
	FILE *file = fopen(path, "re");
	char *text = file ? calloc(1, PEM_MAX + 1) : NULL;
	struct stat status;

	if (file && secret && !fstat(fileno(file), &status) && (status.st_mode & 0077))
		fprintf(stderr, "sluice-repo: warning: %s may be read by others; chmod 600 it\n",
			path);
	if (text && !fread(text, 1, PEM_MAX, file)) {
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	if (!text)
		cli_fail("%s: cannot be read, or is empty", path);
	return text;
}

/* path with "&tenant=" and "&instance=", each unless NULL. NULL: said why. */
json_t *cli_instruct_fetch(struct cli *cli, const char *path, const char *tenant,
			   const char *instance)
{
	char *one = tenant ? cli_http_escape(cli, tenant) : NULL;
	char *two = instance ? cli_http_escape(cli, instance) : NULL, *whole = NULL;
	json_t *reply = NULL;
	long status = -1;

	if (asprintf(&whole, "%s%s%s%s%s", path, one ? "&tenant=" : "", one ? one : "",
		     two ? "&instance=" : "", two ? two : "") >= 0)
		status = cli_http_call(cli, "GET", whole, NULL, &reply);
	free(whole);
	free(one);
	free(two);
	if (status == 200)
		return reply;
	cli_fail_reply(status, reply);
	json_decref(reply);
	return NULL;
}

static void remove_operation(json_t *operations, const char *id)
{
	json_t *operation;
	size_t i;

	json_array_foreach (operations, i, operation)
		if (!strcmp(cli_text(operation, "id"), id)) {
			json_array_remove(operations, i);
			return;
		}
}

/*
 * The document of the next generation: what is pending, and this operation; or, without an action,
 * what is pending without the operation id. NULL: said why.
 */
static char *sign_here(struct cli *cli, const char *action, const json_t *packages, char id[17])
{
	json_t *pending = cli_instruct_fetch(cli, "/v1/instance?", instruct_options.tenant,
					     instruct_options.instance);
	char *key = pending ? read_text(instruct_options.key, true) : NULL;
	char *payload = NULL, *document = NULL;
	json_t *operations = json_object_get(pending, "operations");
	json_int_t expires = (json_int_t)time(NULL) + (json_int_t)instruct_options.days * 86400;
	int err = -EINVAL;

	if (!action)
		remove_operation(operations, id);
	if (key && (!action ||
		    (!digest_random_hex(INSTRUCTION_ID_LEN / 2, id) &&
		     !json_array_append_new(operations, json_pack("{s:s, s:s, s:O, s:I}", "id", id,
								  "action", action, "packages",
								  packages, "expires", expires)))))
		payload = instruction_payload(
			instruct_options.tenant, instruct_options.instance,
			(int64_t)json_integer_value(json_object_get(pending, "generation")) + 1,
			expires, operations);
	if (payload)
		err = signed_make(key, payload, strlen(payload), &document);
	if (key && err)
		cli_fail("%s: does not sign: an Ed25519 private key in PEM is wanted",
			 instruct_options.key);
	if (key)
		explicit_bzero(key, strlen(key));
	free(key);
	free(payload);
	json_decref(pending);
	return document;
}

static const json_t *find_operation(const json_t *reply, const char *id)
{
	const json_t *operation;
	size_t i;

	json_array_foreach (json_object_get(reply, "operations"), i, operation)
		if (!strcmp(cli_text(operation, "id"), id))
			return operation;
	return NULL;
}

/* Polls; the percentage is redrawn on a terminal, else printed when it moves. */
static int watch(struct cli *cli, const char *id)
{
	int64_t end = clock_ms(CLOCK_MONOTONIC) + (int64_t)instruct_options.timeout * 1000;
	char last[64] = "", line[64];

	while (clock_ms(CLOCK_MONOTONIC) < end) {
		json_t *reply =
			cli_instruct_fetch(cli, "/v1/instructions?limit=1000",
					   instruct_options.tenant, instruct_options.instance);
		const json_t *operation = find_operation(reply, id);
		const char *state = cli_text(operation, "state");
		int failed = !strcmp(state, "failed") || !strcmp(state, "cancelled");
		json_int_t percent = json_integer_value(json_object_get(operation, "percent"));

		if (!reply)
			return 1;
		snprintf(line, sizeof(line), "%.16s %lld %%", state, (long long)percent);
		if (cli->progress)
			progress_draw(state, (unsigned)percent, "");
		if (!cli->progress && strcmp(line, last) != 0 && !cli->options.json)
			printf("%s\n", line);
		strcpy(last, line);
		if (failed || !strcmp(state, "done")) {
			progress_clear();
			cli_print_json(cli, operation);
			if (failed)
				cli_fail("%s: %s", state, cli_text(operation, "message"));
			json_decref(reply);
			return failed;
		}
		json_decref(reply);
		fflush(stdout);
		usleep(WATCH_MS * 1000);
	}
	return cli_fail(
		"not done after %u seconds; \"sluice-repo instructions\" shows how it goes on",
		instruct_options.timeout);
}

static int run_instruct(struct cli *cli, int argc, char **argv)
{
	json_t *packages = json_array(), *body, *reply = NULL;
	char id[17] = "", *document = NULL;
	long status;
	int failed = 1;

	if (!instruct_options.tenant || !instruct_options.instance) {
		json_decref(packages);
		cli_fail("--tenant and --instance say which VM is meant");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		json_array_append_new(packages, json_string(argv[i]));
	if (instruct_options.key) {
		document = sign_here(cli, argv[0], packages, id);
		if (!document)
			goto out;
		body = json_pack("{s:s, s:s, s:s}", "tenant", instruct_options.tenant, "instance",
				 instruct_options.instance, "document", document);
	} else {
		body = json_pack("{s:s, s:s, s:s, s:O, s:I}", "tenant", instruct_options.tenant,
				 "instance", instruct_options.instance, "action", argv[0],
				 "packages", packages, "lifetime",
				 (json_int_t)instruct_options.days * 86400);
	}
	status = cli_http_call(cli, "POST", "/v1/instructions", body, &reply);
	if (status != 201) {
		failed = cli_fail_reply(status, reply);
		goto out;
	}
	if (!*id)
		snprintf(id, sizeof(id), "%s", cli_text(reply, "id"));
	/* It does not look into what is signed elsewhere. */
	json_object_set_new(reply, "id", json_string(id));
	failed = 0;
	if (instruct_options.watch)
		failed = watch(cli, id);
	else if (!cli_print_json(cli, reply))
		printf("generation %lld, operation %s\n",
		       (long long)json_integer_value(json_object_get(reply, "generation")), id);
out:
	free(document);
	json_decref(packages);
	json_decref(reply);
	return failed;
}

static int run_cancel(struct cli *cli, int argc, char **argv)
{
	json_t *body = json_pack("{s:b}", "force", cancel_options.force), *reply = NULL;
	char id[17], path[64], *document = NULL;
	long status;
	int failed = 1;

	snprintf(id, sizeof(id), "%s", argv[0]);
	if (strlen(argv[0]) != INSTRUCTION_ID_LEN) {
		json_decref(body);
		return cli_fail(
			"'%s' is no operation; \"sluice-repo instructions --json\" shows ids",
			argv[0]);
	}
	if (cancel_options.key) {
		json_t *operation = cli_report_operation(cli, id);

		instruct_options.tenant = cli_text(operation, "tenant");
		instruct_options.instance = cli_text(operation, "instance");
		instruct_options.key = cancel_options.key;
		document = operation ? sign_here(cli, NULL, NULL, id) : NULL;
		json_decref(operation);
		if (!document) {
			json_decref(body);
			return 1;
		}
		json_object_set_new(body, "document", json_string(document));
	}
	snprintf(path, sizeof(path), "/v1/instructions/%s/cancel", id);
	status = cli_http_call(cli, "POST", path, body, &reply);
	if (status != 200) {
		failed = cli_fail_reply(status, reply);
	} else {
		failed = 0;
		if (!cli_print_json(cli, reply))
			printf("cancelled\n");
	}
	free(document);
	json_decref(reply);
	return failed;
}

static int post_key(struct cli *cli, json_t *body)
{
	json_t *reply;
	long status = cli_http_call(cli, "POST", "/v1/instruct-key", body, &reply);
	int failed = status == 200 ? 0 : cli_fail_reply(status, reply);

	json_decref(reply);
	return failed;
}

static int run_key_create(struct cli *cli, int argc, char **argv)
{
	return post_key(cli, json_pack("{s:s}", "action", "create"));
}

static int post_key_of(struct cli *cli, const char *action, const char *path)
{
	char *text = read_text(path, false);
	int failed = 1;

	if (text)
		failed = post_key(cli, json_pack("{s:s, s:s}", "action", action, "key", text));
	free(text);
	return failed;
}

static int run_key_trust(struct cli *cli, int argc, char **argv)
{
	return post_key_of(cli, "trust", argv[0]);
}

static int run_key_distrust(struct cli *cli, int argc, char **argv)
{
	return post_key_of(cli, "distrust", argv[0]);
}

static int run_key_show(struct cli *cli, int argc, char **argv)
{
	json_t *reply = NULL;
	const char *why;
	long status;
	int failed = 0;

	fflush(stdout);
	status = cli_http_fetch(cli, "/v1/instruct-key", STDOUT_FILENO, 0, 0, "", &reply, &why);
	if (status < 0)
		failed = cli_fail("%s", why);
	else if (status != 200)
		failed = cli_fail_reply(status, reply);
	json_decref(reply);
	return failed;
}

const struct cli_command cli_instruct_commands[] = {
	{ "instruct cancel", "ID", "take back what a VM has not begun", 1, 1, cancel_opts,
	  sizeof(cancel_opts) / sizeof(cancel_opts[0]), &cancel_options, run_cancel },
	{ "instruct", "ACTION [PACKAGE...]", "have a VM install, remove or upgrade", 1,
	  INSTRUCTION_PACKAGES_MAX + 1, instruct_opts,
	  sizeof(instruct_opts) / sizeof(instruct_opts[0]), &instruct_options, run_instruct },
	{ "instruct-key show", NULL, "show the public keys that agents pin", 0, 0, NULL, 0, NULL,
	  run_key_show },
	{ "instruct-key create", NULL, "make a key that signs instructions here", 0, 0, NULL, 0,
	  NULL, run_key_create },
	{ "instruct-key trust", "FILE", "accept what these public keys sign, too", 1, 1, NULL, 0,
	  NULL, run_key_trust },
	{ "instruct-key distrust", "FILE", "accept it no longer", 1, 1, NULL, 0, NULL,
	  run_key_distrust },
	{ .name = NULL },
};
