/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time limits, shortages and ends: each is told to the client in the right words, is
 * counted, and leaves the worker serving.
 *
 * # timeout: 180
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../user/lib/clock.h"
#include "lib/ways.h"

#define HOST "Host: 169.254.169.254\r\n"
#define SHORT_TIMES                                                                                \
	"limits: {head_timeout: 500, keepalive_timeout: 700, body_timeout: 500,\n"                 \
	"  send_timeout: 1000}\n"
#define FEW			     "limits: {connections: 12, connections_per_client: 8}\n"
#define counter(bench, field, value) ways_counter(bench, offsetof(struct sl_relay, field), value)

static struct response got;

static void still_serving(struct bench *bench)
{
	client_get(bench->port, "/length/100000", &got);
	expect_body(bench, &got, 100000);
}

/* Milliseconds until half a head was refused. */
static int64_t refuse_half(struct bench *bench)
{
	struct client *client = client_open(bench->port);
	int64_t began = clock_ms(CLOCK_MONOTONIC);

	client_send(client, "GET /length/1 HTTP/1.1\r\nHo");
	client_read(client, false, &got);
	expect(bench, got.status == 408 && got.end == CLIENT_COMPLETE && got.close);
	client_close(client);
	return clock_ms(CLOCK_MONOTONIC) - began;
}

/* Long before the 10 s that are the default; where processes stand still, one of many times. */
static void slow_head(struct bench *bench)
{
	int64_t took = refuse_half(bench);

	for (int i = 0; i < 10 && took > 5000; i++)
		took = refuse_half(bench);
	expect(bench, took <= 5000);
	expect(bench, counter(bench, closed_timeout, 1));
	still_serving(bench);
}

static void drip_head(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	struct pollfd answer = { .fd = client->fd, .events = POLLIN };

	/* Each byte comes in time; the head as a whole does not: that is told while they come. */
	client_send(client, "GET /length/1 HTTP/1.1\r\n" HOST "X: ");
	for (int i = 0; i < 300 && !poll(&answer, 1, 0) && client_send(client, "a"); i++)
		ways_sleep(100);
	client->timeout_ms = 0;
	client_read(client, false, &got);
	expect(bench, got.status == 408 && got.end == CLIENT_COMPLETE);
	client_close(client);
	still_serving(bench);
}

static void idle(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_ask(client, "/length/5", "", &got);
	expect_body(bench, &got, 5);
	/* No 408: nobody asked anything. */
	expect(bench, client_ended(client, 30000));
	client_close(client);
}

static void slow_body(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_send(client, "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc");
	client_read(client, false, &got);
	expect(bench, got.status == 408 && got.end == CLIENT_COMPLETE);
	client_close(client);
	still_serving(bench);
}

static void slow_origin(struct bench *bench)
{
	client_get(bench->port, "/stall/hasty", &got);
	expect(bench, got.status == 504 && got.end == CLIENT_COMPLETE);
	still_serving(bench);
}

static void no_reader(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_send(client, "GET /length/50000000 HTTP/1.1\r\n" HOST "\r\n");
	expect(bench, counter(bench, closed_timeout, 1));
	client_close(client);
	still_serving(bench);
}

static void no_origin(struct bench *bench)
{
	parent_fail(bench->parent, ECONNREFUSED);
	client_get(bench->port, "/length/1", &got);
	expect(bench, got.status == 503 && strcasestr(got.head, "\r\nRetry-After: "));
	parent_fail(bench->parent, 0);
	still_serving(bench);
}

static void too_many(struct bench *bench)
{
	struct client *held[8];

	for (int i = 0; i < 8; i++) {
		held[i] = client_open(bench->port);
		client_ask(held[i], "/length/1", "", &got);
		expect_body(bench, &got, 1);
	}
	client_get(bench->port, "/length/1", &got);
	expect(bench, got.status == 503 && strcasestr(got.head, "\r\nRetry-After: "));
	expect(bench, counter(bench, closed_limit, 1));
	for (int i = 0; i < 8; i++)
		client_close(held[i]);
	expect(bench, counter(bench, closed_ok, 8));
	still_serving(bench);
}

static void client_gone(struct bench *bench)
{
	static const char *const paths[] = { "/length/90000000", "/chunked/90000000/400000",
					     "/eof/90000000" };
	unsigned broken = origin_broken(bench->origin);

	for (size_t i = 0; i < 3; i++) {
		struct client *client = client_open(bench->port);
		struct pollfd begun = { .fd = client->fd, .events = POLLIN };
		char text[256];

		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
		client_send(client, text);
		/* The answer is on its way. */
		expect(bench, poll(&begun, 1, 30000) == 1);
		ways_sleep(50);
		if (i % 2)
			client_close(client);
		else
			client_reset(client);
		for (int wait = 0; wait < 3000 && origin_broken(bench->origin) == broken; wait++)
			ways_sleep(10);
		expect(bench, origin_broken(bench->origin) > broken);
		broken = origin_broken(bench->origin);
	}
	expect(bench, counter(bench, closed_client, 3));
	still_serving(bench);
}

