/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The request's head: read from the client, checked, routed, rewritten. It ends with
 * a head for the origin in conn->head[CLIENT], or with a refusal.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "bridge.h"
#include "conn.h"
#include "identity.h"
#include "measure.h"
#include "relay.h"

#include "../lib/http_message.h"
#include "../lib/http_path.h"

/* A request has begun; until its head is known, an answer is the connection's last. */
void conn_begin_head(const struct relay *relay, struct conn *conn)
{
	conn->state = CONN_HEAD;
	conn->scanned[CLIENT] = 0;
	conn->head_len = 0;
	conn->method = HTTP_OTHER;
	conn->minor = 1;
	conn->keep_alive = false;
	conn->request_deadline_ms = relay->now_ms + relay->conf->limits.request_timeout;
}

void conn_read_head(struct relay *relay, struct conn *conn)
{
	struct buf *in = &conn->in[CLIENT];
	ssize_t n = conn_fill(relay, conn, CLIENT);

	if (n == -EAGAIN) {
		if (buf_len(in) == 0)
			buf_put(in);
		return;
	}
	if (n <= 0) {
		/* A connection ends in order between two requests only. */
		conn_close(relay, conn,
			   n == -ENOBUFS			? CONN_END_LIMIT
			   : n == 0 && conn->state == CONN_IDLE ? CONN_END_OK
								: CONN_END_CLIENT);
		return;
	}
	conn->client_stats->bytes_from_client += (uint64_t)n;
	if (conn->state == CONN_IDLE)
		conn_begin_head(relay, conn);
	conn_parse_head(relay, conn);
}

/* An answer to HEAD has no body, also when the rest of the head is refused. */
static bool begins_with_head(const struct buf *in)
{
	const char *text = in->data + in->start;
	uint32_t len = buf_len(in), at = len >= 2 && memcmp(text, "\r\n", 2) == 0 ? 2 : 0;

	return len - at >= 5 && memcmp(text + at, "HEAD ", 5) == 0;
}

static void accept_request(struct relay *relay, struct conn *conn);

void conn_parse_head(struct relay *relay, struct conn *conn)
{
	struct buf *in = &conn->in[CLIENT];
	struct http_refusal refusal;
	bool first = conn->scanned[CLIENT] == 0;

	switch (http_request_parse(in->data + in->start, buf_len(in), &conn->scanned[CLIENT],
				   &relay->limits, &relay->head, &refusal)) {
	case HTTP_MORE:
		if (first)
			conn_deadline(relay, conn, relay->conf->limits.head_timeout);
		conn_await(relay, conn, CLIENT, RING_READABLE);
		break;
	case HTTP_OK:
		accept_request(relay, conn);
		break;
	case HTTP_REFUSED:
		conn->client_stats->requests++;
		if (begins_with_head(in))
			conn->method = HTTP_HEAD;
		conn_refuse(relay, conn, refusal.status, refusal.reason, CONN_END_PROTOCOL);
		break;
	}
}

/* Forgets the last exchange. */
static void begin_exchange(struct conn *conn, const struct http_head *head)
{
	conn->method = head->method;
	conn->minor = head->minor;
	conn->keep_alive = head->keep_alive;
	conn->has_body = head->framing == HTTP_FRAMING_CHUNKED || head->length > 0;
	conn->idempotent = head->method != HTTP_OTHER && head->method != HTTP_POST &&
			   head->method != HTTP_PATCH && !conn->has_body;
	conn->tries = 0;
	conn->answered = false;
	conn->cut = false;
	conn->closing = false;
	conn->refused = false;
	conn->origin_keep = false;
	conn->interims = 0;
	conn->head_len = head->len;
	conn->reason = CONN_END_OK;
	conn->total_deadline_ms = INT64_MAX;
}

/* Lines that tell the origin, or the other half of the bridge, who asks. */
static int write_identity(struct relay *relay, struct conn *conn, const struct http_head *head,
			  const char *target, size_t target_len, char *out, size_t size)
{
	const struct conf_service *service = &relay->conf->services[conn->service];
	const struct buf *in = &conn->in[CLIENT];
	struct identity_input who = {
		.tenant = conn->tenant_name,
		.network = conn->network[0] ? conn->network : conn->tenant_name,
		.instance = bind_instance(relay, conn),
		.project = bind_project(relay, conn),
		.client = conn->address,
		.method = in->data + in->start + head->method_at.at,
		.method_len = head->method_at.len,
		.target = target,
		.target_len = target_len,
	};

	if (relay->role == PROTO_ROLE_FRONT)
		return bridge_write(relay, conn, out, size);
	if (service->identity == CONF_IDENTITY_NONE)
		return 0;
	if (relay->role == PROTO_ROLE_BACK) {
		who.instance = relay->instance;
		who.project = relay->project;
	}
	who.time = time(NULL);
	return identity_write(service->identity, service->secret, &who, out, size);
}

