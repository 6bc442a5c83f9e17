/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One pipe for all workers, one socket for each who looks on. The workers bound their lines, the
 * guard its samples; what that leaves out is told from the counters once a second.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../gate/load.h"
#include "../lib/log.h"
#include "supervise.h"
#include "tenants.h"
#include "trace_text.h"
#include "worker.h"

#define TRACERS_MAX 16
#define PIPE_SIZE   (256 * 1024)
#define SEND_SIZE   (256 * 1024)
#define SUM_MS	    1000
#define BUFFER	    65536
#define READS_TURN  8 /* of the workers' pipe, before others get their turn */

struct tracer {
	struct trace *trace;
	struct tracer *prev, *next;
	int sock;
	struct loop_watch watch;  /* for its end */
	char tenant[SL_NAME_MAX]; /* empty: all */
	bool drops, requests;
	uint64_t unread;	   /* lines it had no room for */
	uint64_t dropped, sampled; /* up to the last sum; since then */
};

struct trace {
	struct sluiced *sluiced;
	struct tracer *tracers;
	unsigned ntracers;
	int pipe[2]; /* the workers'; -1: nobody wants requests */
	struct loop_watch lines;
	uint64_t summed_ms;
	size_t len;
	char buffer[BUFFER];
};

/* ---- to those who look on
 * ------------------------------------------------------------------------ */

static bool send_text(struct tracer *tracer, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
	bool sent = text && send(tracer->sock, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) > 0;

	free(text);
	return sent;
}

/* What it missed comes before what it gets. */
static void tell(struct tracer *tracer, json_t *line)
{
	json_t *missed;

	if (tracer->unread) {
		missed =
			trace_left_out(NULL, "lines", tracer->unread, "they were not read in time");
		if (send_text(tracer, missed))
			tracer->unread = 0;
		json_decref(missed);
	}
	if (tracer->unread || !send_text(tracer, line))
		tracer->unread++;
}

static bool wants(const struct tracer *tracer, const char *tenant)
{
	return !tracer->tenant[0] || (tenant && !strcmp(tracer->tenant, tenant));
}

/* ---- requests
 * -------------------------------------------------------------------------------------- */

static bool anybody(const struct trace *trace, const char **ret_tenant)
{
	bool any = false;

	*ret_tenant = NULL;
	for (const struct tracer *tracer = trace->tracers; tracer; tracer = tracer->next) {
		if (!tracer->requests)
			continue;
		/* Two tenants, or all: the workers send all, and we choose. */
		if (any && (!*ret_tenant || strcmp(*ret_tenant, tracer->tenant) != 0))
			*ret_tenant = "";
		else
			*ret_tenant = tracer->tenant;
		any = true;
	}
	return any;
}

int trace_equip(struct trace *trace, struct worker *worker)
{
	struct proto_trace about = { 0 };
	const char *name;
	const struct tenant *tenant;

	if (worker->role == PROTO_ROLE_BACK || !anybody(trace, &name) || trace->pipe[1] < 0)
		return 0;
	tenant = *name ? tenants_find(trace->sluiced->tenants, name) : NULL;
	about.tenant = tenant ? tenant->id : 0;
	return worker_send(worker, PROTO_TRACE, 0, &about, sizeof(about), &trace->pipe[1], 1);
}

static void close_pipe(struct trace *trace)
{
	loop_unwatch(&trace->sluiced->loop, &trace->lines);
	for (int i = 0; i < 2; i++) {
		if (trace->pipe[i] >= 0)
			close(trace->pipe[i]);
		trace->pipe[i] = -1;
	}
	trace->len = 0;
}

/* Tells all workers what is wanted now. */
static void update_workers(struct trace *trace)
{
	static const struct proto_trace none;
	struct worker *worker = NULL;
	const char *name;
	bool any = anybody(trace, &name);

	while ((worker = supervise_next(trace->sluiced->supervise, worker))) {
		if (worker->role == PROTO_ROLE_BACK)
			continue;
		if (any)
			trace_equip(trace, worker);
		else
			worker_send(worker, PROTO_TRACE, 0, &none, sizeof(none), NULL, 0);
	}
	if (!any)
		close_pipe(trace);
}

static void pass_request(struct trace *trace, const char *line, size_t len)
{
	uint64_t left_out;
	json_t *request = trace_request(line, len, &left_out), *missing = NULL;
	const char *tenant = json_string_value(json_object_get(request, "tenant"));

	if (!request)
		return;
	if (left_out)
		missing = trace_left_out(NULL, "requests", left_out,
					 "more than a worker tells in a second");
	for (struct tracer *tracer = trace->tracers; tracer; tracer = tracer->next) {
		if (!tracer->requests || !wants(tracer, tenant))
			continue;
		tell(tracer, request);
		if (missing)
			tell(tracer, missing);
	}
	json_decref(request);
	json_decref(missing);
}

static void pass_lines(struct trace *trace)
{
	char *end, *line = trace->buffer, *stop = trace->buffer + trace->len;

	while ((end = memchr(line, '\n', (size_t)(stop - line)))) {
		pass_request(trace, line, (size_t)(end - line));
		line = end + 1;
	}
	trace->len = (size_t)(stop - line);
	/* Lines are much shorter: whoever wrote this is no worker of ours. */
	if (trace->len == sizeof(trace->buffer))
		trace->len = 0;
	memmove(trace->buffer, line, trace->len);
}

static void on_lines(struct loop_watch *watch, uint32_t events)
{
	struct trace *trace = container_of(watch, struct trace, lines);

	for (int i = 0; i < READS_TURN; i++) {
		ssize_t n = read(trace->pipe[0], trace->buffer + trace->len,
				 sizeof(trace->buffer) - trace->len);

		if (n <= 0)
			return;
		trace->len += (size_t)n;
		pass_lines(trace);
	}
}

