/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bundle that the last apply named, for nodes: opened when they ask, and only that one,
 * whatever lies at its path by then; closed when nobody asks any more, so that a medium can be
 * taken out, and when it cannot be read, since it may be back by then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/log.h"
#include "../lib/piece.h"
#include "serve.h"
#include "serve_pieces.h"

#define IDLE_MS	    10000
#define READ_SIZE   (256 * 1024)
#define TURN_MS	    300 /* what a node wants by then may be another piece */
#define JSON_TYPE   "application/json"
#define BINARY_TYPE "application/octet-stream"

/* ---- open or not ---- */

void serve_bundle_close(struct serve *serve)
{
	bundle_close(serve->bundle);
	free(serve->bundle_path);
	serve->bundle = NULL;
	serve->bundle_path = NULL;
}

void serve_bundle_idle(struct serve *serve)
{
	if (serve->bundle && !serve->bundle_readers && state_ticks() - serve->bundle_used > IDLE_MS)
		serve_bundle_close(serve);
}

/* manifest NULL: a state that knows of none. */
static bool is_open(const struct serve *serve, const char *path, const char *manifest)
{
	struct bundle_blob blob;

	if (!serve->bundle || strcmp(path, serve->bundle_path) != 0)
		return false;
	bundle_manifest_json(serve->bundle, &blob);
	return !manifest || !strcmp(manifest, blob.digest);
}

static void open_anew(struct serve *serve, const char *path, const char *manifest)
{
	static struct log_limit limit = LOG_LIMIT(10000, 5);
	struct bundle_trust trust = { .keys = serve->publishers };
	struct bundle_error error = { "", "" };
	uint32_t left_out;

	serve_bundle_close(serve);
	serve->bundle_path = strdup(path);
	if (serve->bundle_path && !bundle_open(&path, 1, &trust, &serve->bundle, &error) &&
	    is_open(serve, path, manifest))
		return;
	serve_bundle_close(serve);
	if (log_allowed(&limit, &left_out))
		log_error("%s", *error.text ? error.text
					    : "another bundle lies there than the one that was "
					      "applied last: apply it, or bring that one back");
}

/* With the lock held. False: there is none, or it is bad. */
static bool open_bundle(struct serve *serve)
{
	char *path = state_meta(&serve->cluster->state, "bundle");
	char *manifest = state_meta(&serve->cluster->state, "manifest");

	if (path && !is_open(serve, path, manifest))
		open_anew(serve, path, manifest);
	serve->bundle_used = state_ticks();
	free(path);
	free(manifest);
	return serve->bundle;
}

/* False: what a directory has open is on a medium that was taken out. */
static bool is_there(const struct serve *serve)
{
	struct bundle_blob manifest;

	bundle_manifest_json(serve->bundle, &manifest);
	return bundle_has(serve->bundle, manifest.digest);
}

static void end_reading(struct serve *serve)
{
	pthread_mutex_lock(&serve->lock);
	serve->bundle_readers--;
	serve->bundle_used = state_ticks();
	pthread_mutex_unlock(&serve->lock);
}

ssize_t serve_bundle_read(struct serve *serve, const char *digest, void *buffer, size_t len,
			  uint64_t offset)
{
	ssize_t n = -ENOENT;

	pthread_mutex_lock(&serve->lock);
	if (serve->bundle || open_bundle(serve))
		n = bundle_read(serve->bundle, digest, buffer, len, offset);
	/* One without the blob is another one, which was applied meanwhile: others read it. */
	if (serve->bundle && n < 0 && (n != -ENODATA || !is_there(serve)))
		serve_bundle_close(serve);
	pthread_mutex_unlock(&serve->lock);
	return n;
}

/* ---- requests ---- */

enum MHD_Result serve_index(struct request *request)
{
	const char *text = NULL;
	char *copy = NULL;
	enum MHD_Result result;
	size_t len;

	pthread_mutex_lock(&request->serve->lock);
	if (open_bundle(request->serve))
		text = bundle_index(request->serve->bundle, &len);
	if (text)
		copy = strndup(text, len);
	pthread_mutex_unlock(&request->serve->lock);
	if (!copy)
		return serve_problem(request, 404, "there is no bundle");
	result = serve_reply(request, 200, JSON_TYPE, copy);
	free(copy);
	return result;
}

struct blob {
	struct serve *serve;
	char digest[NAME_DIGEST_LEN + 1];
	uint64_t offset, end; /* what is sent of it */
};

static ssize_t read_blob(void *arg, uint64_t position, char *buffer, size_t max)
{
	struct blob *blob = arg;
	ssize_t n =
		serve_bundle_read(blob->serve, blob->digest, buffer, max, blob->offset + position);

	return n > 0 ? n : n ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
}

