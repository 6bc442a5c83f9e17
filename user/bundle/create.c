/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-bundle create: definition → closures by apt → blobs → signed apt tree → manifest → tar.
 * Everything in between is in OUTPUT.work, which is removed at the end and by the next run. What
 * concerns packages is in create_packages.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "apt.h"
#include "cleanup.h"
#include "closure.h"
#include "create.h"
#include "definition.h"
#include "describe.h"
#include "file.h"
#include "gpg.h"
#include "image.h"
#include "write.h"

#define TARBALL_MAX ((uint64_t)256 << 30) /* unpacked */

static struct create_options create_options;

static const struct opt create_opts[] = {
	{ OPT_TEXT, 'o', "output", "FILE", "the bundle (default: NAME-VERSION.sluice)",
	  offsetof(struct create_options, output), 0, 0, NULL },
	{ OPT_TEXT, 'K', "key", "FILE,...", "private keys that sign it, of \"key new\"",
	  offsetof(struct create_options, keys), 0, 0, NULL },
	{ OPT_TEXT, 'G', "gpg-key", "FILE", "secret OpenPGP key for apt (default: beside --key)",
	  offsetof(struct create_options, gpg_key), 0, 0, NULL },
	{ OPT_TEXT, 'b', "base", "FILE", "dpkg status of the base, instead of the definition's",
	  offsetof(struct create_options, base), 0, 0, NULL },
	{ OPT_NUMBER, 's', "split", "MIB", "in parts of this size (4095 fits on FAT)",
	  offsetof(struct create_options, split), 1, 1048576, NULL },
};

static int read_keys(struct create *create)
{
	const char *paths[CLI_LIST_MAX];
	char *text = strdup(create_options.keys ? create_options.keys : "");
	int count = text ? cli_split(text, paths) : -1, failed = 0;
	size_t len;

	if (!create_options.keys) {
		cli_fail(
			"--key FILE is missing: a bundle is signed; \"sluice-bundle key new NAME\" "
			"makes a key");
		failed = 2;
	} else if (count < 0)
		failed = cli_fail("--key: at most %d keys", CLI_LIST_MAX);
	for (int i = 0; !failed && i < count; i++) {
		struct stat status;
		int err;

		if (!stat(paths[i], &status) && (status.st_mode & 0077))
			fprintf(stderr,
				"sluice-bundle: warning: %s may be read by others; chmod 600 it\n",
				paths[i]);
		err = file_read_regular(paths[i], CREATE_KEY_MAX, &create->keys[i], &len);

		if (err)
			failed = cli_fail("%s: %s", paths[i], strerror(-err));
		else if (create->keys_count++, !strstr(create->keys[i], "PRIVATE KEY"))
			failed =
				cli_fail("%s holds no private key; \"sluice-bundle key new\" calls "
					 "those NAME.key",
					 paths[i]);
	}
	free(text);
	return failed;
}

