/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions: agents poll for their document and report; operators order and watch.
 * An agent is known by the tenant and the instance that the relay signed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "instruct.h"
#include "../lib/instruction.h"
#include "waiters.h"

#define WAIT_MAX	  60
#define LIST_MAX	  10000
#define EVENT_WINDOW	  10 /* seconds */
#define EVENTS_PER_WINDOW 40

static bool known_instance(struct request *request)
{
	if (instruction_instance_valid(request->who.instance))
		return true;
	problem_set(&request->problem, 404, "no-instance",
		    "a port binding (\"sluice port set\") tells sluice which instance this is",
		    "who this VM is, is not known");
	return false;
}

void api_desired_answer(struct request *request)
{
	const struct who *who = &request->who;
	char *document = NULL;
	int found = instruct_desired(db_reader(request->repod->db), who->tenant_name, who->instance,
				     request->generation, &document);

	if (found > 0) {
		reply_text(request, 200, "application/json", document);
	} else if (!found) {
		reply_empty(request, 204);
		reply_header(request, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	} else {
		problem_errno(&request->problem, found, "instruction");
		reply_problem(request);
	}
}

/*
 * From waiters_add() on, another thread may answer and the request be gone. What came between
 * looking and waiting nobody would wake it for: so look again, and wake it ourselves.
 */
static void wait_for_news(struct request *request, unsigned seconds)
{
	struct repod *repod = request->repod;
	char tenant[NAME_TENANT_MAX + 1], instance[sizeof(request->who.instance)], *document = NULL;
	int64_t generation = request->generation;

	strcpy(tenant, request->who.tenant_name);
	strcpy(instance, request->who.instance);
	if (!waiters_add(repod->waiters, request, seconds)) {
		problem_set(&request->problem, 503, "busy", "poll again later",
			    "too many agents wait, or the daemon is stopping");
		reply_problem(request);
		request_resume(request);
		return;
	}
	if (instruct_desired(db_reader(repod->db), tenant, instance, generation, &document) > 0)
		waiters_wake(repod->waiters, tenant, instance);
	free(document);
}

void api_desired(struct request *request)
{
	const char *generation = request_argument(request, "generation");
	const char *wait = request_argument(request, "wait");
	uint64_t number = 0, seconds = 0;

	if (!known_instance(request) ||
	    (generation && name_number(generation, INT64_MAX, &number)) ||
	    (wait && name_number(wait, WAIT_MAX, &seconds))) {
		if (!request->problem.status)
			problem_set(&request->problem, 400, "bad-argument", NULL,
				    "generation or wait (up to %d seconds) is wrong", WAIT_MAX);
		reply_problem(request);
		request_resume(request);
		return;
	}
	request->generation = (int64_t)number;
	api_desired_answer(request);
	if (!seconds || request->status != 204) {
		request_resume(request);
		return;
	}
	MHD_destroy_response(request->response);
	request->response = NULL;
	wait_for_news(request, (unsigned)seconds);
}

/*
 * Every report is a commit. An agent sends one a second at most; more are put off. Two
 * instances that share a bucket share its budget: a matter of luck, not of right.
 */
static bool event_allowed(const struct who *who)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct {
		int64_t window;
		unsigned count;
	} buckets[4096];
	int64_t window = db_now() / EVENT_WINDOW;
	uint32_t hash = 2166136261u;
	bool allowed;

	for (const char *c = who->tenant_name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (const char *c = who->instance; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	hash %= sizeof(buckets) / sizeof(buckets[0]);
	pthread_mutex_lock(&lock);
	if (buckets[hash].window != window) {
		buckets[hash].window = window;
		buckets[hash].count = 0;
	}
	allowed = buckets[hash].count++ < EVENTS_PER_WINDOW;
	pthread_mutex_unlock(&lock);
	return allowed;
}

/* {"events": [{"operation", "state", "percent", "message", "log"}]} */
void api_events(struct request *request)
{
	json_t *body = NULL;

	if (known_instance(request) && !event_allowed(&request->who))
		problem_set(&request->problem, 503, "busy", "report less often",
			    "too many reports from this instance");
	if (!request->problem.status)
		body = request_json(request, NULL, 0); /* of a newer agent, too */
	if (body &&
	    !instruct_events(request->repod->db, request->who.tenant_name, request->who.instance,
			     json_object_get(body, "events"), &request->problem))
		reply_empty(request, 204);
	else
		reply_problem(request);
	json_decref(body);
}

/*
 * {"tenant", "instance", "action", "packages", "lifetime"?}, signed here; or {"tenant",
 * "instance", "document"}, signed by the operator.
 */
void api_instruct(struct request *request)
{
	static const struct request_member members[] = {
		{ "tenant", JSON_STRING },    { "instance", JSON_STRING },
		{ "action", JSON_STRING },    { "packages", JSON_ARRAY },
		{ "lifetime", JSON_INTEGER }, { "document", JSON_STRING }
	};
	struct repod *repod = request->repod;
	json_t *body = REQUEST_JSON(request, members);
	struct instruct_order order = { .who = request->who.name };
	json_int_t lifetime;
	int64_t generation;
	char id[17];

	if (!body) {
		reply_problem(request);
		return;
	}
	order.tenant = json_string_value(json_object_get(body, "tenant"));
	order.instance = json_string_value(json_object_get(body, "instance"));
	order.action = json_string_value(json_object_get(body, "action"));
	order.document = json_string_value(json_object_get(body, "document"));
	order.packages = json_object_get(body, "packages");
	lifetime = json_integer_value(json_object_get(body, "lifetime"));
	order.lifetime = lifetime ? lifetime : INSTRUCT_LIFE;
	if (!order.tenant || !name_tenant_valid(order.tenant) || !order.instance ||
	    !instruction_instance_valid(order.instance) ||
	    (!order.document && (!order.action || !order.packages)) || lifetime < 0 ||
	    lifetime > INSTRUCT_LIFE_MAX)
		problem_set(&request->problem, 400, "bad-argument",
			    "docs/repository.md shows the body",
			    "tenant, instance, action, packages or lifetime is missing or wrong");
	else if (!instruct_add(repod->db, repod->store, &order, &generation, id, &request->problem))
		waiters_wake(repod->waiters, order.tenant, order.instance);
	if (request->problem.status)
		reply_problem(request);
	else
		reply_json(request, 201,
			   json_pack("{s:I, s:s}", "generation", (json_int_t)generation, "id", id));
	json_decref(body);
}

void api_instructions(struct request *request)
{
	const char *limit = request_argument(request, "limit");
	uint64_t number = 100;
	json_t *list, *operation;
	size_t i;

	if (limit && name_number(limit, LIST_MAX, &number)) {
		problem_set(&request->problem, 400, "bad-argument", NULL, "limit is up to %d",
			    LIST_MAX);
		reply_problem(request);
		return;
	}
	list = instruct_list(db_reader(request->repod->db), request_argument(request, "tenant"),
			     request_argument(request, "instance"), (int64_t)number);
	json_array_foreach (list, i, operation)
		json_object_set_new(
			operation, "online",
			json_boolean(waiters_has(
				request->repod->waiters,
				json_string_value(json_object_get(operation, "tenant")),
				json_string_value(json_object_get(operation, "instance")))));
	reply_json(request, 200, list ? json_pack("{s:o}", "operations", list) : NULL);
}

/* {"force"?: true, "document"?: signed by the operator} */
void api_instruct_cancel(struct request *request)
{
	static const struct request_member members[] = { { "force", JSON_TRUE },
							 { "document", JSON_STRING } };
	struct repod *repod = request->repod;
	struct instruct_order order = { .who = request->who.name, .lifetime = INSTRUCT_LIFE };
	json_t *body = REQUEST_JSON(request, members);
	char id[INSTRUCTION_ID_LEN + 2]; /* one more: what is longer is nobody's */
	int64_t generation;

	snprintf(id, sizeof(id), "%.*s", (int)strcspn(request->rest, "/"), request->rest);
	order.document = json_string_value(json_object_get(body, "document"));
	if (body && !instruct_cancel(repod->db, repod->store, id,
				     json_is_true(json_object_get(body, "force")), &order,
				     &generation, &request->problem)) {
		waiters_wake(repod->waiters, order.tenant, order.instance);
		reply_json(request, 200,
			   json_pack("{s:I, s:s}", "generation", (json_int_t)generation, "id", id));
	} else {
		reply_problem(request);
	}
	json_decref(body);
}

/* Adds up what instruct_report() says of each VM. */
static void add_up(json_t *sums, const json_t *row)
{
	static const char *const fields[] = { "online", "pending", "running",
					      "done",	"failed",  "cancelled" };
	const char *tenant = json_string_value(json_object_get(row, "tenant"));
	json_t *sum = json_array_get(sums, json_array_size(sums) - 1), *value;

	/* Rows come sorted by tenant. */
	if (!sum || strcmp(json_string_value(json_object_get(sum, "tenant")), tenant) != 0) {
		sum = json_pack("{s:s, s:i}", "tenant", tenant, "instances", 0);
		json_array_append_new(sums, sum);
	}
	value = json_object_get(sum, "instances");
	json_integer_set(value, json_integer_value(value) + 1);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const json_t *part = json_object_get(row, fields[i]);
		json_int_t had = json_integer_value(json_object_get(sum, fields[i]));

		json_object_set_new(
			sum, fields[i],
			json_integer(had + (json_is_boolean(part) ? json_is_true(part)
								  : json_integer_value(part))));
	}
}

void api_instruct_report(struct request *request)
{
	json_t *rows = instruct_report(db_reader(request->repod->db),
				       request_argument(request, "tenant")),
	       *sums = json_array(), *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		json_object_set_new(row, "online",
				    json_boolean(waiters_has(
					    request->repod->waiters,
					    json_string_value(json_object_get(row, "tenant")),
					    json_string_value(json_object_get(row, "instance")))));
		add_up(sums, row);
	}
	reply_json(request, 200,
		   rows ? json_pack("{s:o, s:O}", "instances", rows, "tenants", sums) : NULL);
	json_decref(sums);
}

