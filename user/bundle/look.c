/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice-bundle verify, inspect, diff: reading bundles without touching anything. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bundle_impl.h"
#include "cli.h"

static struct verify_options {
	const char *base, *newer_than;
} verify_options;

static const struct opt verify_opts[] = {
	{ OPT_TEXT, 'b', "base", "FILE", "where a delta's other blobs are",
	  offsetof(struct verify_options, base), 0, 0, NULL },
	{ OPT_TEXT, 'n', "newer-than", "N|FILE", "refuse versions up to this, or this bundle's",
	  offsetof(struct verify_options, newer_than), 0, 0, NULL },
};

/* A number, or a bundle: the least version that is newer, and its name. */
static int read_newer(const struct cli *cli, const char *keys, char name[NAME_MAX_LEN + 1],
		      uint64_t *ret_least)
{
	const char *path = verify_options.newer_than;
	struct bundle_trust trust = { .keys = keys };
	struct bundle_error error;
	struct bundle *bundle;
	int err;

	*name = '\0';
	*ret_least = 0;
	if (!path)
		return 0;
	if (!name_number(path, BUNDLE_VERSION_MAX, ret_least)) {
		++*ret_least;
		return 0;
	}
	err = bundle_open(&path, 1, &trust, &bundle, &error);
	if (err)
		return cli_fail_bundle(cli, err, &error);
	strcpy(name, bundle_manifest(bundle)->name);
	*ret_least = bundle_manifest(bundle)->version + 1;
	bundle_close(bundle);
	return 0;
}

/* Every blob, also when one is bad: the answer names them all. */
static int verify_blobs(struct cli *cli, struct bundle *bundle, json_t *bad)
{
	const struct bundle_manifest *manifest = bundle_manifest(bundle);
	struct bundle_blob manifest_blob, oci;
	struct bundle_error error;
	struct cli_bar bar;
	uint64_t total = 0;

	for (size_t i = 0; i < manifest->blobs_count; i++)
		total += manifest->blobs[i].size;
	cli_bar_start(&bar, cli, "verifying", total);
	bundle_manifest_json(bundle, &manifest_blob);
	bundle_oci_blob(bundle, &oci);
	for (size_t i = 0; i < manifest->blobs_count + 1; i++) {
		const struct bundle_blob *blob = i ? &manifest->blobs[i - 1] : &oci;

		if (!bundle_copy(bundle, blob->digest, -1, cli_bar_move, &bar, &error))
			continue;
		cli_bar_end(&bar);
		cli_fail("%s", error.text);
		json_array_append_new(
			bad, json_pack("{s:s, s:s}", "blob", blob->digest, "text", error.text));
	}
	cli_bar_end(&bar);
	return json_array_size(bad) ? 3 : 0;
}

static int verify_run(struct cli *cli, int argc, char **argv)
{
	const char *paths[] = { argv[0], verify_options.base };
	char name[NAME_MAX_LEN + 1], *keys;
	struct bundle_trust trust = { 0 };
	struct bundle_error error;
	struct bundle *bundle;
	int err, status = cli_read_keys(cli, true, &keys);
	json_t *bad;

	if (!status)
		status = read_newer(cli, keys, name, &trust.least);
	if (status) {
		free(keys);
		return status;
	}
	trust.keys = keys;
	trust.name = *name ? name : NULL;
	err = bundle_open(paths, paths[1] ? 2 : 1, &trust, &bundle, &error);
	free(keys);
	if (err)
		return cli_fail_bundle(cli, err, &error);
	bad = json_array();
	status = verify_blobs(cli, bundle, bad);
	if (!cli_print_json(cli, json_pack("{s:s, s:I, s:I, s:O, s:b}", "name",
					   bundle_manifest(bundle)->name, "version",
					   (json_int_t)bundle_manifest(bundle)->version, "blobs",
					   (json_int_t)bundle_manifest(bundle)->blobs_count, "bad",
					   bad, "good", !status)) &&
	    !status)
		printf("%s: %s version %llu, %zu blobs: all good\n", argv[0],
		       bundle_manifest(bundle)->name,
		       (unsigned long long)bundle_manifest(bundle)->version,
		       bundle_manifest(bundle)->blobs_count);
	json_decref(bad);
	bundle_close(bundle);
	return status;
}

