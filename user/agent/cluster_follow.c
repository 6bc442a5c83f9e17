/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What passes between a node and its control machine: one thread polls for the document that says
 * what this machine is to be, checks it and writes it into the journal; another tells what the
 * journal's events say. What cannot be heard or told now is tried again.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/digest.h"
#include "../lib/fault.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/pki.h"
#include "../lib/signed.h"
#include "swarm.h"

#define CLOCK_SLACK  300
#define PAUSE_FIRST  500 /* ms; doubled with each failure */
#define PAUSE_MOST   15000
#define REPORT_MS    300
#define REFUSED_WAIT 10000

/* For the thread that signals are for. */
static void idle(unsigned milliseconds)
{
	for (unsigned passed = 0; passed < milliseconds && !cluster_signalled; passed += 100)
		usleep(100000);
}

static int post(struct node *node, const struct http *http, const char *path, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL, *body = NULL, *why = NULL;
	char url[160];
	long status = -1;

	snprintf(url, sizeof(url), "%s%s", node->server, path);
	if (text)
		status = http_call(http, url, text, &body, &why);
	if (status != 204 && !cluster_signalled)
		log_warn("%s%s: %s", node->server, path, why ? why : body ? body : "refused");
	free(text);
	free(body);
	free(why);
	json_decref(json);
	return status == 204 ? 0 : status == 400 ? -EBADMSG : -ECONNREFUSED;
}

/* ---- what this machine is to be ---- */

/* A generation once seen is never undercut: a replayed document with a right signature is refused.
 */
static const char *refuse(struct node *node, const json_t *document, char *clock, size_t size)
{
	time_t now = time(NULL);
	struct tm utc;

	if (strcmp(json_string_value(json_object_get(document, "node")), node->name) != 0)
		return "it is for another node";
	if (strcmp(json_string_value(json_object_get(document, "cluster")), node->cluster) != 0)
		return "it is for another cluster";
	if (json_integer_value(json_object_get(document, "generation")) <
	    journal_number(node, "generation"))
		return "it is older than one seen before";
	if (json_integer_value(json_object_get(document, "expires")) + CLOCK_SLACK >= now)
		return NULL;
	strftime(clock, size,
		 "it has expired, or this machine's clock is wrong: it says %Y-%m-%d %H:%M UTC",
		 gmtime_r(&now, &utc));
	return clock;
}

static int hash(const char *text, char ret_hex[NAME_DIGEST_LEN + 1])
{
	uint8_t digest[DIGEST_SIZE];
	int err = digest_bytes(text, strlen(text), digest);

	if (!err)
		name_hex(digest, sizeof(digest), ret_hex);
	return err;
}

/* Who ordered it hears it, and does not wait for what will not come. */
static void tell_refusal(struct node *node, const struct http *http, const char *digest,
			 const char *why)
{
	post(node, http, "/v1/refused", json_pack("{s:s, s:s}", "document", digest, "why", why));
}

static int follow(struct node *node, const struct http *http, const char *text)
{
	char digest[NAME_DIGEST_LEN + 1] = "", clock[100], *payload = NULL;
	json_t *document = NULL;
	const char *why = "it is damaged, or this agent is too old for it";
	size_t len;
	int err = signed_open(node->control, text, strlen(text), &payload, &len);
	int64_t generation = 0;

	if (err == -EKEYREJECTED)
		why = "the control machine's key did not sign it";
	else if (!err)
		document = desired_parse(payload, len);
	if (document)
		why = refuse(node, document, clock, sizeof(clock));
	hash(text, digest);
	if (!why) {
		generation = json_integer_value(json_object_get(document, "generation"));
		fault_point("follow");
		err = journal_follow(node, payload, digest, generation);
		fault_point("followed");
		if (err)
			why = "the journal cannot be written: is the disk full?";
	}
	if (why) {
		log_error("the document is refused: %s", why);
		tell_refusal(node, http, digest, why);
		err = -EACCES;
	} else {
		swarm_admit(node->swarm, document);
		log_info("generation %lld", (long long)generation);
	}
	json_decref(document);
	free(payload);
	return err;
}

