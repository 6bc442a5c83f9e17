/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Becoming a node. The CA's certificate is fetched from whoever answers and must have the hash that
 * the token (or --ca) carries; only then, over a connection that this CA vouches for, is the token
 * shown. The key never leaves this machine. Without a token the operator compares fingerprints.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/pki.h"

#define TOKEN_MAX     320
#define PENDING_PAUSE 3
#define NAME_TEXT_MAX 63

struct enrolment {
	struct node node;
	char name[NAME_TEXT_MAX + 1], ca_hash[NAME_DIGEST_LEN + 1];
	const char *token;
	char *key, *request, *ca;
};

/* "sluice1.NODE.SECRET.CAHASH" */
static int read_token(struct enrolment *enrolment, const struct enrol_options *options)
{
	const char *token = options->token, *dot, *hash;

	if (!token) {
		if (!options->name || !options->ca_hash ||
		    !name_hex_valid(options->ca_hash, NAME_DIGEST_LEN))
			return -EINVAL;
		snprintf(enrolment->name, sizeof(enrolment->name), "%s", options->name);
		strcpy(enrolment->ca_hash, options->ca_hash);
		return 0;
	}
	if (strlen(token) > TOKEN_MAX || strncmp(token, "sluice1.", 8))
		return -EINVAL;
	dot = strchr(token + 8, '.');
	hash = strrchr(token, '.');
	if (!dot || dot == hash || (size_t)(dot - token - 8) > NAME_TEXT_MAX ||
	    !name_hex_valid(hash + 1, NAME_DIGEST_LEN))
		return -EINVAL;
	snprintf(enrolment->name, sizeof(enrolment->name), "%.*s", (int)(dot - token - 8),
		 token + 8);
	strcpy(enrolment->ca_hash, hash + 1);
	enrolment->token = token;
	return 0;
}

/* The same key again after a lost answer: it is known by then. */
static int make_request(struct enrolment *enrolment)
{
	char path[CLUSTER_PATH_MAX];
	int err;

	node_path(&enrolment->node, "keys/node.key", path);
	err = file_read(path, PKI_PEM_MAX, &enrolment->key, NULL);
	if (err == -ENOENT) {
		err = pki_key_make(&enrolment->key);
		if (!err)
			err = file_write(path, enrolment->key, strlen(enrolment->key), 0600);
	}
	return err ? err : pki_request_make(enrolment->key, enrolment->name, &enrolment->request);
}

static int fetch_ca(struct enrolment *enrolment)
{
	struct http http = { .timeout = 20 };
	char url[160], hash[NAME_DIGEST_LEN + 1], path[CLUSTER_PATH_MAX], *why = NULL;
	char *answer = NULL;
	long status;
	int err;

	snprintf(url, sizeof(url), "%s/v1/ca", enrolment->node.server);
	status = http_call(&http, url, NULL, &answer, &why);
	if (status != 200 || !answer) {
		log_error("%s: %s", url, why ? why : "it has no certificate to show");
		free(answer);
		free(why);
		return -ECONNREFUSED;
	}
	/* An impostor may show the true certificate and put its own behind it. */
	err = pki_first(answer, &enrolment->ca);
	free(answer);
	if (!err)
		err = pki_hash(enrolment->ca, hash);
	if (err || strcmp(hash, enrolment->ca_hash) != 0) {
		log_error(
			"%s is not the control machine this token is from: nothing was sent to it",
			enrolment->node.server);
		return -EKEYREJECTED;
	}
	node_path(&enrolment->node, "keys/ca.pem", path);
	return file_write(path, enrolment->ca, strlen(enrolment->ca), 0600);
}

static int save(const struct node *node, const char *name, const char *text)
{
	char path[CLUSTER_PATH_MAX];

	node_path(node, name, path);
	return text ? file_write(path, text, strlen(text), 0600) : -EBADMSG;
}

