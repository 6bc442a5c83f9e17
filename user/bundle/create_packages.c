/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packages of a bundle that is made: closures by apt, one tree of them all that apt will trust
 * by a signature, and what the manifest says of each. All closures come first: the tree's indices
 * come before the packages.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "../lib/digest.h"
#include "apt.h"
#include "closure.h"
#include "create.h"
#include "definition.h"
#include "describe.h"
#include "file.h"
#include "gpg.h"
#include "tree.h"

/* "ops.key" has "ops.gpg" beside it. */
static int open_gpg(struct create *create)
{
	char beside[4096], *secret;
	const char *path = create->options->gpg_key;
	size_t len = strcspn(create->options->keys, ",");
	int err;

	if (!path) {
		if (len > 4 && !strncmp(create->options->keys + len - 4, ".key", 4))
			len -= 4;
		snprintf(beside, sizeof(beside), "%.*s.gpg", (int)len, create->options->keys);
		path = beside;
	}
	err = file_read_regular(path, CREATE_KEY_MAX, &secret, &len);
	if (err)
		return bundle_failed(&create->error, err, "%s: %s; --gpg-key names it", path,
				     strerror(-err));
	err = gpg_open(secret, &create->gpg, &create->error);
	explicit_bzero(secret, strlen(secret));
	free(secret);
	return err;
}

static json_t *package_json(const struct closure_package *package, const char *filename,
			    const struct bundle_blob *blob)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "name", package->name, "version",
			 package->version, "architecture", package->architecture, "filename",
			 filename, "sha256", blob->digest, "size", (json_int_t)blob->size,
			 "installed", (json_int_t)package->installed);
}

/* dpkg-name(1): the epoch is not part of a file's name. */
static void deb_filename(const struct closure_package *package, char name[NAME_FILENAME_MAX * 3])
{
	const char *colon = strchr(package->version, ':');

	snprintf(name, (size_t)NAME_FILENAME_MAX * 3, "%s_%s_%s.deb", package->name,
		 colon ? colon + 1 : package->version, package->architecture);
}

/* The error is about this item of the definition. */
static void name_item(struct bundle_error *error, const char *item)
{
	char text[sizeof(error->text)];

	snprintf(text, sizeof(text), "%s", error->text);
	snprintf(error->text, sizeof(error->text), "item %.64s: %.440s", item, text);
}

int create_resolve(struct create *create)
{
	const struct definition *definition = create->definition;
	char filename[NAME_FILENAME_MAX * 3];
	bool any = false;
	int err = 0;

	for (unsigned i = 0; i < definition->items_count; i++)
		any |= definition->items[i].packages_count > 0;
	if (!any)
		return 0;
	cli_say(create->cli, "reading package lists for", definition->name);
	err = open_gpg(create);
	if (!err)
		err = apt_open(definition, create->work, &create->apt, &create->error);
	if (!err)
		err = tree_open(create->work, &create->error);
	for (unsigned i = 0; !err && i < definition->items_count; i++) {
		struct closure_result *result = &create->results[i];

		if (!definition->items[i].packages_count)
			continue;
		cli_say(create->cli, "resolving", definition->items[i].name);
		err = closure_resolve(create->apt, &definition->items[i], result, &create->error);
		if (err)
			name_item(&create->error, definition->items[i].name);
		for (size_t j = 0; !err && j < result->count; j++) {
			deb_filename(&result->packages[j], filename);
			err = tree_add(create->work, result->packages[j].path, filename,
				       &create->error);
		}
	}
	return err;
}

int create_sign_packages(struct create *create)
{
	const struct definition *definition = create->definition;
	char digest[NAME_DIGEST_LEN + 1];
	uint64_t size;
	json_t *apt;
	int fd, err;

	if (!create->apt)
		return 0;
	cli_say(create->cli, "signing the packages of", definition->name);
	err = tree_finish(create->work, definition->architecture, create->when, create->gpg,
			  &create->stage, &apt, &create->error);
	if (err)
		return err;
	json_object_set_new(create->manifest, "apt", apt);
	fd = open(create->apt->status, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? -errno : digest_file(fd, digest, &size);
	if (fd >= 0)
		close(fd);
	if (err)
		return bundle_failed(&create->error, err, "%s: %s", create->apt->status,
				     strerror(-err));
	json_object_set_new(create->manifest, "base",
			    json_pack("{s:s, s:s, s:s}", "os", definition->os, "architecture",
				      definition->architecture, "status", digest));
	return 0;
}

int create_add_packages(struct create *create, const struct definition_item *item,
			const struct closure_result *result, json_t **ret_json)
{
	json_t *packages = json_array(), *install = json_array();
	char filename[NAME_FILENAME_MAX * 3];
	uint64_t space = 0;
	int err = 0;

	for (size_t i = 0; !err && i < result->count; i++) {
		struct bundle_blob blob;

		deb_filename(&result->packages[i], filename);
		err = stage_file(&create->stage, result->packages[i].path, true, &blob,
				 &create->error);
		if (!err)
			json_array_append_new(packages,
					      package_json(&result->packages[i], filename, &blob));
		space += result->packages[i].installed;
	}
	for (size_t i = 0; i < result->install_count; i++)
		json_array_append_new(install, json_string(result->install[i]));
	if (err) {
		json_decref(packages);
		json_decref(install);
		return err;
	}
	*ret_json = describe_item(
		item, item->version ? item->version : strchr(result->install[0], '=') + 1, space,
		"packages", packages, install);
	return 0;
}
