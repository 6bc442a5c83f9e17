/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The routes. Open: the CA's certificate and enrolment. For enrolled nodes: a new certificate, what
 * this node is to be, what it reports, the bundle's blobs (serve_bundle.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "events.h"
#include "renew.h"
#include "serve.h"
#include "serve_enrol.h"

#define WAIT_MAX  60
#define WHY_MAX	  500
#define JSON_TYPE "application/json"

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
	/* A node whose network has changed: is it still one here? */
	if (get && !strcmp(path, "/v1/here"))
		return serve_reply(request, 204, JSON_TYPE, "");
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
		return serve_index(request);
	if (get && !strncmp(path, "/v1/blob/", 9))
		return serve_blob(request, path + 9, false);
	if (get && !strncmp(path, "/v1/pieces/", 11))
		return serve_blob(request, path + 11, true);
	return serve_problem(request, 404, "there is nothing here");
}