static int open_pipe(struct trace *trace)
{
	int err;

	if (trace->pipe[0] >= 0)
		return 0;
	if (pipe2(trace->pipe, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	fcntl(trace->pipe[0], F_SETPIPE_SZ, PIPE_SIZE);
	err = loop_watch(&trace->sluiced->loop, &trace->lines, trace->pipe[0], EPOLLIN, on_lines);
	if (err)
		close_pipe(trace);
	return err;
}

/* ---- drops
 * ----------------------------------------------------------------------------------------- */

static int64_t now_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void on_sample(const struct sl_sample *sample, void *arg)
{
	const struct sl_iface_key key = { .netns_cookie = sample->netns_cookie,
					  .ifindex = sample->ifindex };
	struct trace *trace = arg;
	const struct tenant *tenant;
	json_t *line = NULL;
	int64_t ago;

	if (!trace->tracers)
		return;
	tenant = tenants_by_iface(trace->sluiced->tenants, &key);
	if (!tenant)
		return;
	ago = now_us(CLOCK_MONOTONIC) - (int64_t)(sample->time_ns / 1000);
	for (struct tracer *tracer = trace->tracers; tracer; tracer = tracer->next) {
		if (!tracer->drops || !wants(tracer, tenant->want.name))
			continue;
		if (!line)
			line = trace_drop(sample, tenant->want.name, now_us(CLOCK_REALTIME) - ago);
		tracer->sampled++;
		tell(tracer, line);
	}
	json_decref(line);
}

/* All drops so far of the tenants it looks at. */
static uint64_t count_drops(const struct tracer *tracer)
{
	struct sluiced *sluiced = tracer->trace->sluiced;
	struct tenant *tenant = NULL;
	struct sl_verdicts verdicts;
	uint64_t sum = 0;

	while ((tenant = tenants_next(sluiced->tenants, tenant)))
		if (tenant->gate.attached && wants(tracer, tenant->want.name) &&
		    !gate_load_verdicts_get(sluiced->load, &tenant->gate.key, &verdicts))
			sum += gate_load_verdicts_drops(&verdicts);
	return sum;
}

static void sum_up(struct tracer *tracer)
{
	uint64_t now = count_drops(tracer), dropped = now - tracer->dropped;
	json_t *line;

	/* A tenant that left took its counters along. */
	if (now >= tracer->dropped && dropped > tracer->sampled) {
		line = trace_left_out(tracer->tenant[0] ? tracer->tenant : NULL, "drops",
				      dropped - tracer->sampled,
				      "the guard samples some of an interface's drops");
		tell(tracer, line);
		json_decref(line);
	}
	tracer->dropped = now;
	tracer->sampled = 0;
}

void trace_look(struct trace *trace)
{
	gate_load_samples_consume(trace->sluiced->load, on_sample, trace);
	if (!trace->tracers || loop_now() - trace->summed_ms < SUM_MS)
		return;
	trace->summed_ms = loop_now();
	for (struct tracer *tracer = trace->tracers; tracer; tracer = tracer->next)
		if (tracer->drops)
			sum_up(tracer);
}

/* ---- coming and going
 * -------------------------------------------------------------------------------- */

static void tracer_free(struct tracer *tracer)
{
	struct trace *trace = tracer->trace;

	loop_unwatch(&trace->sluiced->loop, &tracer->watch);
	close(tracer->sock);
	if (tracer->prev)
		tracer->prev->next = tracer->next;
	else
		trace->tracers = tracer->next;
	if (tracer->next)
		tracer->next->prev = tracer->prev;
	trace->ntracers--;
	free(tracer);
}

/* Nothing but its end is watched for. */
static void on_gone(struct loop_watch *watch, uint32_t events)
{
	struct tracer *tracer = container_of(watch, struct tracer, watch);
	struct trace *trace = tracer->trace;

	tracer_free(tracer);
	update_workers(trace);
}

int trace_begin(struct trace *trace, const char *tenant, bool drops, bool requests)
{
	int pair[2], size = SEND_SIZE, err = requests ? open_pipe(trace) : 0;
	struct tracer *tracer;

	if (err)
		return err;
	if (trace->ntracers >= TRACERS_MAX)
		return -EBUSY;
	tracer = calloc(1, sizeof(*tracer));
	if (!tracer)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		err = -errno;
		free(tracer);
		return err;
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	shutdown(pair[0], SHUT_RD);
	*tracer = (struct tracer){ .trace = trace,
				   .sock = pair[0],
				   .watch.fd = -1,
				   .drops = drops,
				   .requests = requests };
	if (tenant)
		strncpy(tracer->tenant, tenant, sizeof(tracer->tenant) - 1);
	tracer->next = trace->tracers;
	if (tracer->next)
		tracer->next->prev = tracer;
	trace->tracers = tracer;
	trace->ntracers++;
	tracer->dropped = count_drops(tracer);
	err = loop_watch(&trace->sluiced->loop, &tracer->watch, tracer->sock, 0, on_gone);
	if (err) {
		tracer_free(tracer);
		close(pair[1]);
		return err;
	}
	if (requests)
		update_workers(trace);
	return pair[1];
}

int trace_new(struct sluiced *sluiced, struct trace **ret)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return -ENOMEM;
	trace->sluiced = sluiced;
	trace->pipe[0] = trace->pipe[1] = trace->lines.fd = -1;
	*ret = trace;
	return 0;
}

void trace_free(struct trace *trace)
{
	if (!trace)
		return;
	while (trace->tracers)
		tracer_free(trace->tracers);
	close_pipe(trace);
	free(trace);
}
