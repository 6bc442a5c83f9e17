/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice-repo list, search, get, delete, visibility. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/digest.h"

static struct list_options {
	const char *name, *version, *arch, *kind, *tenant;
} list_options;

static const char *const kind_words[] = { "deb", "rpm", "file", NULL };

static const struct opt list_opts[] = {
	{ OPT_TEXT, 'n', "name", "NAME", "only packages of this name",
	  offsetof(struct list_options, name), 0, 0, NULL },
	{ OPT_TEXT, 'r', "version", "VERSION", "only this version",
	  offsetof(struct list_options, version), 0, 0, NULL },
	{ OPT_TEXT, 'a', "arch", "ARCH", "only this architecture",
	  offsetof(struct list_options, arch), 0, 0, NULL },
	{ OPT_WORD, 'k', "kind", "KIND", "deb, rpm or file", offsetof(struct list_options, kind), 0,
	  0, kind_words },
	{ OPT_TEXT, 'T', "tenant", "TENANT", "only what this tenant sees",
	  offsetof(struct list_options, tenant), 0, 0, NULL },
};
#define LIST_OPTS (sizeof(list_opts) / sizeof(list_opts[0]))

static struct get_options {
	const char *output;
	uint32_t tries;
} get_options = { .tries = 10 };

static const struct opt get_opts[] = {
	{ OPT_TEXT, 'o', "output", "FILE", "where to (default: the package's file name)",
	  offsetof(struct get_options, output), 0, 0, NULL },
	{ OPT_NUMBER, 0, "tries", "N", "how often a broken transfer goes on (default 10)",
	  offsetof(struct get_options, tries), 1, 1000, NULL },
};

static bool add_argument(struct cli *cli, char **query, const char *key, const char *value)
{
	char *escaped, *longer;

	if (!value)
		return true;
	escaped = cli_http_escape(cli, value);
	if (!escaped || asprintf(&longer, "%s&%s=%s", *query, key, escaped) < 0)
		longer = NULL;
	free(escaped);
	free(*query);
	*query = longer;
	return longer;
}

/* Every page of a listing, as one array; NULL when it failed (and was said). */
static json_t *fetch_list(struct cli *cli, const char *query)
{
	json_t *all = json_array(), *reply, *next;
	long long after = 0;
	char *path;
	long status;

	do {
		if (asprintf(&path, "/v1/packages?after=%lld%s", after, query) < 0) {
			json_decref(all);
			return NULL;
		}
		status = cli_http_call(cli, "GET", path, NULL, &reply);
		free(path);
		if (status != 200) {
			cli_fail_reply(status, reply);
			json_decref(reply);
			json_decref(all);
			return NULL;
		}
		json_array_extend(all, json_object_get(reply, "packages"));
		next = json_object_get(reply, "next");
		after = json_is_integer(next) ? (long long)json_integer_value(next) : 0;
		json_decref(reply);
	} while (after);
	return all;
}

static int print_list(struct cli *cli, char *query)
{
	json_t *packages = query ? fetch_list(cli, query) : NULL;

	free(query);
	if (!packages)
		return 1;
	if (!cli_print_json(cli, packages))
		cli_print_packages(packages);
	json_decref(packages);
	return 0;
}

static char *list_query(struct cli *cli)
{
	char *query = strdup("");

	if (query && add_argument(cli, &query, "name", list_options.name) &&
	    add_argument(cli, &query, "version", list_options.version) &&
	    add_argument(cli, &query, "arch", list_options.arch) &&
	    add_argument(cli, &query, "kind", list_options.kind) &&
	    add_argument(cli, &query, "tenant", list_options.tenant))
		return query;
	cli_fail("out of memory");
	return NULL;
}

static int run_list(struct cli *cli, int argc, char **argv)
{
	char *query = list_query(cli);

	if (query && argc && !add_argument(cli, &query, "name", argv[0]))
		return cli_fail("out of memory");
	return print_list(cli, query);
}

static int run_search(struct cli *cli, int argc, char **argv)
{
	char *query = list_query(cli);

	if (query && !add_argument(cli, &query, "q", argv[0]))
		return cli_fail("out of memory");
	return print_list(cli, query);
}

/*
 * The one package that "ID", "NAME [VERSION [ARCH]]" or a file name means. When several do,
 * they are shown, and nothing is chosen.
 */
static json_t *find_one(struct cli *cli, int argc, char **argv)
{
	static const char *const keys[] = { "name", "version", "arch" };
	json_t *packages, *one = NULL;
	char *query = strdup(""), path[64];
	uint64_t id;
	long status;

	if (argc == 1 && !name_number(argv[0], INT64_MAX, &id)) {
		free(query);
		snprintf(path, sizeof(path), "/v1/packages/%llu", (unsigned long long)id);
		status = cli_http_call(cli, "GET", path, NULL, &one);
		if (status == 200)
			return one;
		cli_fail_reply(status, one);
		json_decref(one);
		return NULL;
	}
	for (int i = 0; i < argc && query; i++)
		add_argument(cli, &query, keys[i], argv[i]);
	packages = query ? fetch_list(cli, query) : NULL;
	free(query);
	if (packages && !json_array_size(packages) && argc == 1) {
		json_decref(packages);
		query = strdup("");
		packages = query && add_argument(cli, &query, "filename", argv[0])
				   ? fetch_list(cli, query)
				   : NULL;
		free(query);
	}
	if (!packages)
		return NULL;
	if (json_array_size(packages) == 1) {
		one = json_incref(json_array_get(packages, 0));
	} else if (json_array_size(packages)) {
		cli_fail("several packages are meant; give the id of one");
		cli_print_packages(packages);
	} else {
		cli_fail("there is no package '%s'; try 'sluice-repo search'", argv[0]);
	}
	json_decref(packages);
	return one;
}

