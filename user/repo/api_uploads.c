/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Uploading: PUT /v1/files/NAME in one go; or POST /v1/uploads, then PATCH with
 * Upload-Offset (or PUT with Content-Range) until all bytes are there.
 */
#include "api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/text.h"

#define HEADER_OFFSET "Upload-Offset"
#define HEADER_LENGTH "Upload-Length"

static bool put_text(char *target, size_t size, const char *text)
{
	return !text || (size_t)snprintf(target, size, "%s", text) < size;
}

/* What both ways of uploading say about the file; NULL: not said. */
struct said {
	const char *filename, *sha256, *name, *version, *arch, *visibility;
};

static int fill_upload(struct request *request, const struct said *said)
{
	struct upload *upload = &request->upload;
	struct problem *problem = &request->problem;

	if (said->sha256 && !name_hex_valid(said->sha256, NAME_DIGEST_LEN))
		return problem_set(problem, 400, "bad-digest", "64 lower-case hex digits",
				   "sha256 is wrong");
	if (!said->filename ||
	    !put_text(upload->filename, sizeof(upload->filename), said->filename) ||
	    !put_text(upload->sha256, sizeof(upload->sha256), said->sha256) ||
	    !put_text(upload->name, sizeof(upload->name), said->name) ||
	    !put_text(upload->version, sizeof(upload->version), said->version) ||
	    !put_text(upload->arch, sizeof(upload->arch), said->arch))
		return problem_set(problem, 400, "bad-name", NULL,
				   "the file's name is missing, or something is too long");
	upload->visibility =
		catalog_visibility_parse(said->visibility ? said->visibility : "public");
	if (!upload->visibility)
		return problem_set(problem, 400, "bad-visibility",
				   "public, none, or tenants' names with commas between",
				   "visibility is wrong");
	strcpy(upload->who, request->who.name);
	return 0;
}

static int begin(struct request *request)
{
	struct repod *repod = request->repod;

	if (upload_check(&request->upload, repod->settings->limits.upload_size, &request->problem))
		return -1;
	request->fd = upload_begin(repod->db, repod->store, &request->upload,
				   &repod->settings->limits, &request->problem);
	atomic_fetch_add(&repod->uploads_refused, request->problem.status == 429);
	return request->fd < 0 ? -1 : 0;
}

/* Which argument is not to be believed; the first that is. */
struct odd_argument {
	const char *name, *why;
	unsigned seen; /* a bit for each of put_arguments */
};

static const char *const put_arguments[] = {
	"sha256", "name", "version", "arch", "visibility", NULL
};

static enum MHD_Result find_odd(void *arg, enum MHD_ValueKind kind, const char *name,
				const char *value)
{
	struct odd_argument *odd = arg;
	unsigned i = 0;

	while (put_arguments[i] && strcmp(put_arguments[i], name) != 0)
		i++;
	odd->name = name;
	if (!put_arguments[i])
		odd->why = "is none of this request's";
	else if (!value)
		odd->why = "has no value";
	else if (odd->seen & 1u << i)
		odd->why = "is there twice";
	odd->seen |= 1u << i;
	return odd->why ? MHD_NO : MHD_YES;
}

/* As in bodies, nothing that is said is passed over: what is not read makes a package public. */
static int check_arguments(struct request *request)
{
	struct odd_argument odd = { .why = NULL };
	char shown[64];

	MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, find_odd, &odd);
	if (!odd.why)
		return 0;
	text_copy(shown, sizeof(shown), odd.name, false);
	return problem_set(&request->problem, 400, "unknown-argument",
			   "sha256, name, version, arch and visibility, each once",
			   "the argument \"%s\" %s", shown, odd.why);
}

