/* SPDX-License-Identifier: BSD-2-Clause */
#include "access.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../lib/log.h"
#include "conn.h"
#include "line.h"
#include "relay.h"
#include "sandbox.h"

#define NS_SEC	  INT64_C(1000000000)
#define ROUTE_MAX 128 /* bytes of a route's path that are logged */
/* Lines of a trace a second, and at once: more than one can read, not more than costs nothing. */
#define TRACE_RATE  500
#define TRACE_BURST 1000

/* Whatever stands behind the number: it is a file of the parent's, or a connection. */
SANDBOX_ALLOW_IF(write, 0, ACCESS_FD);
SANDBOX_ALLOW_IF(dup3, 1, ACCESS_FD);
SANDBOX_ALLOW_IF(write, 0, ACCESS_TRACE_FD);
SANDBOX_ALLOW_IF(dup3, 1, ACCESS_TRACE_FD);

/* ---- the file ------------------------------------------------------------------------------- */

/* False: the file takes no more. */
static bool write_line(struct line *line)
{
	static struct log_limit limit = LOG_LIMIT(60000, 1);
	uint32_t left_out;
	ssize_t n;

	line_end(line);
	n = write(ACCESS_FD, line->text, line->len);
	if (n == (ssize_t)line->len)
		return true;
	if (log_allowed(&limit, &left_out))
		log_error("access log: %s", n < 0 ? strerror(errno) : "the disk is full");
	return false;
}