/* /v1/instance?tenant=T&instance=ID: what the next document has to hold, for who signs elsewhere.
 */
void api_instruct_pending(struct request *request)
{
	const char *tenant = request_argument(request, "tenant");
	const char *instance = request_argument(request, "instance");
	sqlite3 *reader = db_reader(request->repod->db);

	if (tenant && instance && reader) {
		reply_json(request, 200, instruct_pending(reader, tenant, instance));
		return;
	}
	problem_set(&request->problem, 400, "bad-argument", NULL, "tenant or instance is missing");
	reply_problem(request);
}

void api_instruct_key_show(struct request *request)
{
	char *keys = instruct_key_public(request->repod->store);

	if (keys) {
		reply_text(request, 200, "application/x-pem-file", keys);
		return;
	}
	problem_set(&request->problem, 404, "no-key",
		    "\"sluice-repo instruct-key create\" makes one",
		    "no key signs instructions yet");
	reply_problem(request);
}

/* {"action": "create"}, or {"action": "trust" or "distrust", "key": PEM} */
void api_instruct_key(struct request *request)
{
	static const struct request_member members[] = { { "action", JSON_STRING },
							 { "key", JSON_STRING } };
	struct repod *repod = request->repod;
	json_t *body = REQUEST_JSON(request, members);
	const char *action = json_string_value(json_object_get(body, "action"));
	const char *key = json_string_value(json_object_get(body, "key"));

	if (action && !strcmp(action, "create"))
		instruct_key_create(repod->store, &request->problem);
	else if (action && !strcmp(action, "trust") && key)
		instruct_key_trust(repod->store, key, &request->problem);
	else if (action && !strcmp(action, "distrust") && key)
		instruct_key_distrust(repod->store, key, &request->problem);
	else if (!request->problem.status)
		problem_set(&request->problem, 400, "bad-argument", NULL,
			    "action: create, or trust or distrust and a key");
	if (!request->problem.status)
		db_audit_alone(repod->db, request->who.name, "instruct-key", action, NULL);
	if (request->problem.status)
		reply_problem(request);
	else
		reply_json(request, 200, json_object());
	json_decref(body);
}
