/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The routes. Open: the CA's certificate and enrolment. For enrolled nodes: a new certificate, what
 * this node is to be, what it reports, the bundle's blobs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/log.h"
#include "../lib/piece.h"
#include "events.h"
#include "renew.h"
#include "serve.h"
#include "serve_enrol.h"
#include "serve_pieces.h"

#define WAIT_MAX    60
#define WHY_MAX	    500
#define READ_SIZE   (256 * 1024)
#define TURN_MS	    300 /* what a node wants by then may be another piece */
#define JSON_TYPE   "application/json"
#define BINARY_TYPE "application/octet-stream"

#define POLLS_IN_DEADLINE 4

/* ---- what a node is to be ---- */

static struct timespec in_seconds(unsigned seconds)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += seconds;
	return at;
}

/* With the lock held. The newer document, malloc'd, or NULL. */
static char *newer(struct request *request, int64_t generation)
{
	return state_text(&request->serve->cluster->state,
			  "SELECT document FROM nodes WHERE name = ? AND generation > ?", "si",
			  request->node, generation);
}

/* With the lock held. */
static struct serve_told *told(struct serve *serve, const char *node)
{
	struct serve_told *slot;

	for (size_t i = 0; i < CONFIG_NODES_MAX; i++)
		if (!strcmp(serve->told[i].node, node))
			return &serve->told[i];
	slot = &serve->told[serve->told_next++ % CONFIG_NODES_MAX];
	snprintf(slot->node, sizeof(slot->node), "%s", node);
	slot->refresh = 0;
	return slot;
}

/* With the lock held: the newest request of a command to know how things are now. */
static int64_t refresh_asked(struct serve *serve)
{
	char *text = state_meta(&serve->cluster->state, "refresh");
	int64_t asked = text ? strtoll(text, NULL, 10) : 0;

	free(text);
	return asked;
}

/* With the lock held: so long that a node is heard of often within "deadline", at most WAIT_MAX. */
static unsigned poll_seconds(struct serve *serve, unsigned long wanted)
{
	unsigned most;

	serve_read_config(serve);
	most = serve->config->deadline / POLLS_IN_DEADLINE;
	if (most > WAIT_MAX)
		most = WAIT_MAX;
	return wanted < most ? (unsigned)wanted : most;
}

/*
 * Long poll. Facts are collected between an answer and the next poll: those in the database are
 * newer than what was asked before that answer. A node that was not answered since a command asked
 * is sent back for them at once.
 */
static enum MHD_Result get_desired(struct request *request)
{
	int64_t generation = strtoll(serve_argument(request, "generation"), NULL, 10), asked;
	unsigned long wait = strtoul(serve_argument(request, "wait"), NULL, 10);
	struct serve *serve = request->serve;
	enum MHD_Result result;
	struct timespec deadline;
	uint64_t poll;
	int64_t begun;
	char *document;
	int late = 0;

	pthread_mutex_lock(&serve->lock);
	if (renew_node_due(serve->cluster, request->node, serve_argument(request, "certificate"))) {
		pthread_mutex_unlock(&serve->lock);
		return serve_reply(request, 205, JSON_TYPE, "");
	}
	deadline = in_seconds(poll_seconds(serve, wait));
	begun = told(serve, request->node)->refresh;
	poll = ++told(serve, request->node)->poll;
	state_run(&serve->cluster->state, NULL,
		  "UPDATE nodes SET followed = ?, polled = ? WHERE name = ?", "iis", generation,
		  begun, request->node);
	for (;;) {
		document = newer(request, generation);
		asked = refresh_asked(serve);
		if (document || late || serve->ending || serve->turning || asked > begun)
			break;
		late = pthread_cond_timedwait(&serve->changed, &serve->lock, &deadline);
	}
	if (told(serve, request->node)->poll == poll)
		told(serve, request->node)->refresh = asked;
	pthread_mutex_unlock(&serve->lock);
	result = document ? serve_reply(request, 200, JSON_TYPE, document)
			  : serve_reply(request, 204, JSON_TYPE, "");
	free(document);
	return result;
}

/* ---- what a node tells ---- */

static enum MHD_Result post_events(struct request *request)
{
	json_t *json = json_loadb(request->body ? request->body : "", request->body_len,
				  JSON_REJECT_DUPLICATES, NULL);
	int err;

	pthread_mutex_lock(&request->serve->lock);
	err = json ? events_take(&request->serve->cluster->state, request->node, json) : -EBADMSG;
	pthread_mutex_unlock(&request->serve->lock);
	json_decref(json);
	if (!err)
		return serve_reply(request, 204, JSON_TYPE, "");
	return err == -EBADMSG ? serve_problem(request, 400, "these are no events")
			       : serve_problem(request, 503, "the database cannot be written");
}

static enum MHD_Result post_facts(struct request *request)
{
	json_t *json = json_loadb(request->body ? request->body : "", request->body_len,
				  JSON_REJECT_DUPLICATES, NULL);
	int err = -EBADMSG;

	pthread_mutex_lock(&request->serve->lock);
	if (json_is_object(json))
		err = state_run(&request->serve->cluster->state, NULL,
				"UPDATE nodes SET facts = ?, facts_at = ? WHERE name = ?", "sis",
				request->body, state_now(), request->node);
	if (!err)
		err = events_reconcile(&request->serve->cluster->state, request->node, json);
	pthread_mutex_unlock(&request->serve->lock);
	json_decref(json);
	if (!err)
		return serve_reply(request, 204, JSON_TYPE, "");
	return err == -EBADMSG ? serve_problem(request, 400, "these are no facts")
			       : serve_problem(request, 503, "the database cannot be written");
}

