/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens bundles and reads their blobs. From the outside inwards: the container's entries, the
 * signatures in index.json, the statement that one of them covers, the manifest it names, and then
 * back: what the manifest implies (OCI manifest, index, the entries and their order) is made again
 * and compared, so that nothing unsigned has a say.
 */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle_impl.h"
#include "digest.h"
#include "signed.h"

#define SIGNATURES "org.sluice.bundle.signatures"

const struct bundle_manifest *bundle_manifest(const struct bundle *bundle)
{
	return bundle->manifest;
}

const char *bundle_manifest_json(const struct bundle *bundle, struct bundle_blob *ret_blob)
{
	*ret_blob = bundle->manifest_blob;
	return bundle->json;
}

const char *bundle_index(const struct bundle *bundle, size_t *ret_len)
{
	*ret_len = bundle->index_len;
	return bundle->index;
}

void bundle_oci_blob(const struct bundle *bundle, struct bundle_blob *ret_blob)
{
	*ret_blob = bundle->oci_blob;
}

/* ---- signature, manifest, and back --------------------------------------------------------- */

static int read_index(struct bundle *bundle, struct bundle_error *error)
{
	struct bundle_place *place = &bundle->places[0];
	struct bundle_at at = { .place = place, .fd = -1, .offset = place->index_offset };
	struct stat status;
	int err;

	at.size = place->index_size;
	if (place->dir >= 0) {
		at.fd = openat(place->dir, "index.json",
			       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (at.fd < 0)
			return bundle_failed(error, errno == ENOENT ? -ENOENT : -errno,
					     "%s holds no bundle: index.json: %s", place->name,
					     strerror(errno));
		at.size = !fstat(at.fd, &status) && S_ISREG(status.st_mode)
				  ? (uint64_t)status.st_size
				  : UINT64_MAX;
	}
	err = at.size > BUNDLE_INDEX_MAX ? -EBADMSG : bundle_at_text(&at, at.size, &bundle->index);
	bundle->index_len = (size_t)at.size;
	bundle_at_done(&at);
	return err ? bundle_failed(error, err, "%s: index.json cannot be read: %s", place->name,
				   err == -EBADMSG ? "its size is wrong" : strerror(-err))
		   : 0;
}

/* The statement's text in *ret_payload, when one of the lines is a document we accept. */
static int open_statement(const char *signatures, const struct bundle_trust *trust,
			  char **ret_payload, struct bundle_error *error)
{
	int err = -EKEYREJECTED, worst = 0;
	size_t len;

	for (const char *line = signatures; *line; line += len + !!line[len]) {
		size_t payload_len;

		len = strcspn(line, "\n");
		if (!trust || !trust->keys)
			err = signed_peek(line, len, ret_payload, &payload_len);
		else
			err = signed_open(trust->keys, line, len, ret_payload, &payload_len);
		if (!err && strlen(*ret_payload) == payload_len)
			return 0;
		if (!err) {
			free(*ret_payload);
			err = -EBADMSG;
		}
		if (err == -EINVAL || err == -ENOMEM)
			worst = err;
	}
	if (worst == -EINVAL)
		return bundle_failed(error, worst, "the trusted keys hold no Ed25519 public key");
	return bundle_failed(error, worst ? worst : err,
			     err == -EKEYREJECTED
				     ? "none of the trusted keys signed it"
				     : "its signature is not written as signatures are");
}

/* The statement names the manifest; everything else in it has to agree with that later. */
static int read_statement(const char *payload, struct bundle_blob *ret_blob,
			  struct bundle_error *error)
{
	json_t *json = json_loads(payload, JSON_REJECT_DUPLICATES, NULL);
	struct bundle_reader reader = { .error = error, .where = "signature" };
	const char *type = json_string_value(json_object_get(json, "type"));

	if (bundle_reader_keys(&reader, json, "type format name version sha256 size")) {
		if (!type || strcmp(type, "sluice-bundle") != 0)
			bundle_reader_fail(&reader, "it signs something else than a bundle");
		bundle_reader_number(&reader, json, "format", BUNDLE_FORMAT, BUNDLE_FORMAT, true);
		bundle_reader_blob(&reader, json, ret_blob);
		if (ret_blob->size > BUNDLE_MANIFEST_MAX)
			bundle_reader_fail(&reader, "the manifest is larger than 16 MiB");
	}
	json_decref(json);
	return reader.err;
}

static int read_manifest(struct bundle *bundle, struct bundle_error *error)
{
	struct bundle_blob *blob = &bundle->manifest_blob;
	uint8_t digest[DIGEST_SIZE];
	struct bundle_at at;
	char hex[NAME_DIGEST_LEN + 1];
	int err = bundle_at_find(bundle, blob->digest, &at);

	if (err)
		return bundle_blob_failed(error, blob->digest, -EBADMSG,
					  "the manifest itself is missing");
	err = at.size == blob->size ? bundle_at_text(&at, at.size, &bundle->json) : -EBADMSG;
	bundle_at_done(&at);
	if (!err)
		err = digest_bytes(bundle->json, (size_t)blob->size, digest);
	if (!err) {
		name_hex(digest, sizeof(digest), hex);
		err = strcmp(hex, blob->digest) ? -EBADMSG : 0;
	}
	if (err == -EBADMSG)
		return bundle_blob_failed(error, blob->digest, err,
					  "the manifest is damaged: not what was signed");
	if (err)
		return bundle_blob_failed(error, blob->digest, err, strerror(-err));
	return bundle_manifest_parse(bundle->json, (size_t)blob->size, &bundle->manifest, error);
}

/* The entries are those of the manifest, in its order, though some may be missing. */
static int check_entries(const struct bundle *bundle, struct bundle_error *error)
{
	const struct bundle_place *place = &bundle->places[0];
	const struct bundle_manifest *manifest = bundle->manifest;
	size_t at = 0;

	if (place->dir >= 0)
		return 0;
	for (size_t i = 0; i < place->entries_count; i++) {
		const struct bundle_entry *entry = &place->entries[i];
		const struct bundle_blob *blob;

		do {
			blob = at == 0				? &bundle->manifest_blob
			       : at == 1			? &bundle->oci_blob
			       : at < manifest->blobs_count + 2 ? &manifest->blobs[at - 2]
								: NULL;
			at++;
		} while (blob && i >= 2 && strcmp(blob->digest, entry->digest) != 0);
		if (!blob || strcmp(blob->digest, entry->digest) != 0)
			return bundle_blob_failed(error, entry->digest, -EBADMSG,
						  "is not in the manifest, or not in this place");
		if (blob->size != entry->size)
			return bundle_blob_failed(error, entry->digest, -EBADMSG,
						  "has another size than the manifest says");
	}
	return 0;
}

static int check_derived(struct bundle *bundle, const char *signatures, const char *payload,
			 struct bundle_error *error)
{
	char *oci = bundle_oci_make(bundle->manifest, &bundle->manifest_blob);
	char *statement = bundle_statement_make(bundle->manifest, &bundle->manifest_blob);
	uint8_t digest[DIGEST_SIZE];
	char *index = NULL;
	int err = -ENOMEM;

	if (!oci || !statement || digest_bytes(oci, strlen(oci), digest))
		goto out;
	name_hex(digest, sizeof(digest), bundle->oci_blob.digest);
	bundle->oci_blob.size = strlen(oci);
	index = bundle_index_make(bundle->manifest, &bundle->oci_blob, signatures);
	if (!index)
		goto out;
	err = -EBADMSG;
	if (strcmp(statement, payload) != 0)
		bundle_failed(error, err, "signature and manifest speak of different bundles");
	else if (strlen(index) != bundle->index_len ||
		 memcmp(index, bundle->index, bundle->index_len) != 0)
		bundle_failed(error, err, "index.json is not what follows from the manifest");
	else
		err = check_entries(bundle, error);
out:
	if (err == -ENOMEM)
		bundle_failed(error, err, "out of memory");
	free(oci);
	free(statement);
	free(index);
	return err;
}

static int check_trust(const struct bundle *bundle, const struct bundle_trust *trust,
		       struct bundle_error *error)
{
	const struct bundle_manifest *manifest = bundle->manifest;

	if (trust && trust->name && strcmp(trust->name, manifest->name) != 0)
		return bundle_failed(error, -ESTALE, "it is the bundle %s, not %s", manifest->name,
				     trust->name);
	if (trust && manifest->version < trust->least)
		return bundle_failed(error, -ESTALE, "%s is version %llu, older than %llu",
				     manifest->name, (unsigned long long)manifest->version,
				     (unsigned long long)trust->least);
	return 0;
}

static int read_all(struct bundle *bundle, const struct bundle_trust *trust,
		    struct bundle_error *error)
{
	char *payload = NULL;
	const char *signatures;
	json_t *json;
	int err = read_index(bundle, error);

	if (err)
		return err;
	json = json_loadb(bundle->index, bundle->index_len, JSON_REJECT_DUPLICATES, NULL);
	signatures = json_string_value(
		json_object_get(json_object_get(json, "annotations"), SIGNATURES));
	if (!json)
		err = bundle_failed(error, -EBADMSG, "index.json is damaged: no JSON");
	else if (!signatures || !*signatures)
		err = bundle_failed(error, -EKEYREJECTED, "it is not signed");
	if (!err)
		err = open_statement(signatures, trust, &payload, error);
	if (!err)
		err = read_statement(payload, &bundle->manifest_blob, error);
	if (!err)
		err = read_manifest(bundle, error);
	if (!err)
		err = check_derived(bundle, signatures, payload, error);
	if (!err)
		err = check_trust(bundle, trust, error);
	free(payload);
	json_decref(json);
	return err;
}

int bundle_open_places(struct bundle_place *places, size_t count, const struct bundle_trust *trust,
		       struct bundle **ret_bundle, struct bundle_error *error)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));
	char why[sizeof(error->text)];
	int err;

	if (!bundle || count > BUNDLE_PLACES_MAX || !count) {
		for (size_t i = 0; i < count; i++)
			bundle_place_close(&places[i]);
		free(bundle);
		return bundle ? bundle_failed(error, -E2BIG, "at most %d bundles",
					      BUNDLE_PLACES_MAX)
			      : bundle_failed(error, -ENOMEM, "out of memory");
	}
	memcpy(bundle->places, places, count * sizeof(*places));
	bundle->places_count = count;
	err = read_all(bundle, trust, error);
	if (!err) {
		*ret_bundle = bundle;
		return 0;
	}
	if (!strstr(error->text, bundle->places[0].name)) {
		memcpy(why, error->text, sizeof(why));
		snprintf(error->text, sizeof(error->text), "%.150s: %.340s", bundle->places[0].name,
			 why);
	}
	bundle_close(bundle);
	return err;
}

int bundle_open(const char *const *paths, size_t count, const struct bundle_trust *trust,
		struct bundle **ret_bundle, struct bundle_error *error)
{
	struct bundle_place places[BUNDLE_PLACES_MAX];
	size_t opened = 0;
	int err = count && count <= BUNDLE_PLACES_MAX
			  ? 0
			  : bundle_failed(error, -E2BIG, "1 to %d bundles", BUNDLE_PLACES_MAX);

	while (!err && opened < count) {
		err = bundle_place_open(paths[opened], &places[opened], error);
		opened += !err;
	}
	if (!err)
		return bundle_open_places(places, count, trust, ret_bundle, error);
	while (opened)
		bundle_place_close(&places[--opened]);
	return err;
}

void bundle_close(struct bundle *bundle)
{
	if (!bundle)
		return;
	for (size_t i = 0; i < bundle->places_count; i++)
		bundle_place_close(&bundle->places[i]);
	bundle_manifest_free(bundle->manifest);
	free(bundle->json);
	free(bundle->index);
	free(bundle);
}
