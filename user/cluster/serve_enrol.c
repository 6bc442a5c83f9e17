/* SPDX-License-Identifier: BSD-2-Clause */
#include "serve_enrol.h"

#include <stdio.h>
#include <stdlib.h>

#include "../lib/log.h"
#include "enrolment.h"
#include "renew.h"

#define ENROL_WINDOW 10 /* seconds */
#define ENROL_MAX    20 /* requests to be enrolled in that time, from one address */
#define JSON_TYPE    "application/json"

enum MHD_Result serve_ca(struct request *request)
{
	return serve_reply(request, 200, "application/x-pem-file", request->serve->ca);
}

static enum MHD_Result answer_enrolled(struct request *request, const char *certificate)
{
	struct serve *serve = request->serve;
	enum MHD_Result result;
	json_t *json;
	char *text;

	pthread_mutex_lock(&serve->lock);
	json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "certificate", certificate, "ca", serve->ca,
			 "control", serve->control_pub, "publishers", serve->publishers, "cluster",
			 serve->config->cluster);
	pthread_mutex_unlock(&serve->lock);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	result = text ? serve_reply(request, 200, JSON_TYPE, text) : MHD_NO;
	free(text);
	json_decref(json);
	return result;
}

/*
 * Reading a request for a certificate costs a signature, and whoever reaches this machine may send
 * one. Addresses that share a place share its budget: a matter of luck, not of right.
 */
static bool enrolment_allowed(struct serve *serve, const char *address)
{
	int64_t window = state_now() / 1000 / ENROL_WINDOW;
	uint32_t hash = 2166136261u;

	for (; *address; address++)
		hash = (hash ^ (unsigned char)*address) * 16777619u;
	hash %= SERVE_ASKED;
	if (serve->asked[hash].window != window) {
		serve->asked[hash].window = window;
		serve->asked[hash].count = 0;
	}
	return serve->asked[hash].count++ < ENROL_MAX;
}

enum MHD_Result serve_enrol(struct request *request)
{
	json_t *json = json_loadb(request->body ? request->body : "", request->body_len,
				  JSON_REJECT_DUPLICATES, NULL);
	const char *node = json_string_value(json_object_get(json, "node"));
	const char *text = json_string_value(json_object_get(json, "request"));
	const char *token = json_string_value(json_object_get(json, "token"));
	char fingerprint[NAME_DIGEST_LEN + 1] = "", *certificate = NULL, reply[160];
	const char *why = "no such node is in the cluster file";
	enum MHD_Result result;
	unsigned status = 403;

	if (!node || !text || !config_name_valid(node)) {
		json_decref(json);
		return serve_problem(request, 400, "this is no request to be enrolled");
	}
	pthread_mutex_lock(&request->serve->lock);
	if (!enrolment_allowed(request->serve, request->address)) {
		why = "too many requests to be enrolled from this address: wait ten seconds";
		status = 503;
	} else {
		serve_read_config(request->serve);
		if (config_node(request->serve->config, node))
			status = enrolment_ask(request->serve->cluster, node, request->address,
					       text, token, &certificate, fingerprint, &why);
	}
	pthread_mutex_unlock(&request->serve->lock);
	if (status == 200) {
		log_info("%s at %s is enrolled", node, request->address);
		result = answer_enrolled(request, certificate);
	} else if (status == 202) {
		log_info("%s at %s waits for approval: %s", node, request->address, fingerprint);
		snprintf(reply, sizeof(reply), "{\"pending\": \"%s\"}", fingerprint);
		result = serve_reply(request, 202, JSON_TYPE, reply);
	} else {
		result = serve_problem(request, status, why);
	}
	free(certificate);
	json_decref(json);
	return result;
}

/* The CA as it is now: this server may have begun before that was renewed. */
static enum MHD_Result answer_renewed(struct request *request, const char *certificate)
{
	char *ca = cluster_read(request->serve->cluster, "ca.pem"), *text;
	json_t *json = json_pack("{s:s, s:s*}", "certificate", certificate, "ca", ca);
	enum MHD_Result result = MHD_NO;

	text = ca && json ? json_dumps(json, JSON_COMPACT) : NULL;
	if (text)
		result = serve_reply(request, 200, JSON_TYPE, text);
	free(text);
	json_decref(json);
	free(ca);
	return result;
}

enum MHD_Result serve_renew(struct request *request)
{
	json_t *json = json_loadb(request->body ? request->body : "", request->body_len,
				  JSON_REJECT_DUPLICATES, NULL);
	const char *text = json_string_value(json_object_get(json, "request"));
	const char *why = "this is no request to be renewed";
	char *certificate = NULL;
	enum MHD_Result result;
	unsigned status = 400;

	pthread_mutex_lock(&request->serve->lock);
	if (text)
		status = renew_node(request->serve->cluster, request->node, text, &certificate,
				    &why);
	pthread_mutex_unlock(&request->serve->lock);
	json_decref(json);
	if (status == 200) {
		log_info("%s has a new certificate", request->node);
		result = answer_renewed(request, certificate);
	} else {
		result = serve_problem(request, status, why);
	}
	free(certificate);
	return result;
}
