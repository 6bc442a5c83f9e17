/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice-bundle delta, split, join: the same bundle in other containers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/bundle_impl.h"
#include "cli.h"
#include "write.h"

static struct cut_options {
	const char *output, *base;
	uint32_t size;
} cut_options = { .size = (uint32_t)(BUNDLE_PART_SIZE >> 20) };

#define OUTPUT                                                                                     \
	{                                                                                          \
		OPT_TEXT, 'o', "output", "FILE", "where to", offsetof(struct cut_options, output), \
			0, 0, NULL                                                                 \
	}

static const struct opt delta_opts[] = { OUTPUT };
static const struct opt split_opts[] = {
	OUTPUT,
	{ OPT_NUMBER, 's', "size", "MIB", "of a part (default 4095: FAT's largest file)",
	  offsetof(struct cut_options, size), 1, 1048576, NULL },
};
static const struct opt join_opts[] = {
	OUTPUT,
	{ OPT_TEXT, 'b', "base", "FILE", "where a delta's other blobs are",
	  offsetof(struct cut_options, base), 0, 0, NULL },
};
#define OPTS(table) table, sizeof(table) / sizeof(table[0]), &cut_options

static int open_bundle(struct cli *cli, const char *const *paths, size_t count,
		       struct bundle **ret_bundle)
{
	struct bundle_trust trust = { 0 };
	struct bundle_error error;
	char *keys;
	int err, status = cli_read_keys(cli, false, &keys);

	if (status)
		return status;
	trust.keys = keys;
	err = bundle_open(paths, count, &trust, ret_bundle, &error);
	free(keys);
	return err ? cli_fail_bundle(cli, err, &error) : 0;
}

static bool same_file(const char *a, const char *b)
{
	struct stat one, two;

	return !stat(a, &one) && !stat(b, &two) && one.st_dev == two.st_dev &&
	       one.st_ino == two.st_ino;
}

static int write_it(struct cli *cli, struct write_request *request)
{
	struct bundle_error error;
	struct cli_bar bar;
	unsigned parts;
	uint64_t size = write_size(request);
	char text[16];
	int err;

	cli_bar_start(&bar, cli, bundle_manifest(request->bundle)->name, size);
	request->progress = cli_bar_move;
	request->progress_arg = &bar;
	err = write_bundle(request, &parts, &error);
	cli_bar_end(&bar);
	if (err)
		return cli_fail_bundle(cli, err, &error);
	cli_print_size(size, text);
	if (!cli_print_json(cli, json_pack("{s:s, s:I, s:i}", "path", request->path, "size",
					   (json_int_t)size, "parts", (int)parts)))
		printf("%s%s: %s in %u file%s\n", request->path, parts > 1 ? ".001..." : "", text,
		       parts, parts > 1 ? "s" : "");
	return 0;
}

static bool is_in(const char *digest, void *arg)
{
	return bundle_has(arg, digest);
}

static int delta_run(struct cli *cli, int argc, char **argv)
{
	const char *old_path = argv[0], *new_path = argv[1];
	struct write_request request = { .path = cut_options.output, .skip = is_in };
	struct bundle *old, *new;
	int status;

	if (!cut_options.output)
		return cli_fail("--output FILE is missing");
	if (same_file(cut_options.output, old_path) || same_file(cut_options.output, new_path))
		return cli_fail("the output is one of the bundles");
	status = open_bundle(cli, &old_path, 1, &old);
	if (status)
		return status;
	status = open_bundle(cli, &new_path, 1, &new);
	if (!status) {
		request.bundle = new;
		request.arg = old;
		status = write_it(cli, &request);
		bundle_close(new);
	}
	bundle_close(old);
	return status;
}

/* What is in the container stays in it: a delta's parts are a delta. */
static bool is_absent(const char *digest, void *arg)
{
	return !bundle_has(arg, digest);
}

static int split_run(struct cli *cli, int argc, char **argv)
{
	const char *path = argv[0];
	struct write_request request = { .path = cut_options.output ? cut_options.output : path,
					 .part = (uint64_t)cut_options.size << 20,
					 .skip = is_absent };
	char first[4096];
	int status;

	snprintf(first, sizeof(first), "%.4000s.001", request.path);
	if (same_file(first, path))
		return cli_fail("the output is the input; join it first, or name another output");
	status = open_bundle(cli, &path, 1, &request.bundle);
	if (status)
		return status;
	request.arg = request.bundle;
	/* Never over what is being read: a single part would take its name. */
	if (same_file(request.path, path) && write_size(&request) <= request.part)
		status = cli_fail("%s fits into one part: there is nothing to split", path);
	else
		status = write_it(cli, &request);
	bundle_close(request.bundle);
	return status;
}

static int join_run(struct cli *cli, int argc, char **argv)
{
	const char *paths[] = { argv[0], cut_options.base };
	struct write_request request = { .path = cut_options.output };
	int status;

	if (!request.path)
		return cli_fail("--output FILE is missing");
	if (same_file(request.path, argv[0]) ||
	    (cut_options.base && same_file(request.path, cut_options.base)))
		return cli_fail("the output is one of the bundles");
	status = open_bundle(cli, paths, paths[1] ? 2 : 1, &request.bundle);
	if (status)
		return status;
	status = write_it(cli, &request);
	bundle_close(request.bundle);
	return status;
}

const struct cli_command delta_command = {
	"delta", "OLD NEW", "only what NEW has and OLD has not", 2, 2, OPTS(delta_opts), delta_run,
};
const struct cli_command split_command = {
	"split", "BUNDLE", "cut into parts for FAT sticks", 1, 1, OPTS(split_opts), split_run,
};
const struct cli_command join_command = {
	"join",		 "BUNDLE", "parts, or a delta and its base, into one", 1, 1,
	OPTS(join_opts), join_run,
};
