/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skopeo copies the image into an OCI layout of ours, whatever it was; from there on it is an
 * index.json with one manifest, which names a config and layers.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "../lib/spawn.h"
#include "definition.h"
#include "file.h"
#include "stage.h"

#define COPY_TIME     7200
#define JSON_FILE_MAX (4 * 1024 * 1024)

struct image {
	const struct definition_item *item;
	struct stage *stage;
	struct bundle_error *error;
	char layout[4096];
	uint64_t size;
};

static int copy(struct image *image, const char *architecture)
{
	char to[4200];
	const char *argv[12] = { "skopeo", "copy", "--quiet", "--insecure-policy" };
	struct spawn spawn = { argv, NULL, NULL, -1, COPY_TIME };
	unsigned argc = 4;
	char *why = NULL;
	int err;

	snprintf(to, sizeof(to), "oci:%s:image", image->layout);
	if (architecture) {
		argv[argc++] = "--override-arch";
		argv[argc++] = architecture;
	}
	argv[argc++] = image->item->image;
	argv[argc++] = to;
	err = spawn_run(&spawn, NULL, &why);
	if (err)
		bundle_failed(image->error, err, "item %.80s: %.400s", image->item->name,
			      why ? why : "out of memory");
	free(why);
	return err;
}

static json_t *load(struct image *image, const char *path)
{
	char whole[4200], *text;
	size_t len;
	json_t *json;

	snprintf(whole, sizeof(whole), "%s/%s", image->layout, path);
	if (file_read_regular(whole, JSON_FILE_MAX, &text, &len))
		return NULL;
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	return json;
}

/* Takes the blob a descriptor names. */
static int take(struct image *image, const json_t *descriptor, struct bundle_blob *ret_blob)
{
	const char *digest = json_string_value(json_object_get(descriptor, "digest"));
	char path[4200];
	int err;

	if (!digest || strncmp(digest, "sha256:", 7) != 0 ||
	    !name_hex_valid(digest + 7, NAME_DIGEST_LEN))
		return bundle_failed(image->error, -EBADMSG,
				     "item %s: its image has a blob without a SHA-256",
				     image->item->name);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", image->layout, digest + 7);
	err = stage_file(image->stage, path, true, ret_blob, image->error);
	if (!err && strcmp(ret_blob->digest, digest + 7) != 0)
		err = bundle_blob_failed(image->error, digest + 7, -EBADMSG, "is damaged");
	image->size += ret_blob->size;
	return err;
}

static int take_all(struct image *image, const json_t *manifest, json_t *blobs)
{
	const json_t *layers = json_object_get(manifest, "layers"), *layer;
	struct bundle_blob blob;
	size_t i;
	int err = take(image, json_object_get(manifest, "config"), &blob);

	if (!err && json_array_append_new(blobs, stage_blob_json(&blob)))
		err = bundle_failed(image->error, -ENOMEM, "out of memory");
	json_array_foreach (layers, i, layer) {
		if (err)
			break;
		err = take(image, layer, &blob);
		if (!err && json_array_append_new(blobs, stage_blob_json(&blob)))
			err = bundle_failed(image->error, -ENOMEM, "out of memory");
	}
	return err;
}

int image_add(const char *work, unsigned number, const struct definition_item *item,
	      const char *architecture, struct stage *stage, json_t **ret_image, uint64_t *ret_size,
	      struct bundle_error *error)
{
	struct image image = { .item = item, .stage = stage, .error = error };
	json_t *index = NULL, *manifest = NULL, *blobs = json_array();
	char path[sizeof("blobs/sha256/") + NAME_DIGEST_LEN];
	struct bundle_blob blob;
	int err;

	snprintf(image.layout, sizeof(image.layout), "%s/image-%u", work, number);
	err = copy(&image, item->architecture ? item->architecture : architecture);
	if (err)
		goto out;
	index = load(&image, "index.json");
	err = take(&image, json_array_get(json_object_get(index, "manifests"), 0), &blob);
	if (err)
		goto out;
	snprintf(path, sizeof(path), "blobs/sha256/%s", blob.digest);
	manifest = load(&image, path);
	if (!json_is_object(json_object_get(manifest, "config"))) {
		err = bundle_failed(error, -EBADMSG,
				    "item %s: this is an image for several platforms; name one",
				    item->name);
		goto out;
	}
	err = take_all(&image, manifest, blobs);
	if (err)
		goto out;
	*ret_size = image.size;
	*ret_image = json_pack("{s:s, s:s, s:I, s:O}", "reference", item->reference, "sha256",
			       blob.digest, "size", (json_int_t)blob.size, "blobs", blobs);
	if (!*ret_image)
		err = bundle_failed(error, -ENOMEM, "out of memory");
out:
	json_decref(index);
	json_decref(manifest);
	json_decref(blobs);
	return err;
}