/* Which certificate is in use; "": it cannot be read. */
static const char *certificate_hash(const struct http *http, char ret_hex[NAME_DIGEST_LEN + 1])
{
	char *text = NULL;

	if (file_read(http->certificate, CLUSTER_PEM_MAX, &text, NULL) || pki_hash(text, ret_hex))
		*ret_hex = '\0';
	free(text);
	return ret_hex;
}

static int poll_once(struct node *node, const struct http *http)
{
	struct http patient = *http;
	char url[288], hash[NAME_DIGEST_LEN + 1], *body = NULL, *why = NULL;
	unsigned wait = swarm_poll_seconds(node->swarm, node->wait);
	int64_t begun = swarm_clock();
	long status;
	int err = 0;

	patient.timeout = wait + 30;
	snprintf(url, sizeof(url), "%s/v1/desired?generation=%lld&wait=%u&certificate=%.16s",
		 node->server, (long long)journal_number(node, "generation"), wait,
		 certificate_hash(http, hash));
	status = http_call(&patient, url, NULL, &body, &why);
	if (status == 200 && body) {
		err = follow(node, http, body);
		/* What was refused would come again at once. */
		if (err)
			idle(REFUSED_WAIT);
	} else if (status == 205) {
		err = node_renew(node, http);
	} else if (status != 204 && !cluster_signalled) {
		log_warn("%s: %s", node->server, why ? why : body ? body : "no answer");
		err = -ECONNREFUSED;
	}
	if ((status == 200 || status == 204) && !err)
		swarm_heard(node->swarm, begun);
	free(body);
	free(why);
	return err;
}

void node_follow(struct node *node)
{
	char paths[3][CLUSTER_PATH_MAX];
	int64_t stamp = -1, now;
	unsigned failures = 0, pause;
	struct http http;
	int err;

	node_http(node, &http, paths);
	while (!cluster_signalled) {
		now = facts_stamp(node);
		err = 0;
		if (now != stamp)
			err = post(node, &http, "/v1/facts", facts_collect(node));
		if (!err) {
			stamp = now;
			err = poll_once(node, &http);
		}
		failures = err == -ECONNREFUSED ? failures + 1 : 0;
		if (!failures || cluster_signalled)
			continue;
		stamp = -1;
		pause = PAUSE_FIRST << (failures < 6 ? failures : 6);
		/* A hundred nodes that lost their server must not come back in one moment. */
		pause = pause < PAUSE_MOST ? pause : PAUSE_MOST;
		idle(pause / 2 + (unsigned)rand() % (pause / 2));
	}
}

/* ---- what it tells ---- */

/* A journal that cannot be written tells nothing by itself. */
static void tell_trouble(struct node *node, const struct http *http)
{
	char *digest, why[CLUSTER_WHY_MAX];
	int err;

	pthread_mutex_lock(&node->lock);
	err = node->trouble;
	pthread_mutex_unlock(&node->lock);
	digest = err ? journal_get(node, "digest") : NULL;
	snprintf(why, sizeof(why), "its journal in %s cannot be written: %s", node->directory,
		 strerror(-err));
	if (digest)
		tell_refusal(node, http, digest, why);
	free(digest);
}

void *report_thread(void *arg)
{
	char paths[3][CLUSTER_PATH_MAX];
	struct node *node = arg;
	unsigned pause = REPORT_MS;
	struct http http;
	int64_t last;
	json_t *json;
	int err;

	node_http(node, &http, paths);
	do {
		json = journal_events(node, &last);
		err = json ? post(node, &http, "/v1/events", json) : 0;
		fault_point("told");
		tell_trouble(node, &http);
		/* What is refused for good would be refused again. */
		if (json && (!err || err == -EBADMSG))
			journal_told(node, last);
		pause = err ? PAUSE_MOST / 5 : REPORT_MS;
	} while (node_wait(node, pause) || (json && !err));
	return NULL;
}