/* ---- inspect --------------------------------------------------------------------------------- */

static uint64_t item_size(const struct bundle_manifest *manifest, const struct bundle_item *item)
{
	struct bundle_blob *blobs;
	uint64_t size = 0;
	size_t count;

	if (bundle_item_blobs(manifest, item, &blobs, &count))
		return 0;
	for (size_t i = 0; i < count; i++)
		size += blobs[i].size;
	free(blobs);
	return size;
}

static void print_words(const char *title, const struct bundle_list *list)
{
	if (!list->count)
		return;
	printf("  %-12s", title);
	for (size_t i = 0; i < list->count; i++) {
		fputs(i ? ", " : " ", stdout);
		cli_put(list->words[i]);
	}
	putchar('\n');
}

static void print_needs(const struct bundle_needs *needs)
{
	char size[16];

	print_words("os", &needs->os);
	if (needs->architecture)
		printf("  %-12s %s\n", "architecture", needs->architecture);
	if (needs->kernel)
		printf("  %-12s %s or newer\n", "kernel", needs->kernel);
	cli_print_size(needs->space, size);
	if (needs->space)
		printf("  %-12s %s\n", "space", size);
	cli_print_size(needs->memory, size);
	if (needs->memory)
		printf("  %-12s %s\n", "memory", size);
	for (size_t i = 0; i < needs->ports_count; i++)
		printf("  %-12s %u/%s\n", "port", needs->ports[i].port,
		       needs->ports[i].udp ? "udp" : "tcp");
	print_words("requires", &needs->requires);
	print_words("conflicts", &needs->conflicts);
}

static void print_item(const struct bundle_item *item)
{
	printf("%s %s (%s, %s)\n", item->name, item->version, bundle_type_name(item->type),
	       bundle_role_name(item->role));
	if (item->title) {
		fputs("  ", stdout);
		cli_put(item->title);
		putchar('\n');
	}
	print_needs(&item->needs);
	print_words("install", &item->install);
	for (size_t i = 0; i < item->packages_count; i++)
		printf("  %-12s %s %s %s\n", i ? "" : "packages", item->packages[i].name,
		       item->packages[i].version, item->packages[i].architecture);
	if (item->type == BUNDLE_TARBALL)
		printf("  %-12s %s to %s\n", "tarball", item->tarball_name, item->target);
	if (item->type == BUNDLE_IMAGE)
		printf("  %-12s %s\n", "image", item->reference);
	for (size_t i = 0; i < item->variables_count; i++) {
		printf("  %-12s %s", i ? "" : "variables", item->variables[i].name);
		if (item->variables[i].value) {
			fputs(" = ", stdout);
			cli_put(item->variables[i].value);
		}
		putchar('\n');
	}
	for (size_t i = 0; i < item->configs_count; i++) {
		printf("  %-12s ", i ? "" : "configs");
		cli_put(item->configs[i].path);
		printf(" (%s:%s %04o)\n", item->configs[i].owner, item->configs[i].group,
		       item->configs[i].mode);
	}
	for (unsigned phase = 0; phase < BUNDLE_PHASES; phase++)
		for (size_t i = 0; i < item->steps[phase].count; i++) {
			printf("  %-12s ", i ? "" : bundle_phase_name(phase));
			cli_put(item->steps[phase].list[i].run);
			putchar('\n');
		}
}