static void free_blob(void *arg)
{
	struct blob *blob = arg;

	end_reading(blob->serve);
	free(blob);
}

/* With the lock held. -ENOENT: the bundle has no such blob. */
static int blob_size(struct serve *serve, const char *digest, uint64_t *ret_size)
{
	const struct bundle_manifest *manifest;
	struct bundle_blob blob;

	if (!open_bundle(serve))
		return -ENOENT;
	if (!bundle_has(serve->bundle, digest)) {
		if (!is_there(serve))
			serve_bundle_close(serve);
		return -ENOENT;
	}
	bundle_manifest_json(serve->bundle, &blob);
	if (!strcmp(blob.digest, digest)) {
		*ret_size = blob.size;
		return 0;
	}
	manifest = bundle_manifest(serve->bundle);
	for (size_t i = 0; i < manifest->blobs_count; i++)
		if (!strcmp(manifest->blobs[i].digest, digest)) {
			*ret_size = manifest->blobs[i].size;
			return 0;
		}
	return -ENOENT;
}

static enum MHD_Result send_blob(struct request *request, struct blob *blob, uint64_t size)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	char range[96];

	bool part = blob->offset || blob->end != size;

	snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)blob->offset,
		 (unsigned long long)blob->end - 1, (unsigned long long)size);
	response = MHD_create_response_from_callback(blob->end - blob->offset, READ_SIZE, read_blob,
						     blob, free_blob);
	if (!response) {
		free_blob(blob);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, BINARY_TYPE);
	if (part)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, range);
	result = MHD_queue_response(request->connection, part ? 206 : 200, response);
	MHD_destroy_response(response);
	return result;
}

/* Agents ask for the rest of a blob, or for a piece of it; anything else gets the whole. */
static void take_range(const struct request *request, struct blob *blob, uint64_t size)
{
	const char *range = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
							MHD_HTTP_HEADER_RANGE);
	uint64_t from, last = size - 1;
	char *end;

	blob->offset = 0;
	blob->end = size;
	if (!range || strncmp(range, "bytes=", 6) != 0)
		return;
	from = strtoull(range + 6, &end, 10);
	if (*end == '-' && end[1])
		last = strtoull(end + 1, &end, 10);
	else if (*end == '-')
		end++;
	if (*end || from > last || last >= size)
		return;
	blob->offset = from;
	blob->end = last + 1;
}

/* Nodes that pass a piece on ask for their turn; false: it is not theirs. It lasts as long as one
 * for a piece, whatever range is asked for. */
static bool take_turn(struct request *request, uint64_t bytes)
{
	const struct bundle_manifest *manifest;
	uint32_t most = PIECE_SIZE_LEAST;

	if (!*serve_argument(request, "turn"))
		return true;
	pthread_mutex_lock(&request->serve->lock);
	if (request->serve->bundle) {
		manifest = bundle_manifest(request->serve->bundle);
		most = pieces_size(manifest->blobs, manifest->blobs_count);
	}
	turns_allow(&request->serve->turns, SERVE_AT_ONCE, request->serve->config->nodes_count);
	pthread_mutex_unlock(&request->serve->lock);
	request->has_turn = turns_take(&request->serve->turns, &request->turn, request->node,
				       bytes < most ? (uint32_t)bytes : most, TURN_MS);
	return request->has_turn;
}

enum MHD_Result serve_blob(struct request *request, const char *digest, bool pieces)
{
	enum MHD_Result result;
	struct blob *blob;
	uint64_t size = 0;
	int err;

	if (!name_hex_valid(digest, NAME_DIGEST_LEN))
		return serve_problem(request, 400, "this is no digest");
	pthread_mutex_lock(&request->serve->lock);
	err = blob_size(request->serve, digest, &size);
	if (!err)
		request->serve->bundle_readers++;
	pthread_mutex_unlock(&request->serve->lock);
	if (err)
		return serve_problem(request, 404, "the bundle here has no such blob");
	blob = pieces ? NULL : calloc(1, sizeof(*blob));
	if (!blob) {
		result = pieces ? serve_pieces(request, digest, size) : MHD_NO;
		end_reading(request->serve);
		return result;
	}
	blob->serve = request->serve;
	strcpy(blob->digest, digest);
	take_range(request, blob, size);
	if (!take_turn(request, blob->end - blob->offset)) {
		free_blob(blob);
		return serve_reply(request, 503, "text/plain", "others are served first");
	}
	return send_blob(request, blob, size);
}
