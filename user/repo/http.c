/* SPDX-License-Identifier: BSD-2-Clause */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/log.h"
#include "jobs.h"
#include "request.h"

#define MEMORY_PER_REQUEST (32 * 1024)	      /* heads; bodies are not kept */
#define DISCARD_MAX	   (64 * 1024 * 1024) /* of a body that failed half-way: likewise */
#define SWALLOW_MAX	   (1024 * 1024)      /* of a refused body, so that the reply is read */

const char *request_header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_argument(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* Called with the request line's target before anything is decoded: a request begins. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
	const struct listener *listener = arg;
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->repod = listener->repod;
	request->listener = listener;
	request->connection = connection;
	request->fd = -1;
	request->target = strdup(target);
	return request;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct request *request = *context;
	struct problem ignored;

	if (!request)
		return;
	/* A one-shot upload that broke off leaves nothing; a session keeps what it has. */
	if (request->fd >= 0) {
		if (*request->upload.id && !request->upload.session)
			upload_abort(request->repod->db, request->repod->store, &request->upload,
				     &ignored);
		upload_close(request->fd);
	}
	upload_release(request->repod->store, &request->upload);
	upload_clear(&request->upload);
	if (request->response)
		MHD_destroy_response(request->response);
	free(request->body);
	free(request->target);
	free(request);
	*context = NULL;
}

static enum MHD_Result send_reply(struct request *request)
{
	enum MHD_Result result;

	request->state = REQUEST_ANSWERED;
	if (!request->response) {
		problem_set(&request->problem, 500, "system", NULL, "out of memory");
		reply_problem(request);
	}
	if (!request->response)
		return MHD_NO;
	result = MHD_queue_response(request->connection, request->status, request->response);
	MHD_destroy_response(request->response);
	request->response = NULL;
	return result;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Decodes the path strictly: printable ASCII, no "." or ".." or empty segment, no escaped
 * slash. What cannot be a path of ours is refused rather than repaired.
 */
static int decode_path(const char *target, char *out, size_t size)
{
	size_t len = 0;

	if (*target != '/')
		return -EINVAL;
	for (; *target && *target != '?'; target++) {
		int high, low, c = (unsigned char)*target;

		if (c == '%') {
			high = hex_value(target[1]);
			low = high < 0 ? -1 : hex_value(target[2]);
			if (low < 0)
				return -EINVAL;
			c = high << 4 | low;
			target += 2;
			if (c == '/')
				return -EINVAL;
		}
		if (c <= 0x20 || c >= 0x7f || c == '\\' || len + 1 >= size)
			return -EINVAL;
		if (c == '/' && len && out[len - 1] == '/')
			return -EINVAL;
		out[len++] = (char)c;
	}
	out[len] = '\0';
	for (const char *segment = out; segment; segment = strchr(segment + 1, '/')) {
		size_t dots = strspn(segment + 1, ".");

		if ((dots == 1 || dots == 2) && (segment[1 + dots] == '/' || !segment[1 + dots]))
			return -EINVAL;
	}
	return 0;
}

static void strip_prefix(struct request *request)
{
	const char *prefix = request->repod->settings->tenants.prefix;
	size_t len = strlen(prefix);

	while (len && prefix[len - 1] == '/')
		len--;
	if (len && !strncmp(request->path, prefix, len) &&
	    (request->path[len] == '/' || !request->path[len]))
		memmove(request->path, request->path + len, strlen(request->path + len) + 1);
	if (!*request->path)
		strcpy(request->path, "/");
}

static int examine(struct request *request, const char *method)
{
	int n = snprintf(request->method, sizeof(request->method), "%s", method);

	if (n < 0 || (size_t)n >= sizeof(request->method))
		return problem_set(&request->problem, 501, "method", NULL, "unknown method");
	if (!request->target || decode_path(request->target, request->path, sizeof(request->path)))
		return problem_set(&request->problem, 400, "bad-path", NULL,
				   "the path is not one of this repository's");
	if (auth_identify(request))
		return -1;
	strip_prefix(request);
	if (routes_find(request))
		return -1;
	return request->route->begin ? request->route->begin(request) : 0;
}

/*
 * Headers are complete. A reply queued here ends the connection without reading on, which
 * resets it under a client that is still sending and breaks apt's pipelining: it is for
 * clients that wait for leave to send, and for bodies too large to take and throw away.
 */
static enum MHD_Result on_headers(struct request *request, const char *method)
{
	const char *length;
	uint64_t size = 0;