/* {"document": SHA-256 of it, "why"}: a node does not take what it is to be. */
static enum MHD_Result post_refused(struct request *request)
{
	json_t *json = json_loadb(request->body ? request->body : "", request->body_len,
				  JSON_REJECT_DUPLICATES, NULL);
	const char *document = json_string_value(json_object_get(json, "document"));
	const char *why = json_string_value(json_object_get(json, "why"));
	int err = -EBADMSG;

	if (document && why && name_hex_valid(document, NAME_DIGEST_LEN) &&
	    strlen(why) <= WHY_MAX) {
		pthread_mutex_lock(&request->serve->lock);
		err = state_run(&request->serve->cluster->state, NULL,
				"INSERT INTO agents VALUES (?, '', ?, ?, ?, 0) ON CONFLICT (node)"
				" DO UPDATE SET document = excluded.document, why = excluded.why,"
				" at = excluded.at",
				"sssi", request->node, document, why, state_now());
		pthread_mutex_unlock(&request->serve->lock);
	}
	json_decref(json);
	if (!err)
		return serve_reply(request, 204, JSON_TYPE, "");
	return err == -EBADMSG ? serve_problem(request, 400, "this is no refusal")
			       : serve_problem(request, 503, "the database cannot be written");
}

/* ---- the bundle ---- */

/* With the lock held: the bundle that the last apply named. False: there is none, or it is bad. */
static bool open_bundle(struct serve *serve)
{
	char *path = state_meta(&serve->cluster->state, "bundle");
	struct bundle_trust trust = { .keys = serve->publishers };
	struct bundle_error error;
	const char *paths[1];

	if (!path)
		return false;
	if (serve->bundle && !strcmp(path, serve->bundle_path)) {
		free(path);
		return true;
	}
	bundle_close(serve->bundle);
	free(serve->bundle_path);
	serve->bundle = NULL;
	serve->bundle_path = path;
	paths[0] = path;
	if (bundle_open(paths, 1, &trust, &serve->bundle, &error)) {
		log_error("%s", error.text);
		serve->bundle = NULL;
		free(serve->bundle_path);
		serve->bundle_path = NULL;
		return false;
	}
	return true;
}

static enum MHD_Result get_index(struct request *request)
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
	ssize_t n = -ENOENT;

	pthread_mutex_lock(&blob->serve->lock);
	if (blob->serve->bundle)
		n = bundle_read(blob->serve->bundle, blob->digest, buffer, max,
				blob->offset + position);
	pthread_mutex_unlock(&blob->serve->lock);
	return n > 0 ? n : n ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
}

/* With the lock held. -ENOENT: the bundle has no such blob. */
static int blob_size(struct serve *serve, const char *digest, uint64_t *ret_size)
{
	const struct bundle_manifest *manifest;
	struct bundle_blob blob;

	if (!open_bundle(serve) || !bundle_has(serve->bundle, digest))
		return -ENOENT;
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
						     blob, free);
	if (!response) {
		free(blob);
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

static enum MHD_Result get_blob(struct request *request, const char *digest, bool pieces)
{
	struct blob *blob;
	uint64_t size = 0;
	int err;

	if (!name_hex_valid(digest, NAME_DIGEST_LEN))
		return serve_problem(request, 400, "this is no digest");
	pthread_mutex_lock(&request->serve->lock);
	err = blob_size(request->serve, digest, &size);
	pthread_mutex_unlock(&request->serve->lock);
	if (err)
		return serve_problem(request, 404, "the bundle here has no such blob");
	if (pieces)
		return serve_pieces(request, digest, size);
	blob = calloc(1, sizeof(*blob));
	if (!blob)
		return MHD_NO;
	blob->serve = request->serve;
	strcpy(blob->digest, digest);
	take_range(request, blob, size);
	if (!take_turn(request, blob->end - blob->offset)) {
		free(blob);
		return serve_reply(request, 503, "text/plain", "others are served first");
	}
	return send_blob(request, blob, size);
}

bool serve_is_open(const char *method, const char *path)
{
	return (!strcmp(method, "GET") && !strcmp(path, "/v1/ca")) ||
	       (!strcmp(method, "POST") && !strcmp(path, "/v1/enrol"));
}

enum MHD_Result serve_route(struct request *request, const char *method, const char *path)
{
	bool get = !strcmp(method, "GET"), post = !strcmp(method, "POST");

	if (get && !strcmp(path, "/v1/ca"))
		return serve_ca(request);
	if (post && !strcmp(path, "/v1/enrol"))
		return serve_enrol(request);
	if (get && !strcmp(path, "/v1/desired"))
		return get_desired(request);
	if (post && !strcmp(path, "/v1/events"))
		return post_events(request);
	if (post && !strcmp(path, "/v1/facts"))
		return post_facts(request);
	if (post && !strcmp(path, "/v1/renew"))
		return serve_renew(request);
	if (post && !strcmp(path, "/v1/refused"))
		return post_refused(request);
	if (get && !strcmp(path, "/v1/index"))
		return get_index(request);
	if (get && !strncmp(path, "/v1/blob/", 9))
		return get_blob(request, path + 9, false);
	if (get && !strncmp(path, "/v1/pieces/", 11))
		return get_blob(request, path + 11, true);
	return serve_problem(request, 404, "there is nothing here");
}