/* OUTPUT.work is locked; what is inside may be what an interrupted run left. */
static int open_work(struct create *create)
{
	char now[sizeof(create->folder) + 8], *whole = NULL;
	int err = 0;

	snprintf(create->folder, sizeof(create->folder), "%s.work", create->output);
	snprintf(now, sizeof(now), "%s/now", create->folder);
	if (mkdir(create->folder, 0755) && errno != EEXIST)
		return bundle_failed(&create->error, -errno, "%s: %s", create->folder,
				     strerror(errno));
	create->lock = open(create->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (create->lock < 0)
		return bundle_failed(&create->error, -errno, "%s: %s", create->folder,
				     strerror(errno));
	if (flock(create->lock, LOCK_EX | LOCK_NB))
		return bundle_failed(&create->error, -EBUSY,
				     "%s is in use: this bundle is being made already",
				     create->folder);
	err = file_remove_tree(now);
	if (!err && mkdir(now, 0755))
		err = -errno;
	/* apt wants absolute paths. */
	if (!err && !(whole = realpath(now, NULL)))
		err = -errno;
	if (!err && strlen(whole) >= sizeof(create->work))
		err = -ENAMETOOLONG;
	if (!err)
		strcpy(create->work, whole);
	free(whole);
	if (*create->work)
		cleanup_add(create->folder);
	return err ? bundle_failed(&create->error, err, "%s: %s", now, strerror(-err)) : 0;
}

static int add_tarball(struct create *create, const struct definition_item *item, json_t **ret_json)
{
	const char *slash = strrchr(item->tarball, '/'), *name = slash ? slash + 1 : item->tarball;
	struct bundle_unpacked unpacked;
	struct bundle_blob blob;
	int fd = open(item->tarball, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return bundle_failed(&create->error, -errno, "%s: %s", item->tarball,
				     strerror(errno));
	err = bundle_untar(fd, NULL, TARBALL_MAX, &unpacked, &create->error);
	close(fd);
	if (!err && unpacked.opened)
		fprintf(stderr,
			"sluice-bundle: warning: %s: its \"./\" is not open to all, but %s will "
			"be; what must stay private belongs into a directory of its own below it\n",
			item->tarball, item->target);
	if (!err)
		err = stage_file(&create->stage, item->tarball, true, &blob, &create->error);
	if (!err)
		*ret_json = describe_item(item, item->version, unpacked.bytes, "tarball",
					  json_pack("{s:s, s:s, s:I, s:s}", "filename", name,
						    "sha256", blob.digest, "size",
						    (json_int_t)blob.size, "target", item->target),
					  NULL);
	return err;
}

static int add_items(struct create *create)
{
	int err = 0;

	for (unsigned i = 0; !err && i < create->definition->items_count; i++) {
		const struct definition_item *item = &create->definition->items[i];
		json_t *json = NULL, *image;
		uint64_t size = 0;

		cli_say(create->cli, "adding", item->name);
		if (item->packages_count)
			err = create_add_packages(create, item, &create->results[i], &json);
		else if (item->tarball)
			err = add_tarball(create, item, &json);
		else if (!(err = image_add(create->work, i, item, create->definition->architecture,
					   &create->stage, &image, &size, &create->error)))
			json = describe_item(item, item->version, size, "image", image, NULL);
		if (!err && (!json || json_array_append_new(create->items, json)))
			err = bundle_failed(&create->error, -ENOMEM, "out of memory");
	}
	return err;
}

/* The stage is a bundle now; the same code reads it that reads all others. */
static int write_output(struct create *create)
{
	char *layout = create->stage.path;
	const char *path = layout;
	struct write_request request = { .path = create->output,
					 .part = (uint64_t)create_options.split << 20,
					 .replace = true,
					 .progress = cli_bar_move };
	struct cli_bar bar;
	unsigned parts;
	int err = bundle_open(&path, 1, NULL, &request.bundle, &create->error);

	if (err)
		return err;
	cli_bar_start(&bar, create->cli, create->definition->name, write_size(&request));
	request.progress_arg = &bar;
	err = write_bundle(&request, &parts, &create->error);
	cli_bar_end(&bar);
	if (!err) {
		const struct bundle_manifest *manifest = bundle_manifest(request.bundle);
		char size[16];
		json_t *json;

		json = json_pack("{s:s, s:I, s:s, s:I, s:i, s:I, s:I}", "name", manifest->name,
				 "version", (json_int_t)manifest->version, "path", create->output,
				 "size", (json_int_t)write_size(&request), "parts", (int)parts,
				 "items", (json_int_t)manifest->items_count, "blobs",
				 (json_int_t)manifest->blobs_count);
		cli_print_size(write_size(&request), size);
		if (!cli_print_json(create->cli, json))
			printf("%s%s: %s version %llu, %zu items, %zu blobs, %s\n", create->output,
			       parts > 1 ? ".001..." : "", manifest->name,
			       (unsigned long long)manifest->version, manifest->items_count,
			       manifest->blobs_count, size);
	}
	bundle_close(request.bundle);
	return err;
}

static int build(struct create *create)
{
	const struct definition *definition = create->definition;
	int err = open_work(create);

	if (!err)
		err = stage_open(create->work, &create->stage, &create->error);
	if (err)
		return err;
	create->results = calloc(definition->items_count, sizeof(*create->results));
	create->items = json_array();
	create->manifest = json_pack("{s:i, s:s, s:I, s:I}", "format", BUNDLE_FORMAT, "name",
				     definition->name, "version", (json_int_t)definition->version,
				     "created", (json_int_t)create->when);
	if (!create->results || !create->items || !create->manifest)
		return bundle_failed(&create->error, -ENOMEM, "out of memory");
	if (definition->title)
		json_object_set_new(create->manifest, "title", json_string(definition->title));
	err = create_resolve(create);
	if (!err)
		err = create_sign_packages(create);
	if (!err)
		err = add_items(create);
	if (!err)
		err = json_object_set(create->manifest, "items", create->items) ? -ENOMEM : 0;
	if (!err) {
		cli_say(create->cli, "signing", definition->name);
		err = stage_finish(&create->stage, create->manifest, create->keys,
				   (size_t)create->keys_count, &create->error);
	}
	return err ? err : write_output(create);
}

static void finish(struct create *create)
{
	for (unsigned i = 0; create->results && i < create->definition->items_count; i++)
		closure_result_free(&create->results[i]);
	free(create->results);
	apt_close(create->apt);
	gpg_close(create->gpg);
	json_decref(create->items);
	json_decref(create->manifest);
	if (create->stage.path)
		stage_close(&create->stage);
	/* work is set once the lock is ours. */
	if (*create->work)
		cleanup_remove(create->folder);
	if (create->lock >= 0)
		close(create->lock);
	for (int i = 0; i < create->keys_count; i++) {
		explicit_bzero(create->keys[i], strlen(create->keys[i]));
		free(create->keys[i]);
	}
	free(create->output);
	definition_free(create->definition);
}

/* reproducible-builds.org's SOURCE_DATE_EPOCH, else now. */
static int find_time(uint64_t *ret_when)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");

	if (!text || !*text) {
		*ret_when = (uint64_t)time(NULL);
		return 0;
	}
	return name_number(text, (uint64_t)1 << 40, ret_when)
		       ? cli_fail("SOURCE_DATE_EPOCH is no number of seconds")
		       : 0;
}

static int create_run(struct cli *cli, int argc, char **argv)
{
	struct create create = { .cli = cli, .options = &create_options, .lock = -1 };
	char *why;
	int err, status = 0;

	if (find_time(&create.when))
		return 2;
	err = definition_load(argv[0], &create.definition, &why);
	if (err) {
		fprintf(stderr, "%s\n", why ? why : "out of memory");
		free(why);
		return 1;
	}
	if (create_options.base) {
		free(create.definition->status);
		create.definition->status = strdup(create_options.base);
	}
	if (create_options.output)
		create.output = strdup(create_options.output);
	else if (asprintf(&create.output, "%s-%llu.sluice", create.definition->name,
			  (unsigned long long)create.definition->version) < 0)
		create.output = NULL;
	if (!create.output || strlen(create.output) > 3000)
		status = cli_fail("the output's name is too long");
	if (!status)
		status = read_keys(&create);
	if (!status && (err = build(&create))) {
		cli_bar_end(&(struct cli_bar){ .cli = cli });
		cli_fail_bundle(cli, err, &create.error);
		status = 1;
	}
	finish(&create);
	return status;
}

const struct cli_command create_command = {
	"create",
	"DEFINITION",
	"make a bundle from bundle.yaml",
	1,
	1,
	create_opts,
	sizeof(create_opts) / sizeof(create_opts[0]),
	&create_options,
	create_run,
};
