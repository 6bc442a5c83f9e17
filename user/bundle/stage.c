/* SPDX-License-Identifier: BSD-2-Clause */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "../lib/digest.h"
#include "../lib/signed.h"
#include "file.h"

#define BLOB_DIR "blobs/sha256/"
#define BLOB_LEN (sizeof(BLOB_DIR) + NAME_DIGEST_LEN)

int stage_open(const char *work, struct stage *ret_stage, struct bundle_error *error)
{
	struct stage stage = { .dir = -1 };
	int err = 0;

	if (asprintf(&stage.path, "%s/layout/", work) < 0)
		return bundle_failed(error, -ENOMEM, "out of memory");
	stage.blobs = json_array();
	stage.seen = json_object();
	if (!stage.blobs || !stage.seen)
		err = -ENOMEM;
	if (!err)
		err = file_make_parents(AT_FDCWD, stage.path);
	if (!err && (stage.dir = open(stage.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		err = -errno;
	if (!err)
		err = file_make_parents(stage.dir, BLOB_DIR);
	if (err) {
		bundle_failed(error, err, "%s: %s", stage.path, strerror(-err));
		stage_close(&stage);
		return err;
	}
	*ret_stage = stage;
	return 0;
}

void stage_close(struct stage *stage)
{
	if (stage->dir >= 0)
		close(stage->dir);
	json_decref(stage->blobs);
	json_decref(stage->seen);
	free(stage->path);
}

json_t *stage_blob_json(const struct bundle_blob *blob)
{
	return json_pack("{s:s, s:I}", "sha256", blob->digest, "size", (json_int_t)blob->size);
}

static int list_blob(struct stage *stage, const struct bundle_blob *blob,
		     struct bundle_error *error)
{
	if (json_object_get(stage->seen, blob->digest))
		return 0;
	if (json_object_set_new(stage->seen, blob->digest, json_true()) ||
	    json_array_append_new(stage->blobs, stage_blob_json(blob)))
		return bundle_failed(error, -ENOMEM, "out of memory");
	return 0;
}

int stage_file(struct stage *stage, const char *path, bool list, struct bundle_blob *ret_blob,
	       struct bundle_error *error)
{
	char to[BLOB_LEN] = BLOB_DIR;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return bundle_failed(error, -errno, "%s: %s", path, strerror(errno));
	err = digest_file(fd, ret_blob->digest, &ret_blob->size);
	close(fd);
	if (!err && ret_blob->size > BUNDLE_BLOB_MAX)
		err = -EFBIG;
	if (!err) {
		strcat(to, ret_blob->digest);
		err = file_link(AT_FDCWD, path, stage->dir, to);
	}
	if (err)
		return bundle_failed(error, err, "%s: %s", path, strerror(-err));
	return list ? list_blob(stage, ret_blob, error) : 0;
}

/* The same for a text. */
static int stage_text(struct stage *stage, const char *text, size_t len, bool list,
		      struct bundle_blob *ret_blob, struct bundle_error *error)
{
	char to[BLOB_LEN] = BLOB_DIR;
	uint8_t digest[DIGEST_SIZE];
	int err = digest_bytes(text, len, digest);

	if (!err) {
		name_hex(digest, sizeof(digest), ret_blob->digest);
		ret_blob->size = len;
		strcat(to, ret_blob->digest);
		err = file_write_at(stage->dir, to, text, len, 0644);
	}
	if (err)
		return bundle_failed(error, err, "%s: %s", stage->path, strerror(-err));
	return list ? list_blob(stage, ret_blob, error) : 0;
}

/* A document of each key, a line each. */
static char *sign(const char *statement, char *const *keys, size_t count,
		  struct bundle_error *error)
{
	char *all = NULL, *document, *more;

	for (size_t i = 0; i < count; i++) {
		int err = signed_make(keys[i], statement, strlen(statement), &document);

		if (err) {
			bundle_failed(error, err, "key %zu: %s", i + 1,
				      err == -EINVAL
					      ? "it is no Ed25519 private key without passphrase"
					      : strerror(-err));
			free(all);
			return NULL;
		}
		if (asprintf(&more, "%s%s%s", all ? all : "", all ? "\n" : "", document) < 0)
			more = NULL;
		free(all);
		free(document);
		all = more;
		if (!all) {
			bundle_failed(error, -ENOMEM, "out of memory");
			return NULL;
		}
	}
	return all;
}

/* What follows from the manifest, made by the functions the reader compares with. */
static int derive(struct stage *stage, const char *json, size_t len, char *const *keys,
		  size_t keys_count, struct bundle_error *error)
{
	struct bundle_manifest *manifest = NULL;
	struct bundle_blob manifest_blob, oci_blob;
	char *statement = NULL, *signatures = NULL, *oci = NULL, *index = NULL;
	int err = bundle_manifest_parse(json, len, &manifest, error);

	if (err)
		return err;
	err = stage_text(stage, json, len, false, &manifest_blob, error);
	if (err)
		goto out;
	err = -ENOMEM;
	bundle_failed(error, err, "out of memory");
	oci = bundle_oci_make(manifest, &manifest_blob);
	statement = bundle_statement_make(manifest, &manifest_blob);
	if (!oci || !statement)
		goto out;
	err = stage_text(stage, oci, strlen(oci), false, &oci_blob, error);
	if (err)
		goto out;
	err = -EINVAL;
	signatures = sign(statement, keys, keys_count, error);
	if (!signatures)
		goto out;
	index = bundle_index_make(manifest, &oci_blob, signatures);
	err = index ? file_write_at(stage->dir, "oci-layout", BUNDLE_LAYOUT, strlen(BUNDLE_LAYOUT),
				    0644)
		    : -ENOMEM;
	if (!err)
		err = file_write_at(stage->dir, "index.json", index, strlen(index), 0644);
	if (err)
		bundle_failed(error, err, "%s: %s", stage->path, strerror(-err));
out:
	bundle_manifest_free(manifest);
	free(statement);
	free(signatures);
	free(oci);
	free(index);
	return err;
}

int stage_finish(struct stage *stage, json_t *manifest, char *const *keys, size_t keys_count,
		 struct bundle_error *error)
{
	char *json;
	int err;

	if (json_object_set(manifest, "blobs", stage->blobs))
		return bundle_failed(error, -ENOMEM, "out of memory");
	json = json_dumps(manifest, JSON_COMPACT);
	if (!json)
		return bundle_failed(error, -EINVAL, "a text in the definition is no UTF-8");
	err = derive(stage, json, strlen(json), keys, keys_count, error);
	free(json);
	return err;
}
