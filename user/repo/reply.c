/* SPDX-License-Identifier: BSD-2-Clause */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/text.h"

static void set(struct request *request, unsigned status, struct MHD_Response *response)
{
	if (request->response)
		MHD_destroy_response(request->response);
	request->response = response;
	request->status = status;
	if (response)
		MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
}

void reply_header(struct request *request, const char *name, const char *value)
{
	if (request->response)
		MHD_add_response_header(request->response, name, value);
}

void reply_text(struct request *request, unsigned status, const char *type, char *text)
{
	struct MHD_Response *response = NULL;

	if (text)
		response =
			MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (text && !response)
		free(text);
	set(request, status, response);
	reply_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	reply_header(request, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}

void reply_empty(struct request *request, unsigned status)
{
	set(request, status,
	    MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT));
}

void reply_json(struct request *request, unsigned status, json_t *object)
{
	char *text = NULL, *line;

	if (object)
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	line = text ? realloc(text, strlen(text) + 2) : NULL;
	if (line)
		strcat(line, "\n");
	else
		free(text);
	reply_text(request, status, "application/json", line);
}

void reply_problem(struct request *request)
{
	const struct problem *problem = &request->problem;
	bool page = request->route && (request->route->flags & ROUTE_PAGE);

	reply_json(request, problem->status,
		   json_pack("{s:{s:s, s:s, s:s}}", "error", "code", problem->code, "message",
			     problem->message, "hint", problem->hint));
	if (problem->status == 401)
		reply_header(request, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
			     page ? "Basic realm=\"sluice-repo: a token as the password\""
				  : "Bearer realm=\"sluice-repo\"");
	if (problem->status == 503)
		reply_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "2");
	if (problem->status == 429)
		reply_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "60");
	if (problem->status == 405)
		reply_header(request, MHD_HTTP_HEADER_ALLOW, problem->hint);
}

static const struct request_member *find_member(const struct request_member *members, size_t count,
						const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(members[i].name, name))
			return &members[i];
	return NULL;
}

static bool has_type(const json_t *value, json_type type)
{
	return type == JSON_TRUE ? json_is_boolean(value) : json_typeof(value) == type;
}

static bool members_right(struct request *request, json_t *object,
			  const struct request_member *members, size_t count)
{
	static const char hint[] = "docs/repository.md shows each request's body";
	const struct request_member *member;
	char shown[64];
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		member = find_member(members, count, name);
		if (member && has_type(value, member->type))
			continue;
		text_copy(shown, sizeof(shown), name, false);
		problem_set(&request->problem, 400, member ? "bad-argument" : "unknown-argument",
			    hint,
			    member ? "\"%s\" is of the wrong type" : "this request knows no \"%s\"",
			    shown);
		return false;
	}
	return true;
}

json_t *request_json(struct request *request, const struct request_member *members, size_t count)
{
	json_error_t error;
	json_t *object;

	object = json_loadb(request->body ? request->body : "", request->body_len,
			    JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(object))
		problem_set(&request->problem, 400, "bad-json",
			    "docs/repository.md shows each request's body",
			    "the body is no JSON object");
	else if (!members || members_right(request, object, members, count))
		return object;
	json_decref(object);
	return NULL;
}