	request->state = REQUEST_BODY;
	if (!examine(request, method))
		return MHD_YES;
	reply_problem(request);
	length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
	if (!request_header(request, MHD_HTTP_HEADER_EXPECT) &&
	    (!length || (!name_number(length, INT64_MAX, &size) && size <= SWALLOW_MAX)))
		return MHD_YES;
	return send_reply(request);
}

static void take_json(struct request *request, const char *data, size_t size)
{
	char *body;

	if (request->body_len + size > REQUEST_BODY_MAX) {
		problem_set(&request->problem, 413, "too-large", NULL,
			    "the request's body is over %d bytes", REQUEST_BODY_MAX);
		return;
	}
	body = realloc(request->body, request->body_len + size + 1);
	if (!body) {
		problem_set(&request->problem, 500, "system", NULL, "out of memory");
		return;
	}
	memcpy(body + request->body_len, data, size);
	request->body = body;
	request->body_len += size;
	body[request->body_len] = '\0';
}

static void take_upload(struct request *request, const char *data, size_t size)
{
	struct repod *repod = request->repod;
	struct upload *upload = &request->upload;
	uint64_t max = upload->size == UPLOAD_SIZE_UNKNOWN ? repod->settings->limits.upload_size
							   : upload->size;

	if (size > max - request->offset) {
		problem_set(&request->problem, 413, "too-large", NULL,
			    "more than %llu bytes were sent", (unsigned long long)max);
		return;
	}
	if (upload->size == UPLOAD_SIZE_UNKNOWN && request->offset + size > upload->held &&
	    upload_grow(repod->db, repod->store, upload, request->fd, request->offset + size,
			&repod->settings->limits, &request->problem)) {
		atomic_fetch_add(&repod->uploads_refused, request->problem.status == 429);
		return;
	}
	while (size) {
		ssize_t n = pwrite(request->fd, data, size, (off_t)request->offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			problem_errno(&request->problem, -errno, "upload");
			return;
		}
		data += n;
		size -= (size_t)n;
		request->offset += (uint64_t)n;
	}
	if (upload->session && upload_ended(request->fd))
		upload_missing(&request->problem);
}

static enum MHD_Result on_body(struct request *request, const char *data, size_t *size)
{
	size_t taken = *size;

	*size = 0;
	if (request->problem.status) {
		request->discarded += taken;
		return request->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
	}
	if (request->route->flags & ROUTE_UPLOAD) {
		take_upload(request, data, taken);
	} else if (request->route->flags & ROUTE_JSON) {
		take_json(request, data, taken);
	} else {
		problem_set(&request->problem, 400, "body", NULL, "this request has no body");
	}
	return MHD_YES;
}

void request_resume(struct request *request)
{
	request->state = REQUEST_ANSWERED;
	MHD_resume_connection(request->connection);
}

static void run_job(void *arg)
{
	struct request *request = arg;

	/* What has not begun when the time is over is not begun. */
	if (atomic_load(&request->repod->stopping)) {
		problem_set(&request->problem, 503, "busy", "try again later",
			    "the repository is being stopped");
		reply_problem(request);
	} else {
		request->route->run(request);
	}
	request_resume(request);
}

static enum MHD_Result on_end(struct request *request)
{
	struct repod *repod = request->repod;
	struct jobs *jobs = request->route && request->route->flags & ROUTE_SLOW ? repod->slow_jobs
										 : repod->jobs;

	if (request->problem.status) {
		if (!request->response)
			reply_problem(request);
		return send_reply(request);
	}
	if (!(request->route->flags & (ROUTE_JOB | ROUTE_SLOW | ROUTE_WAIT))) {
		request->route->run(request);
		return send_reply(request);
	}
	request->state = REQUEST_JOB;
	MHD_suspend_connection(request->connection);
	if (request->route->flags & ROUTE_WAIT) {
		request->route->run(request);
		return MHD_YES;
	}
	if (!jobs_add(jobs, run_job, request))
		return MHD_YES;
	problem_set(&request->problem, 503, "busy", "try again later",
		    atomic_load(&repod->stopping) ? "the repository is being stopped"
						  : "too much is going on");
	reply_problem(request);
	request_resume(request);
	return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **context)
{
	struct request *request = *context;

	if (!request)
		return MHD_NO;
	switch (request->state) {
	case REQUEST_NEW:
		return on_headers(request, method);
	case REQUEST_BODY:
		return *size ? on_body(request, data, size) : on_end(request);
	case REQUEST_ANSWERED:
		return send_reply(request);
	case REQUEST_JOB:
		break;
	}
	return MHD_YES;
}

static void on_library_log(void *arg, const char *format, va_list args)
{
	static struct log_limit limit = LOG_LIMIT(10000, 5);
	char text[512];
	uint32_t left_out;

	/* Half-broken clients are everyday life; what the library says is for debugging. */
	if (!log_allowed(&limit, &left_out))
		return;
	vsnprintf(text, sizeof(text), format, args);
	log_debug("http: %s", text);
}

int http_start(struct listener *listener)
{
	const struct settings *settings = listener->repod->settings;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_ERROR_LOG | (listener->settings->tls ? MHD_USE_TLS : 0);
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, settings->tls.certificate_pem },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, settings->tls.key_pem },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

	listener->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, listener, MHD_OPTION_EXTERNAL_LOGGER,
		on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET, listener->socket,
		MHD_OPTION_THREAD_POOL_SIZE, (unsigned)settings->limits.threads,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)settings->limits.connections,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)settings->limits.idle_timeout,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_REQUEST,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_target, listener,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener, MHD_OPTION_ARRAY,
		listener->settings->tls ? tls : none, MHD_OPTION_END);
	return listener->daemon ? 0 : -EIO;
}

void http_quiesce(struct listener *listener)
{
	if (!listener->daemon)
		return;
	listener->socket = MHD_quiesce_daemon(listener->daemon);
	/* Who connects now is refused, and does not wait for an answer. */
	shutdown(listener->socket, SHUT_RDWR);
}

unsigned http_connections(const struct listener *listener)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}

void http_leave(struct listener *listener)
{
	if (listener->socket >= 0 && listener->settings->parsed.family == AF_UNIX)
		unlink(listener->settings->parsed.path);
	if (listener->socket >= 0)
		close(listener->socket);
	listener->socket = -1;
}

void http_stop(struct listener *listener)
{
	if (listener->daemon)
		MHD_stop_daemon(listener->daemon);
	listener->daemon = NULL;
	http_leave(listener);
}