/* A client that resets while the origin thinks is noticed before the origin answers. */
static void waiting_client_gone(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_send(client, "GET /stall HTTP/1.1\r\n" HOST "\r\n");
	expect(bench, counter(bench, requests, 1));
	ways_sleep(50);
	client_reset(client);
	expect(bench, counter(bench, closed_client, 1));
	still_serving(bench);
}

static void drained(struct bench *bench)
{
	struct client *idle_one = client_open(bench->port), *busy = client_open(bench->port);

	client_ask(idle_one, "/length/1", "", &got);
	expect_body(bench, &got, 1);
	client_send(busy, "GET /slow/6000 HTTP/1.1\r\n" HOST "\r\n");
	expect(bench, counter(bench, requests, 2));
	ways_sleep(100);
	parent_drain(bench->parent, 120000);
	/* Closing it would race with its next request. */
	expect(bench, !client_ended(idle_one, 100));
	idle_one->timeout_ms = 30000;
	client_ask(idle_one, "/length/2", "", &got);
	expect_body(bench, &got, 2);
	expect(bench, got.close);
	client_read(busy, false, &got);
	expect_body(bench, &got, 100);
	expect(bench, got.close);
	expect(bench, parent_wait(bench->parent, 30000));
	client_close(idle_one);
	client_close(busy);
}

static void drain_deadline(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_send(client, "GET /length/80000000 HTTP/1.1\r\n" HOST "\r\n");
	expect(bench, counter(bench, requests, 1));
	ways_sleep(100);
	parent_drain(bench->parent, 300);
	expect(bench, parent_wait(bench->parent, 30000));
	client_read(client, false, &got);
	expect(bench, got.end == CLIENT_RESET);
	client_close(client);
}

static void detached(struct bench *bench)
{
	struct client *idle_one = client_open(bench->port), *busy = client_open(bench->port);
	struct client *late;

	client_ask(idle_one, "/length/1", "", &got);
	client_send(busy, "GET /length/80000000 HTTP/1.1\r\n" HOST "\r\n");
	expect(bench, counter(bench, requests, 2));
	ways_sleep(100);
	late = client_open(bench->port);
	parent_unlisten(bench->parent, true);
	client_read(busy, false, &got);
	expect(bench, got.end == CLIENT_RESET);
	client_read(idle_one, false, &got);
	expect(bench, got.end == CLIENT_RESET);
	expect(bench, counter(bench, closed_shutdown, 2));
	client_close(idle_one);
	client_close(busy);
	client_close(late);
}

static void orphaned(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_ask(client, "/length/10", "", &got);
	expect_body(bench, &got, 10);
	parent_vanish(bench->parent);
	ways_sleep(100);
	/* On the pooled connection, then on none. */
	client_ask(client, "/length/20", "", &got);
	expect_body(bench, &got, 20);
	client_ask(client, "/once", "", &got);
	expect_body(bench, &got, 100);
	client_ask(client, "/length/20", "", &got);
	expect(bench, got.status == 503 && strcasestr(got.head, "\r\nRetry-After: "));
	client_close(client);
	parent_kill(bench->parent);
}

/* Of times that are over soon; what else a case asks is answered in less. */
static const struct ways_case in_time[] = {
	{ "408 for a head without end", slow_head },
	{ "408 for a head that drips", drip_head },
	{ "an idle connection is closed without a word", idle },
	{ "408 for a body that does not come", slow_body },
	{ "504 for an origin that does not answer", slow_origin },
	{ "a client that reads nothing is let go", no_reader },
};

static const struct ways_case others[] = {
	{ "503 without an origin", no_origin },
	{ "503 over the limit for one client", too_many },
	{ "the origin learns that the client has gone", client_gone },
	{ "a waiting client that resets is noticed", waiting_client_gone },
	{ "drain lets requests finish", drained },
	{ "drain ends at its deadline", drain_deadline },
	{ "detach resets at once", detached },
	{ "without a parent pooled connections go on", orphaned },
};

int main(void)
{
	int first = ways_run(in_time, sizeof(in_time) / sizeof(in_time[0]), SHORT_TIMES, true);
	int second = ways_run(others, sizeof(others) / sizeof(others[0]), FEW, true);

	return first ? first : second;
}
