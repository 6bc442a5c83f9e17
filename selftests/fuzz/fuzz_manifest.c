/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manifest's parser and the templates in it: what it lets through can be walked by others
 * without asking again, and makes the same derived documents twice.
 */
#include "../../user/lib/bundle_impl.h"
#include "fuzz.h"

static const char *value_of(const char *name, void *arg)
{
	assert(bundle_variable_valid(name));
	return arg;
}

static void check_item(const struct bundle_manifest *manifest, const struct bundle_item *item)
{
	struct bundle_error error;
	struct bundle_blob *blobs;
	char *text;
	size_t count;

	assert(bundle_manifest_item(manifest, item->name) == item);
	assert(!bundle_item_blobs(manifest, item, &blobs, &count));
	assert(count <= manifest->blobs_count && (count || item->type == BUNDLE_DEB));
	free(blobs);
	for (size_t i = 0; i < item->needs.requires.count; i++)
		assert(bundle_manifest_item(manifest, item->needs.requires.words[i]) < item);
	for (size_t i = 0; i < item->configs_count; i++) {
		assert(item->configs[i].path[0] == '/' && !strstr(item->configs[i].path, "/../"));
		if (!bundle_expand(item->configs[i].text, value_of, (void *)"x", &text, &error))
			free(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bundle_blob blob = { .size = size };
	struct bundle_manifest *manifest;
	struct bundle_error error;
	char *copy = fuzz_copy(data, size), *oci, *statement;
	int err = bundle_manifest_parse(copy, size, &manifest, &error);

	free(copy);
	if (err) {
		assert(error.text[0] && memchr(error.text, '\0', sizeof(error.text)));
		return 0;
	}
	memset(blob.digest, '0', NAME_DIGEST_LEN);
	for (size_t i = 0; i < manifest->items_count; i++)
		check_item(manifest, &manifest->items[i]);
	oci = bundle_oci_make(manifest, &blob);
	statement = bundle_statement_make(manifest, &blob);
	assert(oci && statement);
	free(oci);
	free(statement);
	bundle_manifest_free(manifest);
	return 0;
}
