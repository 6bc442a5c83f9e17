/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every request sluice-repod answers. The path's "*" is one segment; a path that ends with
 * "/" takes everything below it.
 */
#include <string.h>

#include "api.h"

/* clang-format off */
static const struct route routes[] = {
	{ "GET",    "/apt/",                    ROLE_NONE,     ROUTE_TENANT,              NULL, tree_own },
	{ "GET",    "/rpm/",                    ROLE_NONE,     ROUTE_TENANT,              NULL, tree_own },
	{ "GET",    "/files/*",                 ROLE_NONE,     ROUTE_TENANT,              NULL, api_packages_file },
	{ "GET",    "/key.asc",                 ROLE_NONE,     ROUTE_TENANT,              NULL, api_key_armored },
	{ "GET",    "/key.gpg",                 ROLE_NONE,     ROUTE_TENANT,              NULL, api_key_binary },
	{ "GET",    "/v1/packages",             ROLE_NONE,     ROUTE_TENANT,              NULL, api_packages_list },
	{ "GET",    "/v1/packages/*",           ROLE_NONE,     ROUTE_TENANT,              NULL, api_packages_show },
	{ "GET",    "/v1/packages/*/content",   ROLE_NONE,     ROUTE_TENANT,              NULL, api_packages_content },
	{ "GET",    "/views/",                  ROLE_READER,   0,                         NULL, tree_view },
	{ "GET",    "/",                        ROLE_READER,   ROUTE_PAGE,                NULL, page_packages },
	{ "GET",    "/log",                     ROLE_READER,   ROUTE_PAGE,                NULL, page_log },
	{ "GET",    "/instructions",            ROLE_READER,   ROUTE_PAGE,                NULL, page_instructions },
	{ "GET",    "/v1/status",               ROLE_READER,   ROUTE_JOB,                 NULL, api_status },
	{ "GET",    "/v1/log",                  ROLE_ADMIN,    0,                         NULL, api_log },
	{ "PUT",    "/v1/files/*",              ROLE_UPLOADER, ROUTE_UPLOAD | ROUTE_SLOW,  api_uploads_put_begin, api_uploads_append },
	{ "POST",   "/v1/uploads",              ROLE_UPLOADER, ROUTE_JSON | ROUTE_JOB,    NULL, api_uploads_create },
	{ "GET",    "/v1/uploads",              ROLE_UPLOADER, 0,                         NULL, api_uploads_list },
	{ "GET",    "/v1/uploads/*",            ROLE_UPLOADER, 0,                         NULL, api_uploads_show },
	{ "PATCH",  "/v1/uploads/*",            ROLE_UPLOADER, ROUTE_UPLOAD | ROUTE_SLOW,  api_uploads_append_begin, api_uploads_append },
	{ "PUT",    "/v1/uploads/*",            ROLE_UPLOADER, ROUTE_UPLOAD | ROUTE_SLOW,  api_uploads_append_begin, api_uploads_append },
	{ "POST",   "/v1/uploads/*/finish",     ROLE_UPLOADER, ROUTE_SLOW,                 NULL, api_uploads_finish },
	{ "DELETE", "/v1/uploads/*",            ROLE_UPLOADER, ROUTE_JOB,                 NULL, api_uploads_delete },
	{ "DELETE", "/v1/packages/*",           ROLE_ADMIN,    ROUTE_JOB,                 NULL, api_packages_delete },
	{ "PUT",    "/v1/packages/*/visibility", ROLE_ADMIN,   ROUTE_JSON | ROUTE_JOB,    NULL, api_packages_visibility },
	{ "GET",    "/v1/publish",              ROLE_READER,   0,                         NULL, api_publish_show },
	{ "POST",   "/v1/publish",              ROLE_UPLOADER, ROUTE_JSON | ROUTE_SLOW,    NULL, api_publish },
	{ "GET",    "/v1/key",                  ROLE_READER,   0,                         NULL, api_key_show },
	{ "POST",   "/v1/key",                  ROLE_ADMIN,    ROUTE_JSON | ROUTE_SLOW,    NULL, api_key_make },
	{ "GET",    "/sluice/v1/desired",       ROLE_ADMIN,    ROUTE_AGENT | ROUTE_WAIT,  NULL, api_desired },
	{ "POST",   "/sluice/v1/events",        ROLE_ADMIN,    ROUTE_AGENT | ROUTE_JSON | ROUTE_JOB, NULL, api_events },
	{ "POST",   "/v1/instructions",         ROLE_ADMIN,    ROUTE_JSON | ROUTE_JOB,    NULL, api_instruct },
	{ "GET",    "/v1/instructions",         ROLE_READER,   0,                         NULL, api_instructions },
	{ "POST",   "/v1/instructions/*/cancel", ROLE_ADMIN,   ROUTE_JSON | ROUTE_JOB,    NULL, api_instruct_cancel },
	{ "GET",    "/v1/report",               ROLE_READER,   0,                         NULL, api_instruct_report },
	{ "GET",    "/v1/instance",             ROLE_READER,   0,                         NULL, api_instruct_pending },
	{ "GET",    "/v1/instruct-key",         ROLE_READER,   0,                         NULL, api_instruct_key_show },
	{ "POST",   "/v1/instruct-key",         ROLE_ADMIN,    ROUTE_JSON | ROUTE_JOB,    NULL, api_instruct_key },
	{ "GET",    "/v1/tokens",               ROLE_ADMIN,    0,                         NULL, api_tokens_list },
	{ "POST",   "/v1/tokens",               ROLE_ADMIN,    ROUTE_JSON | ROUTE_JOB,    NULL, api_tokens_create },
	{ "DELETE", "/v1/tokens/*",             ROLE_ADMIN,    ROUTE_JOB,                 NULL, api_tokens_revoke },
	{ "POST",   "/v1/fsck",                 ROLE_ADMIN,    ROUTE_JSON | ROUTE_SLOW,    NULL, api_fsck },
};
/* clang-format on */
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