int api_uploads_put_begin(struct request *request)
{
	const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
	struct said said = {
		request->rest,
		request_argument(request, "sha256"),
		request_argument(request, "name"),
		request_argument(request, "version"),
		request_argument(request, "arch"),
		request_argument(request, "visibility"),
	};

	if (check_arguments(request))
		return -1;
	request->upload.size = UPLOAD_SIZE_UNKNOWN;
	if (length && name_number(length, INT64_MAX, &request->upload.size))
		return problem_set(&request->problem, 400, "bad-length", NULL,
				   "Content-Length is no number");
	if (request_header(request, MHD_HTTP_HEADER_CONTENT_RANGE))
		return problem_set(&request->problem, 400, "bad-range",
				   "make a session with POST /v1/uploads",
				   "a single request sends the whole file");
	return fill_upload(request, &said) ? -1 : begin(request);
}

static void reply_session(struct request *request, unsigned status)
{
	const struct upload *upload = &request->upload;
	char location[64 + NAME_UPLOAD_LEN], text[24];
	uint64_t offset = 0;
	int err = upload_offset(request->repod->store, upload, &offset);

	if (err) {
		if (err == -ENOENT)
			upload_missing(&request->problem);
		else
			problem_errno(&request->problem, err, "upload");
		reply_problem(request);
		return;
	}
	reply_json(request, status,
		   json_pack("{s:s, s:s, s:I, s:I, s:s}", "id", upload->id, "filename",
			     upload->filename, "size", (json_int_t)upload->size, "offset",
			     (json_int_t)offset, "sha256", upload->sha256));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)offset);
	reply_header(request, HEADER_OFFSET, text);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)upload->size);
	reply_header(request, HEADER_LENGTH, text);
	snprintf(location, sizeof(location), "/v1/uploads/%s", upload->id);
	reply_header(request, MHD_HTTP_HEADER_LOCATION, location);
}

void api_uploads_create(struct request *request)
{
	static const struct request_member members[] = {
		{ "filename", JSON_STRING },  { "size", JSON_INTEGER },	  { "sha256", JSON_STRING },
		{ "name", JSON_STRING },      { "version", JSON_STRING }, { "arch", JSON_STRING },
		{ "visibility", JSON_STRING }
	};
	json_t *body = REQUEST_JSON(request, members), *size;
	uint64_t offset;
	struct said said;
	bool again = false;

	if (!body) {
		reply_problem(request);
		return;
	}
	said = (struct said){
		json_string_value(json_object_get(body, "filename")),
		json_string_value(json_object_get(body, "sha256")),
		json_string_value(json_object_get(body, "name")),
		json_string_value(json_object_get(body, "version")),
		json_string_value(json_object_get(body, "arch")),
		json_string_value(json_object_get(body, "visibility")),
	};
	size = json_object_get(body, "size");
	request->upload.session = true;
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		problem_set(&request->problem, 400, "bad-length", NULL, "size is missing or wrong");
	else
		request->upload.size = (uint64_t)json_integer_value(size);
	if (!request->problem.status && !fill_upload(request, &said)) {
		again = upload_again(db_reader(request->repod->db), &request->upload) &&
			!upload_offset(request->repod->store, &request->upload, &offset);
		/* A session's space is reserved already: only a new one is checked. */
		if (!again)
			begin(request);
	}
	json_decref(body);
	if (request->problem.status)
		reply_problem(request);
	else
		reply_session(request, again ? 200 : 201);
	/* The lock goes with it: the client may append on another connection at once. */
	if (request->fd >= 0)
		upload_close(request->fd);
	request->fd = -1;
}

/* Whose sessions may be reached: admins reach everybody's. */
static const char *whose(const struct request *request)
{
	return request->who.role == ROLE_ADMIN ? NULL : request->who.name;
}

void api_uploads_list(struct request *request)
{
	struct repod *repod = request->repod;
	json_t *list = upload_list(db_reader(repod->db), repod->store, whose(request));

	reply_json(request, 200, list ? json_pack("{s:o}", "uploads", list) : NULL);
}

/* Loads the session named in the path. */
static int find_session(struct request *request)
{
	char id[NAME_UPLOAD_LEN + 2];

	snprintf(id, sizeof(id), "%.*s", (int)strcspn(request->rest, "/"), request->rest);
	return upload_find(db_reader(request->repod->db), id, whose(request), &request->upload,
			   &request->problem);
}

void api_uploads_show(struct request *request)
{
	if (find_session(request))
		reply_problem(request);
	else
		reply_session(request, 200);
}

