/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a signed document to its operations, one after the other, and what is told of them: each
 * one's end is on disk before it is reported, and what could not be reported is reported later.
 */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/instruction.h"
#include "../lib/log.h"
#include "../lib/signed.h"

#define TELL_MS 500

/* ---- reporting ---- */

static json_t *make_event(const char *id, const char *state, unsigned percent, const char *message,
			  const char *log)
{
	return json_pack("{s:s, s:s, s:i, s:s*, s:s*}", "operation", id, "state", state, "percent",
			 (int)percent, "message", message, "log", log);
}

/* Frees the events. */
static bool post_events(struct agent *agent, json_t *events)
{
	json_t *body = json_pack("{s:o}", "events", events);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, url[512];
	const char *why = "";
	long status = -1;

	snprintf(url, sizeof(url), "%s/sluice/v1/events", agent->options.url);
	if (text)
		status = agent_post(url, text, &why);
	free(text);
	json_decref(body);
	if (status == 204)
		return true;
	if (status < 0)
		log_debug("report: %s", why);
	else
		log_warn("report: the server answers %ld", status);
	/*
	 * The report itself would be refused again. What is refused for where it comes from, as
	 * long as a port binding, a route or a clock is wrong, is told when that is right.
	 */
	return status == 400 || status == 413 || status == 422;
}

static bool post_event(struct agent *agent, const char *id, const char *state, unsigned percent,
		       const char *message, const char *log)
{
	return post_events(agent, json_pack("[o]", make_event(id, state, percent, message, log)));
}

static void tell(unsigned percent, void *arg)
{
	struct agent *agent = arg;
	int64_t now = clock_ms(CLOCK_MONOTONIC);

	if (now - agent->told_ms < TELL_MS)
		return;
	agent->told_ms = now;
	post_event(agent, agent->operation, "running", percent, NULL, NULL);
}

/* No end is told that a crash would undo: their operator hears at least why none comes. */
static void tell_unwritten(struct agent *agent, int err)
{
	json_t *events = json_array(), *result;
	char message[100];
	const char *id;

	snprintf(message, sizeof(message), "its end cannot be written to this VM's disk: %s",
		 strerror(-err));
	json_object_foreach (agent->state.ended, id, result)
		if (!json_is_true(json_object_get(result, "told")) &&
		    json_array_size(events) < INSTRUCTION_EVENTS_MAX)
			json_array_append_new(events, make_event(id, "running", 99, message, NULL));
	if (json_array_size(events))
		post_events(agent, events);
	else
		json_decref(events);
}

/* Results that could not be reported when they were there. */
void agent_tell_results(struct agent *agent)
{
	const char *id;
	json_t *result;
	bool changed = false;
	int err = agent->state.unsaved ? agent_state_save(&agent->state) : 0;

	if (err) {
		log_warn("%s: %s", agent->state.path, strerror(-err));
		tell_unwritten(agent, err);
		return;
	}
	json_object_foreach (agent->state.ended, id, result) {
		const char *state = json_string_value(json_object_get(result, "state"));

		if (json_is_true(json_object_get(result, "told")) || !state)
			continue;
		if (!post_event(agent, id, state, strcmp(state, "done") ? 0 : 100,
				json_string_value(json_object_get(result, "message")),
				json_string_value(json_object_get(result, "log"))))
			break;
		agent_state_told(result);
		changed = true;
	}
	if (changed)
		agent_state_save(&agent->state);
}

/* ---- doing ---- */

/* jansson takes only UTF-8; a package manager may say anything. */
static void make_ascii(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x7f || ((unsigned char)*text < 0x20 && *text != '\n'))
			*text = '?';
}

/* The end of an operation is remembered, on disk, before anybody is told. */
static int end_operation(struct agent *agent, const char *id, struct agent_result *result)
{
	int err;

	make_ascii(result->message);
	log_info("operation %s: %s%s%s", id, result->failed ? "failed" : "done",
		 *result->message ? ": " : "", result->message);
	err = agent_state_end(&agent->state, agent->operations, id, result);
	agent_tell_results(agent);
	return err;
}

/* It was begun, and then this agent was started again or its disk was full. */
static bool begun(const struct agent *agent, const json_t *operation)
{
	return !strcmp(agent->state.running, json_string_value(json_object_get(operation, "id")));
}

static int do_operation(struct agent *agent, const json_t *operation)
{
	const char *id = json_string_value(json_object_get(operation, "id"));
	bool resumed = begun(agent, operation);
	char before[sizeof(agent->state.running)], pid[24];
	struct agent_result *result = malloc(sizeof(*result));
	int err;

	if (!result)
		return -ENOMEM;
	strcpy(before, agent->state.running);
	strcpy(agent->state.running, id);
	err = agent_state_save(&agent->state);
	if (err) {
		strcpy(agent->state.running, before);
		goto out;
	}
	log_info("operation %s: %s%s", id, json_string_value(json_object_get(operation, "action")),
		 resumed ? ", again" : "");
	agent->operation = id;
	/* A package's script that would wait for our end can know who waits for its own. */
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("SLUICE_AGENT_PID", pid, 1);
	setenv("SLUICE_AGENT_OPERATION", id, 1);
	post_event(agent, id, "running", 0, NULL, NULL);
	if (agent_run(&agent->options, operation, tell, agent, result)) {
		err = end_operation(agent, id, result);
	} else {
		log_info("operation %s: put off, for this agent is to end", id);
		/* Not begun after all: it may expire. */
		strcpy(agent->state.running, before);
		err = agent_state_save(&agent->state);
	}
out:
	free(result);
	return err;
}

