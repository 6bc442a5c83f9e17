/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice-repo publish, key, token, log, status, fsck. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX (48 * 1024)

static const char *const role_words[] = { "reader", "uploader", "admin", NULL };

static struct publish_options {
	uint32_t generation;
	bool show;
} publish_options = { .generation = UINT32_MAX };

static const struct opt publish_opts[] = {
	{ OPT_NUMBER, 'g', "if-generation", "N", "only when this is what is published now",
	  offsetof(struct publish_options, generation), 0, UINT32_MAX - 1, NULL },
	{ OPT_FLAG, 0, "show", NULL, "only show what is published",
	  offsetof(struct publish_options, show), 0, 0, NULL },
};

static struct token_options {
	const char *role;
	uint32_t days;
} token_options = { .role = "reader" };

static const struct opt token_opts[] = {
	{ OPT_WORD, 'r', "role", "ROLE", "reader (default), uploader or admin",
	  offsetof(struct token_options, role), 0, 0, role_words },
	{ OPT_NUMBER, 'd', "days", "N", "days it is valid (default: until revoked)",
	  offsetof(struct token_options, days), 1, 3660, NULL },
};

static struct log_options {
	uint32_t lines;
} log_options = { .lines = 100 };

static const struct opt log_opts[] = {
	{ OPT_NUMBER, 'n', "lines", "N", "how many (default 100)",
	  offsetof(struct log_options, lines), 1, 10000, NULL },
};

static struct fsck_options {
	bool repair;
} fsck_options;

static const struct opt fsck_opts[] = {
	{ OPT_FLAG, 0, "repair", NULL, "repair what can be repaired",
	  offsetof(struct fsck_options, repair), 0, 0, NULL },
};

static struct key_options {
	const char *name;
} key_options;

static const struct opt key_opts[] = {
	{ OPT_TEXT, 'n', "name", "NAME", "the key's user id (default: sluice repository)",
	  offsetof(struct key_options, name), 0, 0, NULL },
};

#define OPTS(table) table, sizeof(table) / sizeof(table[0])

