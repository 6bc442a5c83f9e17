/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows from a manifest alone: the statement that is signed, the OCI artifact manifest that
 * lets registries' tools carry the bundle, and index.json. Writer and reader both make them here,
 * so equal manifests are equal bytes. OCI image-spec v1.1, manifest.md and image-index.md.
 */
#include <stdlib.h>
#include <string.h>

#include "bundle_impl.h"

#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_INDEX    "application/vnd.oci.image.index.v1+json"
#define TYPE_BUNDLE   "application/vnd.sluice.bundle.v1"
#define TYPE_CONFIG   "application/vnd.sluice.bundle.manifest.v1+json"
#define TYPE_BLOB     "application/octet-stream"
#define REF_NAME      "org.opencontainers.image.ref.name"
#define SIGNATURES    "org.sluice.bundle.signatures"

/* Steals json; insertion order, which jansson keeps. */
static char *dump(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

char *bundle_statement_make(const struct bundle_manifest *manifest,
			    const struct bundle_blob *manifest_blob)
{
	return dump(json_pack("{s:s, s:i, s:s, s:I, s:s, s:I}", "type", "sluice-bundle", "format",
			      BUNDLE_FORMAT, "name", manifest->name, "version",
			      (json_int_t)manifest->version, "sha256", manifest_blob->digest,
			      "size", (json_int_t)manifest_blob->size));
}

static json_t *descriptor(const char *type, const struct bundle_blob *blob)
{
	char digest[sizeof("sha256:") + NAME_DIGEST_LEN] = "sha256:";

	strcat(digest, blob->digest);
	return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
			 (json_int_t)blob->size);
}

char *bundle_oci_make(const struct bundle_manifest *manifest,
		      const struct bundle_blob *manifest_blob)
{
	json_t *layers = json_array();

	for (size_t i = 0; layers && i < manifest->blobs_count; i++) {
		if (json_array_append_new(layers, descriptor(TYPE_BLOB, &manifest->blobs[i]))) {
			json_decref(layers);
			return NULL;
		}
	}
	return dump(json_pack("{s:i, s:s, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType",
			      TYPE_MANIFEST, "artifactType", TYPE_BUNDLE, "config",
			      descriptor(TYPE_CONFIG, manifest_blob), "layers", layers));
}

/* Appends a descriptor under a reference by which tools find it. */
static int refer(json_t *list, const struct bundle_blob *blob, const char *reference)
{
	json_t *entry = descriptor(TYPE_MANIFEST, blob);

	if (!entry ||
	    json_object_set_new(entry, "annotations", json_pack("{s:s}", REF_NAME, reference))) {
		json_decref(entry);
		return -1;
	}
	return json_array_append_new(list, entry);
}

char *bundle_index_make(const struct bundle_manifest *manifest, const struct bundle_blob *oci,
			const char *signatures)
{
	json_t *list = json_array();
	int failed = !list || refer(list, oci, "bundle");

	for (size_t i = 0; !failed && i < manifest->items_count; i++)
		if (manifest->items[i].type == BUNDLE_IMAGE)
			failed = refer(list, &manifest->items[i].image,
				       manifest->items[i].reference);
	if (failed) {
		json_decref(list);
		return NULL;
	}
	return dump(json_pack("{s:i, s:s, s:o, s:{s:s}}", "schemaVersion", 2, "mediaType",
			      TYPE_INDEX, "manifests", list, "annotations", SIGNATURES,
			      signatures));
}

char *bundle_image_index_make(const struct bundle_item *item)
{
	json_t *list = json_array();

	if (!list || refer(list, &item->image, item->reference)) {
		json_decref(list);
		return NULL;
	}
	return dump(json_pack("{s:i, s:s, s:o}", "schemaVersion", 2, "mediaType", TYPE_INDEX,
			      "manifests", list));
}
