/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manifest of a bundle: JSON in, struct bundle_manifest out, and everything in it checked
 * against everything else: nobody who reads it later has to ask whether a blob is listed, an item
 * exists, or comes before those that require it. Fuzzed by selftests/fuzz/fuzz_manifest.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_impl.h"

#define TITLE_MAX 240
#define FILES_MAX BUNDLE_BLOBS_MAX

/* The blobs by digest, each with whether something names it. */
struct known {
	const struct bundle_blob *blob;
	bool used;
};

struct check {
	struct bundle_reader *reader;
	const struct bundle_manifest *manifest;
	struct known *known;
};

static int compare_known(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->blob->digest,
		      ((const struct known *)b)->blob->digest);
}

static void use_blob(struct check *check, const struct bundle_blob *blob)
{
	struct known key = { .blob = blob }, *found;

	if (check->reader->err)
		return;
	found = bsearch(&key, check->known, check->manifest->blobs_count, sizeof(key),
			compare_known);
	if (!found || found->blob->size != blob->size) {
		bundle_reader_fail(check->reader, "blob %s is not among 'blobs' in this size",
				   blob->digest);
		return;
	}
	found->used = true;
}

static int compare_files(const void *a, const void *b)
{
	return strcmp((*(const struct bundle_file *const *)a)->path,
		      (*(const struct bundle_file *const *)b)->path);
}