/* A call whose reply is printed by print unless --json: most commands are this. */
static int call(struct cli *cli, const char *method, const char *path, json_t *body,
		void (*print)(const json_t *reply))
{
	json_t *reply;
	long status = cli_http_call(cli, method, path, body, &reply);
	int failed = 0;

	if (status != 200 && status != 201)
		failed = cli_fail_reply(status, reply);
	else if (!cli_print_json(cli, reply))
		print(reply);
	json_decref(reply);
	return failed;
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void print_publish(const json_t *reply)
{
	const json_t *changed = json_object_get(reply, "changed"), *view;
	size_t i;

	printf("generation %lld: %s\n", number(reply, "generation"),
	       json_array_size(changed) ? "published" : "nothing changed");
	json_array_foreach (changed, i, view)
		printf("  %-20s %lld deb, %lld rpm, %lld kept for clients half-way\n",
		       cli_text(view, "view"), number(view, "debs"), number(view, "rpms"),
		       number(view, "retired"));
}

static void print_published(const json_t *reply)
{
	const json_t *view;
	size_t i;

	printf("generation %lld\n", number(reply, "generation"));
	json_array_foreach (json_object_get(reply, "views"), i, view)
		printf("  %-20s %lld\n", cli_text(view, "view"), number(view, "generation"));
}

int cli_publish_now(struct cli *cli)
{
	json_t *body = json_object();

	if (publish_options.generation != UINT32_MAX)
		json_object_set_new(body, "if_generation",
				    json_integer(publish_options.generation));
	return call(cli, "POST", "/v1/publish", body, print_publish);
}

static int run_publish(struct cli *cli, int argc, char **argv)
{
	if (publish_options.show)
		return call(cli, "GET", "/v1/publish", NULL, print_published);
	return cli_publish_now(cli);
}

static void print_keys(const json_t *reply)
{
	const json_t *fingerprint;
	size_t i;

	json_array_foreach (json_object_get(reply, "fingerprints"), i, fingerprint)
		printf("%s\n", json_string_value(fingerprint));
	if (!json_array_size(json_object_get(reply, "fingerprints")))
		puts("no key signs yet; \"sluice-repo key create\" makes one");
}

static int run_key_show(struct cli *cli, int argc, char **argv)
{
	return call(cli, "GET", "/v1/key", NULL, print_keys);
}

static int run_key_create(struct cli *cli, int argc, char **argv)
{
	json_t *body = json_pack("{s:s}", "action", "create");

	if (key_options.name)
		json_object_set_new(body, "name", json_string(key_options.name));
	return call(cli, "POST", "/v1/key", body, print_keys);
}

static int run_key_import(struct cli *cli, int argc, char **argv)
{
	char *text = calloc(1, KEY_MAX + 2);
	FILE *file = fopen(argv[0], "re");
	json_t *body = NULL;
	size_t len = 0;

	if (file && text)
		len = fread(text, 1, KEY_MAX + 1, file);
	if (file)
		fclose(file);
	if (len && len <= KEY_MAX)
		body = json_pack("{s:s, s:s}", "action", "import", "key", text);
	free(text);
	if (!body)
		return cli_fail("%s: cannot be read, or is no key in armor", argv[0]);
	return call(cli, "POST", "/v1/key", body, print_keys);
}

static int run_key_retire(struct cli *cli, int argc, char **argv)
{
	return call(cli, "POST", "/v1/key",
		    json_pack("{s:s, s:s}", "action", "retire", "fingerprint", argv[0]),
		    print_keys);
}

static void print_token(const json_t *reply)
{
	printf("%s\n", cli_text(reply, "token"));
}

static int run_token_create(struct cli *cli, int argc, char **argv)
{
	return call(cli, "POST", "/v1/tokens",
		    json_pack("{s:s, s:s, s:I}", "name", argv[0], "role", token_options.role,
			      "lifetime", (json_int_t)token_options.days * 86400),
		    print_token);
}

static void print_tokens(const json_t *reply)
{
	const json_t *token;
	char made[20], ends[20];
	size_t i;

	printf("%-12s  %-20s  %-8s  %-16s  %-16s  %s\n", "ID", "NAME", "ROLE", "MADE (UTC)", "ENDS",
	       "BY");
	json_array_foreach (json_object_get(reply, "tokens"), i, token) {
		cli_print_time(number(token, "created_at"), made);
		strcpy(ends, "-");
		if (number(token, "revoked_at"))
			strcpy(ends, "revoked");
		else if (number(token, "expires_at"))
			cli_print_time(number(token, "expires_at"), ends);
		printf("%-12s  %-20s  %-8s  %-16s  %-16s  %s\n", cli_text(token, "id"),
		       cli_text(token, "name"), cli_text(token, "role"), made, ends,
		       cli_text(token, "created_by"));
	}
}

static int run_token_list(struct cli *cli, int argc, char **argv)
{
	return call(cli, "GET", "/v1/tokens", NULL, print_tokens);
}

static void print_nothing(const json_t *reply)
{
}

static int run_token_revoke(struct cli *cli, int argc, char **argv)
{
	char *escaped = cli_http_escape(cli, argv[0]), path[128];

	snprintf(path, sizeof(path), "/v1/tokens/%.64s", escaped ? escaped : "");
	free(escaped);
	return call(cli, "DELETE", path, NULL, print_nothing);
}

static void print_log(const json_t *reply)
{
	const json_t *entries = json_object_get(reply, "entries"), *entry;
	char when[20];

	/* The newest comes first; people read logs downwards. */
	for (size_t i = json_array_size(entries); i-- > 0;) {
		entry = json_array_get(entries, i);
		cli_print_time(number(entry, "at"), when);
		printf("%s  %-20s  %-12s  ", when, cli_text(entry, "who"),
		       cli_text(entry, "action"));
		cli_put(cli_text(entry, "subject"));
		if (*cli_text(entry, "detail")) {
			fputs("  ", stdout);
			cli_put(cli_text(entry, "detail"));
		}
		putchar('\n');
	}
}

static int run_log(struct cli *cli, int argc, char **argv)
{
	char path[64];

	snprintf(path, sizeof(path), "/v1/log?limit=%u", log_options.lines);
	return call(cli, "GET", path, NULL, print_log);
}

static void print_status(const json_t *reply)
{
	char bytes[16], available[16], unfinished[16];

	cli_print_size((uint64_t)number(reply, "bytes"), bytes);
	cli_print_size((uint64_t)number(reply, "uploads_bytes"), unfinished);
	cli_print_size((uint64_t)number(reply, "available"), available);
	printf("version    %s\npackages   %lld\nbytes      %s\navailable  %s\nuploads    %lld "
	       "unfinished, holding %s; %lld refused\n",
	       cli_text(reply, "version"), number(reply, "packages"), bytes, available,
	       number(reply, "uploads"), unfinished, number(reply, "uploads_refused"));
}

static int run_status(struct cli *cli, int argc, char **argv)
{
	return call(cli, "GET", "/v1/status", NULL, print_status);
}

static bool is_repaired(const json_t *problem)
{
	return json_is_string(json_object_get(problem, "repaired"));
}

static void print_fsck(const json_t *reply)
{
	const json_t *checked = json_object_get(reply, "checked"), *problem;
	size_t i;

	printf("%lld packages and %lld files checked, %zu problems\n", number(checked, "packages"),
	       number(checked, "files"), json_array_size(json_object_get(reply, "problems")));
	json_array_foreach (json_object_get(reply, "problems"), i, problem) {
		cli_put(cli_text(problem, "subject"));
		printf(": %s%s%s\n", cli_text(problem, "what"), is_repaired(problem) ? ": " : "",
		       cli_text(problem, "repaired"));
	}
}

/* Like fsck(8): problems that are left make the status 1. */
static int run_fsck(struct cli *cli, int argc, char **argv)
{
	json_t *reply, *problem;
	long status;
	int failed = 0;
	size_t i;

	status = cli_http_call(cli, "POST", "/v1/fsck",
			       json_pack("{s:b}", "repair", fsck_options.repair), &reply);
	if (status != 200) {
		failed = cli_fail_reply(status, reply);
		goto out;
	}
	if (!cli_print_json(cli, reply))
		print_fsck(reply);
	json_array_foreach (json_object_get(reply, "problems"), i, problem)
		failed |= !is_repaired(problem);
out:
	json_decref(reply);
	return failed;
}

const struct cli_command cli_admin_commands[] = {
	{ "publish", NULL, "publish the packages as apt and rpm trees", 0, 0, OPTS(publish_opts),
	  &publish_options, run_publish },
	{ "key show", NULL, "show which keys sign", 0, 0, NULL, 0, NULL, run_key_show },
	{ "key create", NULL, "make a key that signs", 0, 0, OPTS(key_opts), &key_options,
	  run_key_create },
	{ "key import", "FILE", "let this secret key sign", 1, 1, NULL, 0, NULL, run_key_import },
	{ "key retire", "FINGERPRINT", "let a key sign no longer", 1, 1, NULL, 0, NULL,
	  run_key_retire },
	{ "token create", "NAME", "make a token and print it", 1, 1, OPTS(token_opts),
	  &token_options, run_token_create },
	{ "token list", NULL, "list tokens", 0, 0, NULL, 0, NULL, run_token_list },
	{ "token revoke", "ID", "make a token invalid", 1, 1, NULL, 0, NULL, run_token_revoke },
	{ "log", NULL, "who did what", 0, 0, OPTS(log_opts), &log_options, run_log },
	{ "status", NULL, "how much is there, and how much fits", 0, 0, NULL, 0, NULL, run_status },
	{ "fsck", NULL, "check packages against their files", 0, 0, OPTS(fsck_opts), &fsck_options,
	  run_fsck },
	{ .name = NULL },
};
