/* SPDX-License-Identifier: BSD-2-Clause */
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_DEFAULT 1000

static int64_t number_argument(struct request *request, const char *name, int64_t otherwise)
{
	const char *text = request_argument(request, name);
	uint64_t number;

	if (!text)
		return otherwise;
	if (name_number(text, INT64_MAX, &number)) {
		problem_set(&request->problem, 400, "bad-argument", NULL, "%s is no number", name);
		return otherwise;
	}
	return (int64_t)number;
}

struct listing {
	json_t *packages;
	bool full;
	int64_t last, count, limit;
};

static int add_to_listing(const struct catalog_row *row, void *arg)
{
	struct listing *listing = arg;

	if (listing->count == listing->limit)
		return 1;
	listing->count++;
	listing->last = row->id;
	return json_array_append_new(listing->packages, catalog_json(row, listing->full)) ? -ENOMEM
											  : 0;
}

void api_packages_list(struct request *request)
{
	const char *tenant = request_argument(request, "tenant");
	struct catalog_filter filter = {
		.viewer = request->who.viewer,
		.query = request_argument(request, "q"),
		.kind = request_argument(request, "kind"),
		.name = request_argument(request, "name"),
		.version = request_argument(request, "version"),
		.arch = request_argument(request, "arch"),
		.filename = request_argument(request, "filename"),
		.sha256 = request_argument(request, "sha256"),
		.after = number_argument(request, "after", 0),
	};
	struct listing listing = {
		.full = request->who.role != ROLE_NONE,
		.limit = number_argument(request, "limit", LIMIT_DEFAULT),
	};
	int stopped;

	if (listing.limit < 1 || listing.limit > CATALOG_LIMIT_MAX)
		problem_set(&request->problem, 400, "bad-argument", NULL, "limit is 1 to %d",
			    CATALOG_LIMIT_MAX);
	/* Looking through a tenant's eyes is for those who may see everything anyway. */
	if (tenant && listing.full)
		filter.viewer = tenant;
	if (request->problem.status) {
		reply_problem(request);
		return;
	}
	filter.limit = listing.limit + 1;
	listing.packages = json_array();
	stopped = catalog_each(db_reader(request->repod->db), &filter, add_to_listing, &listing);
	if (stopped < 0) {
		json_decref(listing.packages);
		problem_errno(&request->problem, stopped, "list");
		reply_problem(request);
		return;
	}
	reply_json(request, 200,
		   json_pack("{s:o, s:o}", "packages", listing.packages, "next",
			     stopped ? json_integer(listing.last) : json_null()));
}

struct one {
	json_t *json;
	bool full, newest;
	char sha256[NAME_DIGEST_LEN + 1], filename[NAME_FILENAME_MAX + 1];
};

/* With newest, the last row wins: ids rise with time. */
static int keep_one(const struct catalog_row *row, void *arg)
{
	struct one *one = arg;

	json_decref(one->json);
	one->json = catalog_json(row, one->full);
	snprintf(one->sha256, sizeof(one->sha256), "%s", row->sha256);
	snprintf(one->filename, sizeof(one->filename), "%s", row->filename);
	return one->newest ? 0 : 1;
}

static bool find(struct request *request, const struct catalog_filter *filter, struct one *one)
{
	int stopped;

	one->full = request->who.role != ROLE_NONE;
	stopped = catalog_each(db_reader(request->repod->db), filter, keep_one, one);
	if (stopped >= 0 && one->json)
		return true;
	if (stopped < 0)
		problem_errno(&request->problem, stopped, "package");
	else
		problem_set(&request->problem, 404, "not-found", NULL, "there is no such package");
	reply_problem(request);
	return false;
}

/* The id in the path, written as we write it; -1 when it is none. */
static int64_t path_id(const struct request *request)
{
	size_t len = strcspn(request->rest, "/");
	char text[20];
	uint64_t id;

	/* What is longer must not be cut to the id of another package. */
	if (len >= sizeof(text) || *request->rest == '0')
		return -1;
	memcpy(text, request->rest, len);
	text[len] = '\0';
	return name_number(text, INT64_MAX, &id) ? -1 : (int64_t)id;
}

void api_packages_reply(struct request *request, unsigned status, int64_t id)
{
	struct catalog_filter filter = { .id = id, .viewer = request->who.viewer, .limit = 1 };
	struct one one = { 0 };

	if (find(request, &filter, &one))
		reply_json(request, status, one.json);
}

void api_packages_show(struct request *request)
{
	api_packages_reply(request, 200, path_id(request));
}

static const char *type_of(const char *filename)
{
	switch (package_kind_of(filename)) {
	case PACKAGE_DEB:
		return "application/vnd.debian.binary-package";
	case PACKAGE_RPM:
		return "application/x-rpm";
	default:
		return "application/octet-stream";
	}
}

static void serve(struct request *request, const struct catalog_filter *filter, bool newest)
{
	struct one one = { .newest = newest };
	int fd;

	if (!find(request, filter, &one))
		return;
	json_decref(one.json);
	fd = store_blob_open(request->repod->store, one.sha256);
	if (fd < 0) {
		problem_set(&request->problem, 500, "damaged", "run \"sluice-repo fsck\"",
			    "the file of this package cannot be read");
		reply_problem(request);
		return;
	}
	serve_file(request, fd, one.sha256, type_of(one.filename), one.filename);
}

void api_packages_content(struct request *request)
{
	struct catalog_filter filter = {
		.id = path_id(request),
		.viewer = request->who.viewer,
		.limit = 1,
	};

	serve(request, &filter, false);
}

void api_packages_file(struct request *request)
{
	struct catalog_filter filter = { .filename = request->rest, .viewer = request->who.viewer };

	serve(request, &filter, true);
}

void api_packages_delete(struct request *request)
{
	struct repod *repod = request->repod;

	if (catalog_delete(repod->db, repod->store, request->who.name, path_id(request),
			   &request->problem))
		reply_problem(request);
	else
		reply_json(request, 200, json_object());
}

void api_packages_visibility(struct request *request)
{
	static const struct request_member members[] = { { "visibility", JSON_STRING } };
	json_t *body = REQUEST_JSON(request, members);
	const char *text = json_string_value(json_object_get(body, "visibility"));
	char *visibility = text ? catalog_visibility_parse(text) : NULL;
	int64_t id = path_id(request);

	if (!visibility && !request->problem.status)
		problem_set(&request->problem, 400, "bad-visibility",
			    "public, none, or tenants' names with commas between",
			    "visibility is missing or wrong");
	if (visibility)
		catalog_set_visibility(request->repod->db, request->who.name, id, visibility,
				       &request->problem);
	free(visibility);
	json_decref(body);
	if (request->problem.status)
		reply_problem(request);
	else
		api_packages_reply(request, 200, id);
}