/* The files by path; NULL (with the error set) when two are one or memory is out. */
static const struct bundle_file **sort_files(struct check *check)
{
	const struct bundle_manifest *manifest = check->manifest;
	const struct bundle_file **sorted;

	sorted = calloc(manifest->files_count + 1, sizeof(struct bundle_file *));
	if (!sorted) {
		check->reader->err = bundle_failed(check->reader->error, -ENOMEM, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < manifest->files_count; i++)
		sorted[i] = &manifest->files[i];
	qsort(sorted, manifest->files_count, sizeof(struct bundle_file *), compare_files);
	for (size_t i = 1; i < manifest->files_count; i++) {
		size_t len = strlen(sorted[i - 1]->path);

		/* "a" and "a/b" cannot both be files; sorted they need not be neighbours, but
		 * laying the tree out finds that. The same path twice would find nobody. */
		if (!strcmp(sorted[i - 1]->path, sorted[i]->path) ||
		    (!strncmp(sorted[i - 1]->path, sorted[i]->path, len) &&
		     sorted[i]->path[len] == '/'))
			bundle_reader_fail(check->reader, "'%.200s' is there twice",
					   sorted[i - 1]->path);
	}
	return sorted;
}

static void check_packages(struct check *check, const struct bundle_item *item,
			   const struct bundle_file **sorted)
{
	for (size_t i = 0; i < item->packages_count && !check->reader->err; i++) {
		const struct bundle_package *package = &item->packages[i];
		char path[NAME_FILENAME_MAX + 8] = "pool/";
		struct bundle_file key = { .path = path };
		const struct bundle_file *wanted = &key, **found;

		strcat(path, package->filename);
		found = bsearch(&wanted, sorted, check->manifest->files_count,
				sizeof(struct bundle_file *), compare_files);
		if (!found || strcmp((*found)->blob.digest, package->blob.digest) != 0)
			bundle_reader_fail(check->reader, "package %.80s is not in the apt tree",
					   package->filename);
		use_blob(check, &package->blob);
	}
}

static void check_requires(struct check *check, size_t at)
{
	const struct bundle_manifest *manifest = check->manifest;
	const struct bundle_item *item = &manifest->items[at];

	if (at && manifest->items[at - 1].role == BUNDLE_SOFTWARE && item->role == BUNDLE_COMPONENT)
		bundle_reader_fail(check->reader, "component %.80s comes after software",
				   item->name);
	for (size_t i = 0; i < at; i++)
		if (!strcmp(manifest->items[i].name, item->name))
			bundle_reader_fail(check->reader, "item %.80s is there twice", item->name);
	for (size_t i = 0; i < item->needs.requires.count; i++) {
		const struct bundle_item *other =
			bundle_manifest_item(manifest, item->needs.requires.words[i]);

		if (!other || other >= item)
			bundle_reader_fail(
				check->reader,
				"item %.80s requires %.80s, which does not come before it",
				item->name, item->needs.requires.words[i]);
	}
	for (size_t i = 0; i < item->needs.conflicts.count; i++)
		if (!bundle_manifest_item(manifest, item->needs.conflicts.words[i]))
			bundle_reader_fail(check->reader,
					   "item %.80s conflicts with %.80s: no item", item->name,
					   item->needs.conflicts.words[i]);
}

static void check_items(struct check *check)
{
	const struct bundle_manifest *manifest = check->manifest;
	const struct bundle_file **sorted = sort_files(check);

	for (size_t i = 0; i < manifest->items_count && !check->reader->err; i++) {
		const struct bundle_item *item = &manifest->items[i];

		check_requires(check, i);
		if (item->type == BUNDLE_DEB) {
			if (!manifest->files_count || !manifest->base_os)
				bundle_reader_fail(check->reader, "'base' or 'apt' is missing");
			check_packages(check, item, sorted);
		} else if (item->type == BUNDLE_TARBALL) {
			use_blob(check, &item->tarball);
		} else {
			use_blob(check, &item->image);
			for (size_t j = 0; j < item->image_blobs_count; j++)
				use_blob(check, &item->image_blobs[j]);
		}
	}
	free(sorted);
}

static void check_all(struct bundle_reader *reader, const struct bundle_manifest *manifest)
{
	struct check check = { .reader = reader, .manifest = manifest };
	size_t count = manifest->blobs_count;

	if (reader->err)
		return;
	check.known = calloc(count + 1, sizeof(*check.known));
	if (!check.known) {
		reader->err = bundle_failed(reader->error, -ENOMEM, "out of memory");
		return;
	}
	for (size_t i = 0; i < count; i++)
		check.known[i].blob = &manifest->blobs[i];
	qsort(check.known, count, sizeof(*check.known), compare_known);
	for (size_t i = 1; i < count; i++)
		if (!compare_known(&check.known[i - 1], &check.known[i]))
			bundle_reader_fail(reader, "blob %s is listed twice",
					   check.known[i].blob->digest);
	for (size_t i = 0; i < manifest->files_count; i++)
		use_blob(&check, &manifest->files[i].blob);
	check_items(&check);
	for (size_t i = 0; i < count; i++)
		if (!check.known[i].used)
			bundle_reader_fail(reader, "nothing uses blob %s",
					   check.known[i].blob->digest);
	free(check.known);
}

static void read_base(struct bundle_reader *reader, const json_t *json,
		      struct bundle_manifest *manifest)
{
	const char *status = json_string_value(json_object_get(json, "status"));

	if (!json || !bundle_reader_keys(reader, json, "os architecture status"))
		return;
	manifest->base_os = bundle_reader_text(reader, json, "os", 80, true);
	manifest->architecture = bundle_reader_text(reader, json, "architecture", 32, true);
	if (reader->err)
		return;
	if (!bundle_os_valid(manifest->base_os) || !name_arch_valid(manifest->architecture))
		bundle_reader_fail(reader, "'os' or 'architecture' is not written as it must be");
	if (!status || !name_hex_valid(status, NAME_DIGEST_LEN))
		bundle_reader_fail(reader, "'status' is no SHA-256 in hex");
	else
		memcpy(manifest->base_status, status, NAME_DIGEST_LEN + 1);
}

static void read_apt(struct bundle_reader *reader, const json_t *json,
		     struct bundle_manifest *manifest)
{
	const json_t *array;

	if (!json || !bundle_reader_keys(reader, json, "suite component files"))
		return;
	manifest->suite = bundle_reader_text(reader, json, "suite", 64, true);
	manifest->component = bundle_reader_text(reader, json, "component", 64, true);
	if (!reader->err &&
	    (!name_tenant_valid(manifest->suite) || !name_tenant_valid(manifest->component)))
		bundle_reader_fail(reader, "'suite' or 'component' is no plain word");
	manifest->files =
		bundle_reader_array(reader, json, "files", FILES_MAX, sizeof(*manifest->files),
				    &array, &manifest->files_count);
	for (size_t i = 0; i < manifest->files_count && !reader->err; i++) {
		const json_t *from = json_array_get(array, i);
		struct bundle_file *file = &manifest->files[i];

		if (!bundle_reader_keys(reader, from, "path sha256 size"))
			return;
		file->path = bundle_reader_text(reader, from, "path", 1024, true);
		if (file->path && !bundle_relative_valid(file->path))
			bundle_reader_fail(reader, "'path' leads elsewhere: '%.200s'", file->path);
		bundle_reader_blob(reader, from, &file->blob);
	}
}

static void read_blobs(struct bundle_reader *reader, const json_t *json,
		       struct bundle_manifest *manifest)
{
	const json_t *array;

	manifest->blobs =
		bundle_reader_array(reader, json, "blobs", BUNDLE_BLOBS_MAX,
				    sizeof(*manifest->blobs), &array, &manifest->blobs_count);
	for (size_t i = 0; i < manifest->blobs_count && !reader->err; i++)
		if (bundle_reader_keys(reader, json_array_get(array, i), "sha256 size"))
			bundle_reader_blob(reader, json_array_get(array, i), &manifest->blobs[i]);
}

static void read_items(struct bundle_reader *reader, const json_t *json,
		       struct bundle_manifest *manifest)
{
	const json_t *array;

	manifest->items =
		bundle_reader_array(reader, json, "items", BUNDLE_ITEMS_MAX,
				    sizeof(*manifest->items), &array, &manifest->items_count);
	if (!reader->err && !manifest->items_count)
		bundle_reader_fail(reader, "there is no item");
	for (size_t i = 0; i < manifest->items_count && !reader->err; i++)
		bundle_reader_item(reader, json_array_get(array, i), &manifest->items[i]);
}

int bundle_manifest_parse(const char *text, size_t len, struct bundle_manifest **ret_manifest,
			  struct bundle_error *error)
{
	struct bundle_reader reader = { .error = error, .where = "head" };
	struct bundle_manifest *manifest = calloc(1, sizeof(*manifest));
	json_error_t why;
	json_t *json = NULL;

	if (!manifest)
		return bundle_failed(error, -ENOMEM, "out of memory");
	if (len > BUNDLE_MANIFEST_MAX)
		bundle_reader_fail(&reader, "it is larger than 16 MiB");
	else if (!(json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why)))
		bundle_reader_fail(&reader, "no JSON: %s", why.text);
	bundle_reader_keys(&reader, json, "format name version title created base apt items blobs");
	bundle_reader_number(&reader, json, "format", BUNDLE_FORMAT, BUNDLE_FORMAT, true);
	manifest->name = bundle_reader_text(&reader, json, "name", NAME_MAX_LEN, true);
	if (manifest->name && !name_package_valid(manifest->name))
		bundle_reader_fail(&reader, "'name' is no plain word");
	manifest->version =
		bundle_reader_number(&reader, json, "version", 1, BUNDLE_VERSION_MAX, true);
	manifest->title = bundle_reader_text(&reader, json, "title", TITLE_MAX, false);
	manifest->created =
		bundle_reader_number(&reader, json, "created", 0, BUNDLE_VERSION_MAX, true);
	read_base(&reader, json_object_get(json, "base"), manifest);
	read_apt(&reader, json_object_get(json, "apt"), manifest);
	read_items(&reader, json, manifest);
	read_blobs(&reader, json, manifest);
	check_all(&reader, manifest);
	json_decref(json);
	if (reader.err) {
		bundle_manifest_free(manifest);
		return reader.err;
	}
	*ret_manifest = manifest;
	return 0;
}