static bool matches(const char *pattern, const char *path, const char **ret_rest)
{
	const char *rest = NULL;

	for (; *pattern; pattern++) {
		if (*pattern == '*') {
			rest = rest ? rest : path;
			if (!*path || *path == '/')
				return false;
			path += strcspn(path, "/");
		} else if (*pattern != *path++) {
			return false;
		}
	}
	if (*path && pattern[-1] != '/')
		return false;
	*ret_rest = rest ? rest : path;
	return true;
}

/* "/" alone is the page, not everything. */
static bool is_root(const struct route *route)
{
	return !route->path[1];
}

static int refuse_role(struct request *request, const struct route *route)
{
	const struct who *who = &request->who;

	if (who->tenant)
		return problem_set(&request->problem, 403, "denied", NULL,
				   "tenants may only read what is published to them");
	if (who->role == ROLE_NONE)
		return problem_set(
			&request->problem, 401, "token",
			"send \"Authorization: Bearer TOKEN\", or ask on the unix socket",
			"this needs a token with the role %s", role_name(route->role));
	return problem_set(&request->problem, 403, "denied",
			   "an admin makes another token with \"sluice-repo token create\"",
			   "this needs the role %s; %s has %s", role_name(route->role), who->name,
			   role_name(who->role));
}

int routes_find(struct request *request)
{
	const char *method = !strcmp(request->method, "HEAD") ? "GET" : request->method;
	char allowed[64] = "";
	const char *rest = "";

	for (const struct route *route = routes; route < routes + ROUTES; route++) {
		if (is_root(route) ? strcmp(request->path, "/") != 0
				   : !matches(route->path, request->path, &rest))
			continue;
		if (strcmp(route->method, method) != 0) {
			if (*allowed)
				strcat(allowed, ", ");
			strcat(allowed, route->method);
			continue;
		}
		request->route = route;
		request->rest = rest;
		if (route->flags & ROUTE_AGENT) {
			if (request->who.tenant)
				return 0;
			return problem_set(&request->problem, 403, "denied", NULL,
					   "this is for agents, which come through a relay");
		}
		if (route->flags & ROUTE_TENANT) {
			if (!request->who.refused || request->who.role != ROLE_NONE)
				return 0;
		} else if (request->who.role >= route->role) {
			return 0;
		}
		return refuse_role(request, route);
	}
	if (*allowed)
		return problem_set(&request->problem, 405, "method", allowed,
				   "%s is not for this path", request->method);
	return problem_set(&request->problem, 404, "not-found", NULL, "there is nothing here");
}