static void print_bundle(const struct bundle *bundle, bool verified)
{
	const struct bundle_manifest *manifest = bundle_manifest(bundle);
	size_t missing = 0;
	uint64_t total = 0;
	char size[16], when[20];
	int width = 4;

	for (size_t i = 0; i < manifest->blobs_count; i++) {
		missing += !bundle_has(bundle, manifest->blobs[i].digest);
		total += manifest->blobs[i].size;
	}
	for (size_t i = 0; i < manifest->items_count; i++)
		if ((int)strlen(manifest->items[i].name) > width)
			width = (int)strlen(manifest->items[i].name);
	cli_print_size(total, size);
	cli_print_time(manifest->created, when);
	printf("%s version %llu of %s UTC, %zu blobs, %s%s\n", manifest->name,
	       (unsigned long long)manifest->version, when, manifest->blobs_count, size,
	       verified ? "" : "; signature NOT checked (--keys FILE)");
	if (manifest->title) {
		cli_put(manifest->title);
		putchar('\n');
	}
	if (manifest->base_os)
		printf("for %s on %s\n", manifest->base_os, manifest->architecture);
	if (missing)
		printf("delta: %zu blobs are not in it\n", missing);
	printf("\n%-*s  %-9s  %-7s  %10s  %s\n", width, "ITEM", "ROLE", "TYPE", "SIZE", "VERSION");
	for (size_t i = 0; i < manifest->items_count; i++) {
		const struct bundle_item *item = &manifest->items[i];

		cli_print_size(item_size(manifest, item), size);
		printf("%-*s  %-9s  %-7s  %10s  %s\n", width, item->name,
		       bundle_role_name(item->role), bundle_type_name(item->type), size,
		       item->version);
	}
}

/* --json is the manifest itself, or one item of it. */
static void print_manifest(struct cli *cli, const struct bundle *bundle, const char *name)
{
	struct bundle_blob blob;
	const char *text = bundle_manifest_json(bundle, &blob);
	json_t *json = json_loadb(text, (size_t)blob.size, 0, NULL), *item;
	size_t i;

	json_array_foreach (json_object_get(json, "items"), i, item)
		if (name && !strcmp(json_string_value(json_object_get(item, "name")), name)) {
			cli_print_json(cli, json_incref(item));
			json_decref(json);
			return;
		}
	cli_print_json(cli, json);
}

static int inspect_run(struct cli *cli, int argc, char **argv)
{
	const char *path = argv[0];
	struct bundle_trust trust = { 0 };
	const struct bundle_item *item = NULL;
	struct bundle_error error;
	struct bundle *bundle;
	char *keys;
	int err, status = cli_read_keys(cli, false, &keys);

	if (status)
		return status;
	trust.keys = keys;
	err = bundle_open(&path, 1, &trust, &bundle, &error);
	if (err) {
		free(keys);
		return cli_fail_bundle(cli, err, &error);
	}
	if (argc > 1 && !(item = bundle_manifest_item(bundle_manifest(bundle), argv[1])))
		status = cli_fail("%s has no item '%s'", path, argv[1]);
	else if (cli->options.json)
		print_manifest(cli, bundle, item ? item->name : NULL);
	else if (item)
		print_item(item);
	else
		print_bundle(bundle, keys != NULL);
	free(keys);
	bundle_close(bundle);
	return status;
}

/* ---- diff --------------------------------------------------------------------------------------
 */

/* The item as it stands in the manifest: whatever changed is in there. */
static json_t *find_json(json_t *manifest, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(manifest, "items"), i, item)
		if (!strcmp(json_string_value(json_object_get(item, "name")), name))
			return item;
	return NULL;
}

static json_t *load_json(const struct bundle *bundle)
{
	struct bundle_blob blob;
	const char *text = bundle_manifest_json(bundle, &blob);

	return json_loadb(text, (size_t)blob.size, 0, NULL);
}

static void add_change(json_t *changes, const char *name, const char *what, const char *from,
		       const char *to)
{
	json_t *change = json_pack("{s:s, s:s}", "name", name, "change", what);

	if (from)
		json_object_set_new(change, "from", json_string(from));
	if (to)
		json_object_set_new(change, "to", json_string(to));
	json_array_append_new(changes, change);
}

static json_t *compare_items(const struct bundle *old, const struct bundle *new)
{
	json_t *changes = json_array(), *before = load_json(old), *after = load_json(new);
	const struct bundle_manifest *from = bundle_manifest(old), *to = bundle_manifest(new);

	for (size_t i = 0; i < from->items_count; i++)
		if (!bundle_manifest_item(to, from->items[i].name))
			add_change(changes, from->items[i].name, "removed", from->items[i].version,
				   NULL);
	for (size_t i = 0; i < to->items_count; i++) {
		const struct bundle_item *item = &to->items[i];
		const struct bundle_item *was = bundle_manifest_item(from, item->name);

		if (!was)
			add_change(changes, item->name, "added", NULL, item->version);
		else if (!json_equal(find_json(before, item->name), find_json(after, item->name)))
			add_change(changes, item->name, "changed", was->version, item->version);
	}
	json_decref(before);
	json_decref(after);
	return changes;
}