void bundle_manifest_free(struct bundle_manifest *manifest)
{
	if (!manifest)
		return;
	for (size_t i = 0; i < manifest->items_count; i++)
		bundle_item_free(&manifest->items[i]);
	for (size_t i = 0; i < manifest->files_count; i++)
		free(manifest->files[i].path);
	free(manifest->items);
	free(manifest->files);
	free(manifest->blobs);
	free(manifest->name);
	free(manifest->title);
	free(manifest->base_os);
	free(manifest->architecture);
	free(manifest->suite);
	free(manifest->component);
	free(manifest);
}

const struct bundle_item *bundle_manifest_item(const struct bundle_manifest *manifest,
					       const char *name)
{
	for (size_t i = 0; i < manifest->items_count; i++)
		if (manifest->items[i].name && !strcmp(manifest->items[i].name, name))
			return &manifest->items[i];
	return NULL;
}

struct needed {
	const char **digests;
	size_t count;
};

static int compare_needed(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The digests of what an item needs, sorted; room for them is made here. */
static int collect_needed(const struct bundle_manifest *manifest, const struct bundle_item *item,
			  struct needed *ret)
{
	size_t room = item->packages_count + item->image_blobs_count + manifest->files_count + 1;

	ret->count = 0;
	ret->digests = calloc(room, sizeof(*ret->digests));
	if (!ret->digests)
		return -ENOMEM;
	if (item->type == BUNDLE_TARBALL) {
		ret->digests[ret->count++] = item->tarball.digest;
	} else if (item->type == BUNDLE_IMAGE) {
		ret->digests[ret->count++] = item->image.digest;
		for (size_t i = 0; i < item->image_blobs_count; i++)
			ret->digests[ret->count++] = item->image_blobs[i].digest;
	} else {
		for (size_t i = 0; i < item->packages_count; i++)
			ret->digests[ret->count++] = item->packages[i].blob.digest;
		for (size_t i = 0; i < manifest->files_count; i++)
			if (strncmp(manifest->files[i].path, "pool/", 5) != 0)
				ret->digests[ret->count++] = manifest->files[i].blob.digest;
	}
	qsort(ret->digests, ret->count, sizeof(*ret->digests), compare_needed);
	return 0;
}

int bundle_item_blobs(const struct bundle_manifest *manifest, const struct bundle_item *item,
		      struct bundle_blob **ret_blobs, size_t *ret_count)
{
	struct bundle_blob *blobs;
	struct needed needed;
	size_t count = 0;
	int err = collect_needed(manifest, item, &needed);

	if (err)
		return err;
	/* No more than are needed: a digest is in the manifest's list once. */
	blobs = calloc(needed.count + 1, sizeof(*blobs));
	for (size_t i = 0; blobs && i < manifest->blobs_count && count < needed.count; i++) {
		const char *digest = manifest->blobs[i].digest;

		if (bsearch(&digest, needed.digests, needed.count, sizeof(digest), compare_needed))
			blobs[count++] = manifest->blobs[i];
	}
	free(needed.digests);
	if (!blobs)
		return -ENOMEM;
	*ret_blobs = blobs;
	*ret_count = count;
	return 0;
}