void api_uploads_delete(struct request *request)
{
	struct repod *repod = request->repod;

	if (find_session(request) ||
	    upload_abort(repod->db, repod->store, &request->upload, &request->problem))
		reply_problem(request);
	else
		reply_json(request, 200, json_object());
}

/* Where the client means its body to go: PATCH says Upload-Offset, PUT Content-Range. */
static int said_offset(const struct request *request, uint64_t *ret_offset)
{
	const char *offset = request_header(request, HEADER_OFFSET);
	const char *range = request_header(request, MHD_HTTP_HEADER_CONTENT_RANGE);
	unsigned long long first, last, size;
	int end = 0;

	if (offset && !range)
		return name_number(offset, INT64_MAX, ret_offset);
	if (!range || offset ||
	    strspn(range + strcspn(range, "0123456789"), "0123456789-/") !=
		    strlen(range + strcspn(range, "0123456789")))
		return -EINVAL;
	if (sscanf(range, "bytes %llu-%llu/%llu%n", &first, &last, &size, &end) != 3 ||
	    range[end] || last < first || last >= size || size != request->upload.size)
		return -EINVAL;
	*ret_offset = first;
	return 0;
}

int api_uploads_append_begin(struct request *request)
{
	struct repod *repod = request->repod;
	struct problem *problem = &request->problem;
	uint64_t offset, have;
	int err;

	if (find_session(request))
		return -1;
	if (said_offset(request, &offset))
		return problem_set(
			problem, 400, "bad-offset",
			"PATCH with Upload-Offset, or PUT with Content-Range: bytes A-B/SIZE",
			"where the bytes belong is not said, or wrong");
	request->fd = upload_open(repod->store, &request->upload, problem);
	if (request->fd < 0)
		return -1;
	err = upload_offset(repod->store, &request->upload, &have);
	if (err)
		return problem_errno(problem, err, "upload");
	if (offset != have)
		return problem_set(problem, 409, "offset", "HEAD the upload and go on from there",
				   "%llu bytes are here, the request starts at %llu",
				   (unsigned long long)have, (unsigned long long)offset);
	request->offset = offset;
	return 0;
}

/* A body may take long to come: does the token that it came with still hold? */
static int still_allowed(struct request *request)
{
	if (auth_identify(request))
		return -1;
	return request->who.role >= request->route->role
		       ? 0
		       : problem_set(&request->problem, 403, "denied", NULL,
				     "%s may no longer upload", request->who.name);
}

static void finish(struct request *request)
{
	struct repod *repod = request->repod;
	struct upload *upload = &request->upload;
	char location[64];
	bool created;
	int64_t id;

	if (still_allowed(request) || upload_finish(repod->db, repod->store, upload, request->fd,
						    &id, &created, &request->problem)) {
		reply_problem(request);
		return;
	}
	upload_close(request->fd);
	request->fd = -1;
	/* Whoever has the answer may begin the next one before this request is cleared up. */
	upload_release(repod->store, upload);
	api_packages_reply(request, created ? 201 : 200, id);
	snprintf(location, sizeof(location), "/v1/packages/%lld", (long long)id);
	reply_header(request, MHD_HTTP_HEADER_LOCATION, location);
}

/* The body is in the file: finish, or say how much is still missing. */
void api_uploads_append(struct request *request)
{
	const struct upload *upload = &request->upload;

	if (!upload->session || request->offset == upload->size)
		finish(request);
	else
		reply_session(request, 200);
}

/* For the client whose connection broke between the last byte and the answer. */
void api_uploads_finish(struct request *request)
{
	struct repod *repod = request->repod;
	uint64_t have;

	if (find_session(request))
		goto refused;
	request->fd = upload_open(repod->store, &request->upload, &request->problem);
	if (request->fd < 0)
		goto refused;
	if (!upload_offset(repod->store, &request->upload, &have) && have == request->upload.size) {
		finish(request);
		return;
	}
	problem_set(&request->problem, 409, "offset", "HEAD the upload and send the rest",
		    "the upload is not whole");
refused:
	reply_problem(request);
}