static bool lists(const struct bundle_manifest *manifest, const char *digest)
{
	for (size_t i = 0; i < manifest->blobs_count; i++)
		if (!strcmp(manifest->blobs[i].digest, digest))
			return true;
	return false;
}

/* How many blobs, and bytes, one has that the other has not. */
static size_t count_new(const struct bundle_manifest *manifest, const struct bundle_manifest *other,
			uint64_t *ret_bytes)
{
	size_t count = 0;

	*ret_bytes = 0;
	for (size_t i = 0; i < manifest->blobs_count; i++)
		if (!lists(other, manifest->blobs[i].digest)) {
			count++;
			*ret_bytes += manifest->blobs[i].size;
		}
	return count;
}

static void print_diff(const json_t *json)
{
	const json_t *change;
	size_t i;
	char added[16], removed[16];

	printf("version %lld -> %lld\n",
	       (long long)json_integer_value(json_object_get(json, "from")),
	       (long long)json_integer_value(json_object_get(json, "to")));
	json_array_foreach (json_object_get(json, "items"), i, change) {
		const char *from = json_string_value(json_object_get(change, "from"));
		const char *to = json_string_value(json_object_get(change, "to"));

		printf("  %-8s %s %s%s%s\n", json_string_value(json_object_get(change, "change")),
		       json_string_value(json_object_get(change, "name")), from ? from : "",
		       from && to ? " -> " : "", to ? to : "");
	}
	cli_print_size((uint64_t)json_integer_value(json_object_get(json, "bytes_added")), added);
	cli_print_size((uint64_t)json_integer_value(json_object_get(json, "bytes_removed")),
		       removed);
	printf("%lld blobs added (%s), %lld removed (%s)\n",
	       (long long)json_integer_value(json_object_get(json, "blobs_added")), added,
	       (long long)json_integer_value(json_object_get(json, "blobs_removed")), removed);
}

static int diff_run(struct cli *cli, int argc, char **argv)
{
	struct bundle *bundles[2] = { NULL };
	struct bundle_trust trust = { 0 };
	struct bundle_error error;
	uint64_t added = 0, removed = 0;
	size_t blobs_added, blobs_removed;
	char *keys;
	json_t *json;
	int err = 0, status = cli_read_keys(cli, false, &keys);

	if (status)
		return status;
	trust.keys = keys;
	for (int i = 0; !err && i < 2; i++) {
		const char *path = argv[i];

		err = bundle_open(&path, 1, &trust, &bundles[i], &error);
	}
	free(keys);
	if (!err) {
		const struct bundle_manifest *old = bundle_manifest(bundles[0]);
		const struct bundle_manifest *new = bundle_manifest(bundles[1]);

		blobs_added = count_new(new, old, &added);
		blobs_removed = count_new(old, new, &removed);
		json = json_pack("{s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:I}", "name", new->name,
				 "from", (json_int_t)old->version, "to", (json_int_t) new->version,
				 "items", compare_items(bundles[0], bundles[1]), "blobs_added",
				 (json_int_t)blobs_added, "bytes_added", (json_int_t)added,
				 "blobs_removed", (json_int_t)blobs_removed, "bytes_removed",
				 (json_int_t)removed);
		if (!cli->options.json)
			print_diff(json);
		cli_print_json(cli, json);
	}
	bundle_close(bundles[0]);
	bundle_close(bundles[1]);
	return err ? cli_fail_bundle(cli, err, &error) : 0;
}

const struct cli_command verify_command = {
	"verify",
	"BUNDLE",
	"check signature and every blob",
	1,
	1,
	verify_opts,
	sizeof(verify_opts) / sizeof(verify_opts[0]),
	&verify_options,
	verify_run,
};
const struct cli_command inspect_command = {
	"inspect", "BUNDLE [ITEM]", "show what is inside", 1, 2, NULL, 0, NULL, inspect_run,
};
const struct cli_command diff_command = {
	"diff", "OLD NEW", "show what changed between two bundles", 2, 2, NULL, 0, NULL, diff_run,
};