static int save_answer(struct enrolment *enrolment, const char *body)
{
	json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
	const char *certificate = json_string_value(json_object_get(json, "certificate"));
	const char *control = json_string_value(json_object_get(json, "control"));
	const char *publishers = json_string_value(json_object_get(json, "publishers"));
	const char *cluster = json_string_value(json_object_get(json, "cluster"));
	struct node *node = &enrolment->node;
	int err = certificate && control && publishers && cluster ? 0 : -EBADMSG;

	if (!err)
		err = save(node, "keys/node.pem", certificate);
	if (!err)
		err = save(node, "keys/control.pub", control);
	if (!err)
		err = save(node, "keys/publishers.pub", publishers);
	if (!err)
		err = journal_open(node);
	if (!err)
		err = journal_set(node, "node", enrolment->name);
	if (!err)
		err = journal_set(node, "cluster", cluster);
	/* Whose bundles may be installed is said anew. */
	if (!err)
		err = journal_set(node, "bundle_name", "");
	if (!err)
		err = journal_set(node, "bundle_version", "0");
	/* Last: with it, this machine is enrolled. */
	if (!err)
		err = journal_set(node, "server", node->server);
	json_decref(json);
	return err;
}

/* 0 enrolled, 1 pending, -errno. */
static int ask(struct enrolment *enrolment, bool quiet)
{
	json_t *json = json_pack("{s:s, s:s, s:s*}", "node", enrolment->name, "request",
				 enrolment->request, "token", enrolment->token);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL, *body = NULL, *why = NULL;
	char url[160], ca[CLUSTER_PATH_MAX], fingerprint[NAME_DIGEST_LEN + 1];
	struct http http = { .ca = ca, .timeout = 30 };
	long status = -1;
	int err = -ECONNREFUSED;

	snprintf(url, sizeof(url), "%s/v1/enrol", enrolment->node.server);
	node_path(&enrolment->node, "keys/ca.pem", ca);
	if (text)
		status = http_call(&http, url, text, &body, &why);
	if (status == 200 && body) {
		err = save_answer(enrolment, body);
	} else if (status == 202) {
		err = 1;
		if (!quiet && !pki_request_fingerprint(enrolment->request, fingerprint))
			log_info("waiting for approval: sluice-cluster enrol --approve %s",
				 fingerprint);
	} else {
		log_error("%s: %s", enrolment->node.server, why ? why : body ? body : "no answer");
		err = status == 403 || status == 409 ? -EACCES : err;
	}
	free(text);
	free(body);
	free(why);
	json_decref(json);
	return err;
}

static int wait_until_enrolled(struct enrolment *enrolment, unsigned seconds)
{
	time_t deadline = time(NULL) + (time_t)seconds;
	int err = ask(enrolment, false);

	while (err == 1 && time(NULL) < deadline) {
		sleep(PENDING_PAUSE);
		err = ask(enrolment, true);
	}
	return err == 1 ? -ETIMEDOUT : err;
}

static int prepare(struct enrolment *enrolment)
{
	char path[CLUSTER_PATH_MAX];
	int err = file_make_directories(enrolment->node.directory, 0755);

	node_path(&enrolment->node, "keys", path);
	if (!err)
		err = file_make_directories(path, 0700);
	return err ? err : make_request(enrolment);
}

int cluster_enrol(const struct enrol_options *options)
{
	struct enrolment enrolment = { .node = { .directory = options->directory,
						 .lock = PTHREAD_MUTEX_INITIALIZER,
						 .changed = PTHREAD_COND_INITIALIZER } };
	const char *port = strrchr(options->server, ':'), *bracket = strrchr(options->server, ']');
	int err = read_token(&enrolment, options);

	if (!port || port < bracket || !port[1]) {
		log_error("--server is '%s'; write ADDRESS:PORT, e.g. 10.9.0.1:8443",
			  options->server);
		return -EINVAL;
	}
	if (err) {
		log_error("that is no token; without one, give --name and --ca");
		return err;
	}
	snprintf(enrolment.node.server, sizeof(enrolment.node.server), "https://%s",
		 options->server);
	err = prepare(&enrolment);
	if (err)
		log_error("%s: %s", options->directory, strerror(-err));
	if (!err)
		err = fetch_ca(&enrolment);
	if (!err)
		err = wait_until_enrolled(&enrolment, options->wait);
	if (!err)
		log_info("%s is enrolled; next: sluice-agent cluster run", enrolment.name);
	else if (err == -ETIMEDOUT)
		log_error("not approved yet; run the same command again");
	sqlite3_close(enrolment.node.db);
	free(enrolment.key);
	free(enrolment.request);
	free(enrolment.ca);
	return err;
}