int access_reopen(struct relay *relay, int fd)
{
	int rc = 0;

	if (!relay->access.log)
		rc = -EINVAL;
	else if (dup3(fd, ACCESS_FD, O_CLOEXEC) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* Room for the requests under way, when somebody first wants to know of them. */
static int prepare(struct relay *relay)
{
	struct access *access = &relay->access;
	size_t size = sizeof(*access->entries) * relay->conf->limits.connections;
	void *entries;

	if (access->entries)
		return 0;
	/* Ids differ between workers and between a worker and its successor. */
	if (getrandom(&access->next_id, sizeof(access->next_id), 0) != sizeof(access->next_id))
		return -EIO;
	access->tenants = calloc(relay->stats_count, sizeof(*access->tenants));
	if (!access->tenants)
		return -ENOMEM;
	entries = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (entries == MAP_FAILED) {
		free(access->tenants);
		access->tenants = NULL;
		return -ENOMEM;
	}
	access->entries = entries;
	return 0;
}

int access_reserve(const struct relay *relay)
{
	return dup3(relay->null_fd, ACCESS_TRACE_FD, O_CLOEXEC) < 0 ? -errno : 0;
}

int access_init(struct relay *relay, int fd)
{
	struct access *access = &relay->access;
	const struct conf_log *conf = &relay->conf->log;
	int rc;

	access->json = conf->format == CONF_LOG_JSON;
	if (conf->rate) {
		access->cost_ns = NS_SEC / conf->rate;
		access->depth_ns = access->cost_ns * conf->burst;
	}
	rc = prepare(relay);
	if (rc) {
		close(fd);
		return rc;
	}
	access->log = true;
	return access_reopen(relay, fd);
}

int access_trace(struct relay *relay, int fd, uint32_t tenant)
{
	struct access *access = &relay->access;
	int rc = fd >= 0 ? prepare(relay) : 0;

	if (!rc && dup3(fd >= 0 ? fd : relay->null_fd, ACCESS_TRACE_FD, O_CLOEXEC) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	access->tracing = fd >= 0 && !rc;
	access->trace_tenant = tenant;
	access->trace_left_out = 0;
	return rc;
}

/* ---- one request ----------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_SEC + now.tv_nsec;
}

static struct access_entry *entry_of(struct relay *relay, const struct conn *conn)
{
	return relay->access.entries ? &relay->access.entries[conn->slot] : NULL;
}

static struct access_entry *open_entry(struct relay *relay, const struct conn *conn)
{
	struct access_entry *entry = entry_of(relay, conn);

	entry->open = true;
	entry->id = relay->access.next_id++;
	entry->began_ns = now_ns();
	entry->connected_ns = entry->first_ns = 0;
	entry->head_in = entry->head_out = 0;
	entry->route = entry->origin = -1;
	entry->status = 0;
	entry->method_len = 0;
	entry->path_len = 0;
	entry->target_cut = false;
	return entry;
}

void access_begin(struct relay *relay, struct conn *conn)
{
	const struct http_head *head = &relay->head;
	const char *bytes = conn->in[CLIENT].data + conn->in[CLIENT].start;
	const char *target = bytes + head->target.at, *query;
	struct access_entry *entry;
	size_t len = head->target.len;

	if (!relay->access.entries)
		return;
	entry = open_entry(relay, conn);
	entry->head_in = head->len;
	entry->method_len = (uint8_t)(head->method_at.len < ACCESS_METHOD_MAX ? head->method_at.len
									      : ACCESS_METHOD_MAX);
	memcpy(entry->method, bytes + head->method_at.at, entry->method_len);
	query = memchr(target, '?', len);
	if (query)
		len = (size_t)(query - target) + 1;
	entry->target_cut = query || len > ACCESS_PATH_MAX;
	entry->path_len = (uint16_t)(len < ACCESS_PATH_MAX ? len : ACCESS_PATH_MAX);
	memcpy(entry->path, target, entry->path_len);
}

void access_routed(struct relay *relay, struct conn *conn, unsigned route)
{
	struct access_entry *entry = entry_of(relay, conn);

	if (entry)
		entry->route = (int32_t)route;
}

void access_rewritten(struct relay *relay, struct conn *conn)
{
	struct access_entry *entry = entry_of(relay, conn);

	if (entry)
		entry->head_out = buf_len(&conn->head[CLIENT]);
}

void access_connected(struct relay *relay, struct conn *conn)
{
	struct access_entry *entry = entry_of(relay, conn);

	if (!entry)
		return;
	entry->connected_ns = now_ns();
	if (relay->role != PROTO_ROLE_FRONT)
		entry->origin = (int32_t)conn->origin->index;
}

void access_answered(struct relay *relay, struct conn *conn, uint16_t status)
{
	struct access_entry *entry = entry_of(relay, conn);

	if (!entry)
		return;
	/* A head that was never complete, or was refused as a whole. */
	if (!entry->open)
		open_entry(relay, conn)->head_in = buf_len(&conn->in[CLIENT]);
	entry->status = status;
	if (!entry->first_ns)
		entry->first_ns = now_ns();
}

/* One line of a trace, or one more that is missing. */
static void trace_line(struct relay *relay, struct line *line)
{
	struct access *access = &relay->access;
	int64_t now = now_ns(), cost = NS_SEC / TRACE_RATE;
	ssize_t n;

	if (access->trace_paid_ns < now)
		access->trace_paid_ns = now;
	if (access->trace_paid_ns + cost - now > cost * TRACE_BURST) {
		access->trace_left_out++;
		return;
	}
	if (access->trace_left_out)
		line_number(line, "left_out", access->trace_left_out);
	line_end(line);
	/* The pipe does not block, and takes a line whole or not at all. */
	n = write(ACCESS_TRACE_FD, line->text, line->len);
	if (n == (ssize_t)line->len) {
		access->trace_paid_ns += cost;
		access->trace_left_out = 0;
	} else if (n < 0 && errno == EPIPE) {
		access_trace(relay, -1, 0);
	} else {
		access->trace_left_out++;
	}
}

/* False: over the tenant's share. */
static bool pay(struct access *access, struct access_tenant *tenant)
{
	int64_t now;

	if (!access->cost_ns)
		return true;
	now = now_ns();
	if (tenant->paid_ns < now)
		tenant->paid_ns = now;
	if (tenant->paid_ns + access->cost_ns - now > access->depth_ns)
		return false;
	tenant->paid_ns += access->cost_ns;
	return true;
}

static void put_service(struct line *line, const struct relay *relay, const struct conn *conn,
			const struct access_entry *entry)
{
	const struct conf_service *service;
	const struct conf_route *route;
	size_t len;

	if (entry->route < 0) {
		line_none(line, "route");
		line_none(line, "service");
		line_none(line, "origin");
		return;
	}
	route = &relay->conf->routes[entry->route];
	len = strnlen(route->path, ROUTE_MAX + 1);
	line_text(line, "route", route->path, len < ROUTE_MAX ? len : ROUTE_MAX, len > ROUTE_MAX);
	line_word(line, "service", route->service);
	service = &relay->conf->services[conn->service];
	if (entry->origin < 0)
		line_none(line, "origin");
	else
		line_text(line, "origin", service->origins[entry->origin].address,
			  strlen(service->origins[entry->origin].address), false);
}

static const char *engine_of(const struct relay *relay, const struct conn *conn)
{
	if (!conn->flow[ORIGIN].spliced && !conn->flow[CLIENT].spliced)
		return conf_engine_name(CONF_ENGINE_COPY);
	return conf_engine_name(relay->engine);
}

static void put_request(struct line *line, const struct relay *relay, const struct conn *conn,
			const struct access_entry *entry, const char *end)
{
	uint64_t sent = conn->flow[CLIENT].sent, in = entry->head_in;
	char id[20];

	line_time(line);
	snprintf(id, sizeof(id), "%016" PRIx64, entry->id);
	line_word(line, "id", id);
	line_word(line, "tenant", conn->tenant_name);
	line_address(line, "client", &conn->address, conn->client_port);
	if (bind_instance(relay, conn))
		line_word(line, "instance", bind_instance(relay, conn));
	else
		line_none(line, "instance");
	line_text(line, "method", entry->method, entry->method_len, false);
	line_text(line, "path", entry->path, entry->path_len, entry->target_cut);
	put_service(line, relay, conn, entry);
	if (entry->status)
		line_number(line, "status", entry->status);
	else
		line_none(line, "status");
	if (entry->connected_ns && sent > entry->head_out)
		in += sent - entry->head_out;
	line_number(line, "in", in);
	line_number(line, "out", entry->status ? conn->flow[ORIGIN].sent : 0);
	line_word(line, "engine", engine_of(relay, conn));
	line_span(line, "connect_ms", entry->began_ns, entry->connected_ns);
	line_span(line, "first_ms", entry->began_ns, entry->first_ns);
	line_span(line, "total_ms", entry->began_ns, now_ns());
	line_word(line, "end", end);
}

void access_end(struct relay *relay, struct conn *conn, const char *end)
{
	struct access_entry *entry = entry_of(relay, conn);
	struct access_tenant *tenant;
	struct line line;

	if (!entry || !entry->open)
		return;
	entry->open = false;
	if (relay->access.tracing &&
	    (!relay->access.trace_tenant || relay->access.trace_tenant == conn->tenant)) {
		line_begin(&line, true);
		put_request(&line, relay, conn, entry, end);
		trace_line(relay, &line);
	}
	if (!relay->access.log)
		return;
	tenant = &relay->access.tenants[conn->stats_slot];
	if (pay(&relay->access, tenant)) {
		line_begin(&line, relay->access.json);
		put_request(&line, relay, conn, entry, end);
		if (write_line(&line))
			return;
	}
	conn->client_stats->log_left_out++;
	tenant->left_out++;
	memcpy(tenant->name, conn->tenant_name, sizeof(tenant->name));
	relay->access.left_out = true;
}

void access_flush(struct relay *relay)
{
	struct access *access = &relay->access;
	struct line line;

	if (!access->left_out)
		return;
	access->left_out = false;
	for (uint32_t i = 0; i < relay->stats_count; i++) {
		struct access_tenant *tenant = &access->tenants[i];

		if (!tenant->left_out)
			continue;
		line_begin(&line, access->json);
		line_time(&line);
		line_word(&line, "tenant", tenant->name);
		line_number(&line, "left_out", tenant->left_out);
		if (write_line(&line))
			tenant->left_out = 0;
		else
			access->left_out = true;
	}
}