static long long id_of(const json_t *package)
{
	return (long long)json_integer_value(json_object_get(package, "id"));
}

/* 0: fd holds the whole file, and it is the right one. */
static int fetch_into(struct cli *cli, const json_t *package, int fd, const char *path)
{
	uint64_t size = (uint64_t)json_integer_value(json_object_get(package, "size"));
	char sha256[NAME_DIGEST_LEN + 1], request[64];
	const char *why = "";
	uint64_t have = 0;
	json_t *reply;
	off_t end;
	long status;

	snprintf(request, sizeof(request), "/v1/packages/%lld/content", id_of(package));
	for (unsigned attempt = 0; attempt < get_options.tries; attempt++) {
		end = lseek(fd, 0, SEEK_END);
		have = end < 0 ? 0 : (uint64_t)end;
		if (have > size && !ftruncate(fd, 0))
			have = 0;
		if (have == size)
			break;
		if (attempt) {
			cli_fail("%s: %s; going on", path, why);
			sleep(1);
		}
		status = cli_http_fetch(cli, request, fd, have, size, cli_text(package, "filename"),
					&reply, &why);
		if (status > 0 && status != 200 && status != 206 && status != 503) {
			cli_fail_reply(status, reply);
			json_decref(reply);
			return 1;
		}
		/* A whole answer to a range: start over. */
		if (status == 200 && have && ftruncate(fd, 0))
			return cli_fail("%s: %s", path, strerror(errno));
		json_decref(reply);
	}
	if (digest_file(fd, sha256, &have) || have != size)
		return cli_fail("%s: not whole: %s; run the command again to go on", path, why);
	if (!strcmp(sha256, cli_text(package, "sha256")))
		return 0;
	if (ftruncate(fd, 0))
		return cli_fail("%s: %s", path, strerror(errno));
	return cli_fail("%s: what arrived does not match its digest and was thrown away", path);
}

static int run_get(struct cli *cli, int argc, char **argv)
{
	json_t *package = find_one(cli, argc, argv);
	const char *output = get_options.output;
	char *part = NULL;
	int fd = -1, failed = 1;

	if (!package)
		return 1;
	if (!output)
		output = cli_text(package, "filename");
	if (!name_filename_valid(cli_text(package, "filename"))) {
		cli_fail("the server's file name is not one to write to; give --output");
		goto out;
	}
	if (asprintf(&part, "%s.part", output) < 0)
		goto out;
	fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0644);
	if (fd < 0) {
		cli_fail("%s: %s", part, strerror(errno));
		goto out;
	}
	failed = fetch_into(cli, package, fd, output);
	if (!failed && (fsync(fd) || rename(part, output)))
		failed = cli_fail("%s: %s", output, strerror(errno));
	if (!failed && !cli_print_json(cli, package))
		printf("%s\n", output);
out:
	if (fd >= 0)
		close(fd);
	free(part);
	json_decref(package);
	return failed;
}

static int run_delete(struct cli *cli, int argc, char **argv)
{
	json_t *package = find_one(cli, argc, argv), *reply;
	char path[64];
	long status;
	int failed = 0;

	if (!package)
		return 1;
	snprintf(path, sizeof(path), "/v1/packages/%lld", id_of(package));
	status = cli_http_call(cli, "DELETE", path, NULL, &reply);
	if (status != 200)
		failed = cli_fail_reply(status, reply);
	else if (!cli_print_json(cli, package))
		printf("deleted %s %s %s; \"sluice-repo publish\" takes it out of the trees\n",
		       cli_text(package, "name"), cli_text(package, "version"),
		       cli_text(package, "arch"));
	json_decref(reply);
	json_decref(package);
	return failed;
}

static int run_visibility(struct cli *cli, int argc, char **argv)
{
	json_t *package = find_one(cli, 1, argv), *reply, *list;
	char path[64];
	long status;
	int failed = 0;

	if (!package)
		return 1;
	snprintf(path, sizeof(path), "/v1/packages/%lld/visibility", id_of(package));
	json_decref(package);
	status = cli_http_call(cli, "PUT", path, json_pack("{s:s}", "visibility", argv[1]), &reply);
	if (status != 200) {
		failed = cli_fail_reply(status, reply);
	} else if (!cli_print_json(cli, reply)) {
		list = json_pack("[O]", reply);
		cli_print_packages(list);
		json_decref(list);
	}
	json_decref(reply);
	return failed;
}

const struct cli_command cli_package_commands[] = {
	{ "list", "[NAME]", "list packages", 0, 1, list_opts, LIST_OPTS, &list_options, run_list },
	{ "search", "TEXT", "find packages by name, file name or summary", 1, 1, list_opts,
	  LIST_OPTS, &list_options, run_search },
	{ "get", "ID|NAME [VERSION [ARCH]]", "download a package", 1, 3, get_opts,
	  sizeof(get_opts) / sizeof(get_opts[0]), &get_options, run_get },
	{ "delete", "ID|NAME [VERSION [ARCH]]", "delete a package", 1, 3, NULL, 0, NULL,
	  run_delete },
	{ "visibility", "ID|NAME TENANTS", "who sees it: public, none, or blue,red", 2, 2, NULL, 0,
	  NULL, run_visibility },
	{ .name = NULL },
};