/*
 * Is it for us, and new? A generation once seen is never undercut, so that an old document with
 * a right signature (a replay) does nothing.
 */
static const char *refuse(const struct agent *agent, const json_t *document)
{
	int64_t generation = (int64_t)json_integer_value(json_object_get(document, "generation"));

	const char *tenant = agent->options.tenant ? agent->options.tenant : agent->state.tenant;

	if (strcmp(json_string_value(json_object_get(document, "instance")), agent->instance) != 0)
		return "it is for another instance";
	/* Ids are a tenant's own matter: another one's may have the same. */
	if (*tenant && strcmp(json_string_value(json_object_get(document, "tenant")), tenant) != 0)
		return "it is for another tenant's instance of this name";
	if (generation < agent->state.seen)
		return "it is older than one seen before";
	return NULL;
}

/*
 * Too late for it, or so it seems: the operator is told which clock says so, instead of waiting
 * for a VM that stays silent.
 */
static int refuse_operation(struct agent *agent, const json_t *operation)
{
	const char *id = json_string_value(json_object_get(operation, "id"));
	struct agent_result *result = calloc(1, sizeof(*result));
	time_t now = time(NULL);
	struct tm utc;
	char when[32];
	int err;

	if (!result)
		return -ENOMEM;
	gmtime_r(&now, &utc);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &utc);
	result->failed = true;
	snprintf(result->message, sizeof(result->message),
		 "the instruction has expired, or this VM's clock is wrong: it says %s UTC", when);
	err = end_operation(agent, id, result);
	free(result);
	return err;
}

/*
 * The document lasts as long as the last of its operations. One that was begun in time is finished,
 * however late that is.
 */
static bool expired(const struct agent *agent, const json_t *document, const json_t *operation)
{
	const json_t *expires = json_object_get(operation, "expires");

	if (begun(agent, operation))
		return false;
	/* A repository before this one did not say when each expires. */
	if (!expires)
		expires = json_object_get(document, "expires");
	return (int64_t)json_integer_value(expires) < (int64_t)time(NULL) - INSTRUCTION_SLACK;
}

/*
 * What a newer document still holds though it has ended, whoever signed that had not heard of:
 * perhaps of a restored backup, or the report came to nothing.
 */
static void tell_again(struct agent *agent)
{
	const json_t *operation;
	json_t *result;
	size_t i;

	json_array_foreach (agent->operations, i, operation) {
		result = json_object_get(agent->state.ended,
					 json_string_value(json_object_get(operation, "id")));
		if (result)
			json_object_set_new(result, "told", json_false());
	}
	agent_tell_results(agent);
}

/*
 * The first operation that has not ended. Then the document is asked for anew: what an operator
 * cancels meanwhile is not begun.
 */
static int follow_document(struct agent *agent, const json_t *document)
{
	int64_t generation = (int64_t)json_integer_value(json_object_get(document, "generation"));
	bool newer = generation > agent->state.seen;
	const json_t *operation;
	size_t i;
	int err;

	agent->state.seen = generation;
	snprintf(agent->state.tenant, sizeof(agent->state.tenant), "%s",
		 json_string_value(json_object_get(document, "tenant")));
	strcpy(agent->state.instance, agent->instance);
	if (newer)
		tell_again(agent);
	json_array_foreach (agent->operations, i, operation) {
		if (json_object_get(agent->state.ended,
				    json_string_value(json_object_get(operation, "id"))))
			continue;
		if (agent_ending)
			return 0;
		err = expired(agent, document, operation) ? refuse_operation(agent, operation)
							  : do_operation(agent, operation);
		/* An agent that replaces this one would not know that it is to end. */
		agent->more = !err && !agent_ending;
		return err;
	}
	/* Only now: killed before, the same document is asked for again. */
	agent->state.generation = agent->state.seen;
	return agent_state_save(&agent->state);
}

int agent_follow(struct agent *agent, const char *text, size_t len)
{
	json_t *document = NULL;
	char *payload = NULL;
	const char *why;
	size_t payload_len;
	int err = signed_open(agent->keys, text, len, &payload, &payload_len);

	if (!err)
		document = instruction_parse(payload, payload_len);
	free(payload);
	if (err || !document) {
		log_error("the instruction is refused: %s",
			  err == -EKEYREJECTED ? "no pinned key signed it"
			  : err == -EINVAL     ? "the pinned keys cannot be read"
					       : "it is damaged");
		return -EBADMSG;
	}
	why = refuse(agent, document);
	if (why)
		log_error("the instruction is refused: %s", why);
	agent->operations = json_object_get(document, "operations");
	err = why ? -EBADMSG : follow_document(agent, document);
	agent->operations = NULL;
	json_decref(document);
	return err;
}