static void refuse_identity(struct relay *relay, struct conn *conn, int error)
{
	if (error == -ENOENT)
		conn_refuse(relay, conn, 404, "this machine is not known here", CONN_END_OK);
	else
		conn_refuse(relay, conn, 500, "the service's identity is not configured rightly",
			    CONN_END_OK);
}

/* Rewrites the head for the origin. False: refused. */
static bool rewrite(struct relay *relay, struct conn *conn, const char *target, size_t target_len)
{
	struct buf *in = &conn->in[CLIENT], *out = &conn->head[CLIENT];
	char identity[IDENTITY_MAX];
	struct http_request_plan plan = {
		.target = target,
		.target_len = target_len,
		.identity = identity,
		.host = "169.254.169.254",
	};
	int n = write_identity(relay, conn, &relay->head, target, target_len, identity,
			       sizeof(identity));

	if (n < 0) {
		refuse_identity(relay, conn, n);
		return false;
	}
	plan.identity_len = (size_t)n;
	if (buf_take(&relay->heads, out) < 0) {
		conn_refuse(relay, conn, 503, NULL, CONN_END_LIMIT);
		return false;
	}
	n = http_request_write(&relay->head, in->data + in->start, &plan, out->data, out->size);
	if (n < 0) {
		conn_refuse(relay, conn, 431, NULL, CONN_END_OK);
		return false;
	}
	out->start = 0;
	out->end = (uint32_t)n;
	return true;
}

/* Checks that need no route. False: refused. */
static bool check(struct relay *relay, struct conn *conn, const struct http_head *head)
{
	const char *bytes = conn->in[CLIENT].data + conn->in[CLIENT].start;
	uint32_t wait;

	if (relay->role == PROTO_ROLE_BACK && bridge_read(relay, conn, head, bytes) < 0) {
		conn_close(relay, conn, CONN_END_PROTOCOL);
		return false;
	}
	conn->client_stats->requests++;
	/* A BACK worker's clients have paid at the FRONT. */
	wait = relay->role == PROTO_ROLE_BACK
		       ? 0
		       : budget_spend(&relay->budgets, conn->tenant, &conn->payer, relay->now_ms);
	if (wait) {
		conn->client_stats->over_budget++;
		conn_answer(relay, conn,
			    &(struct http_error){ .status = 503,
						  .reason = "Too many requests; ask again later.",
						  .retry_after = wait },
			    CONN_END_LIMIT);
		return false;
	}
	if (head->has_host && !route_host_allowed(relay->routes, bytes + head->host.at,
						  head->host.len, conn->local_port)) {
		conn_refuse(relay, conn, 400, "Host is not a name of this service",
			    CONN_END_PROTOCOL);
		return false;
	}
	if (head->has_length && head->length > relay->conf->limits.body_size) {
		conn_refuse(relay, conn, 413, NULL, CONN_END_LIMIT);
		return false;
	}
	return true;
}

static void accept_request(struct relay *relay, struct conn *conn)
{
	const struct http_head *head = &relay->head;
	struct buf *in = &conn->in[CLIENT];
	struct route_verdict verdict;
	const struct conf_service *service;
	size_t path_len = 1;
	const char *why;
	int n = 1;

	begin_exchange(conn, head);
	measure_begin(conn);
	access_begin(relay, conn);
	pump_begin(&conn->flow[CLIENT], head->framing, head->length, relay->conf->limits.body_size);
	if (!check(relay, conn, head))
		return;
	if (head->asterisk)
		relay->path[0] = '*';
	else
		n = http_path_normalise(in->data + in->start + head->target.at, head->target.len,
					relay->path, relay->path_size, &path_len, &why);
	if (n < 0) {
		conn_refuse(relay, conn, 400, n == -EINVAL ? why : NULL, CONN_END_PROTOCOL);
		return;
	}
	route_find(relay->routes, head, in->data + in->start, relay->path, path_len, &verdict);
	if (verdict.status != 404) {
		conn->service = verdict.service;
		access_routed(relay, conn, verdict.route);
	}
	if (verdict.status) {
		conn_answer(relay, conn,
			    &(struct http_error){ .status = verdict.status,
						  .reason = verdict.reason,
						  .allow = verdict.allow },
			    CONN_END_OK);
		return;
	}
	service = &relay->conf->services[conn->service];
	if (!rewrite(relay, conn, relay->path, (size_t)n))
		return;
	access_rewritten(relay, conn);
	buf_consume(in, conn->head_len);
	conn->head_len = 0;
	if (buf_len(in) == 0)
		buf_put(in);
	if (service->total_timeout)
		conn->total_deadline_ms = relay->now_ms + service->total_timeout;
	conn_take_origin(relay, conn);
}
