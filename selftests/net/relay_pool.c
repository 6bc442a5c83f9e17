/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Origin connections between two requests: what an origin says unasked, and what it left
 * unread, must never reach the next client.
 *
 * # timeout: 120
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/ways.h"

#define HOST			     "Host: 169.254.169.254\r\n"
#define counter(bench, field, value) ways_counter(bench, offsetof(struct sl_relay, field), value)

static struct response got;

/* The extra response arrives along with the body's end, while somebody waits for a connection. */
static void handed_over(struct bench *bench, unsigned long long size)
{
	struct client *first = client_open(bench->port), *waiting = client_open(bench->port);
	char path[64];

	snprintf(path, sizeof(path), "/extra/%llu/500", size);
	client_send(first, "GET ");
	client_send(first, path);
	client_send(first, " HTTP/1.1\r\n" HOST "\r\n");
	/* The first holds its origin connection; the next one will not get a fresh one. */
	expect(bench, counter(bench, origin_connects, 1));
	parent_withhold(bench->parent, true);
	client_send(waiting, "GET /length/77 HTTP/1.1\r\n" HOST "\r\n");
	client_read(first, false, &got);
	expect_body(bench, &got, size);
	parent_withhold(bench->parent, false);
	waiting->timeout_ms = 300;
	client_read(waiting, false, &got);
	/* It goes on waiting, as long as no other connection comes. */
	if (got.end != CLIENT_TIMEOUT)
		expect_body(bench, &got, 77);
	client_close(first);
	client_close(waiting);
}

static void handed_small(struct bench *bench)
{
	handed_over(bench, 100);
}

static void handed_copied(struct bench *bench)
{
	handed_over(bench, 20001);
}

static void handed_spliced(struct bench *bench)
{
	handed_over(bench, 400001);
}

static void taken(struct bench *bench)
{
	static const unsigned long long sizes[] = { 0, 100, 9000, 20001, 400001 };
	struct client *client = client_open(bench->port);
	char path[64];

	for (int round = 0; round < 10; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			snprintf(path, sizeof(path), "/extra/%llu", sizes[i]);
			client_ask(client, path, "", &got);
			expect_body(bench, &got, sizes[i]);
			client_ask(client, "/length/77", "", &got);
			expect_body(bench, &got, 77);
		}
	client_close(client);
}

/* An origin that does not read a body takes it for the next request. */
static void unread_body(struct bench *bench)
{
	static const char smuggled[] = "GET /slow/200 HTTP/1.1\r\n" HOST "\r\n";
	struct client *client = client_open(bench->port), *other = client_open(bench->port);
	char request[512];

	for (int round = 0; round < 5; round++) {
		snprintf(request, sizeof(request),
			 "%s /length/5 HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n%s",
			 round & 1 ? "DELETE" : "POST", sizeof(smuggled) - 1, smuggled);
		client_send(client, request);
		client_read(client, false, &got);
		if (round & 1)
			expect_body(bench, &got, 5);
		client_ask(other, "/length/77", "", &got);
		expect_body(bench, &got, 77);
		client_ask(other, "/length/78", "", &got);
		expect_body(bench, &got, 78);
	}
	client_close(client);
	client_close(other);
}

#define AT_ONCE	  100
#define POOL_SIZE 32 /* by default */

/*
 * So many requests at once, each answered after so many ms; how many connections the origin got for
 * them. False: not all came.
 */
static bool wave(struct bench *bench, unsigned ms, unsigned *ret_fresh)
{
	unsigned before = origin_connections(bench->origin);
	struct client *clients[AT_ONCE];
	bool good = true;
	char text[128];

	snprintf(text, sizeof(text), "GET /slow/%u HTTP/1.1\r\n" HOST "\r\n", ms);
	for (int i = 0; i < AT_ONCE; i++)
		clients[i] = client_open(bench->port);
	for (int i = 0; i < AT_ONCE; i++)
		client_send(clients[i], text);
	for (int i = 0; i < AT_ONCE; i++) {
		client_read(clients[i], false, &got);
		good &= got.end == CLIENT_COMPLETE && got.status == 200;
		client_close(clients[i]);
	}
	*ret_fresh = origin_connections(bench->origin) - before;
	return good;
}

/*
 * What pool_size has no room for serves the next wave, if that comes soon, and is gone after a
 * while. A machine that is held up may miss either once, but not each time; they last longer each
 * time.
 */
static void more_than_size(struct bench *bench)
{
	bool kept = false, gone = false;
	unsigned fresh;

	if (strcmp(bench->way->engine, "inline") != 0)
		return; /* they have nothing to do with that */
	for (unsigned tries = 1; tries <= 20 && !kept; tries++)
		kept = wave(bench, 200 * tries, &fresh) && wave(bench, 200 * tries, &fresh) &&
		       fresh <= AT_ONCE / 10;
	expect(bench, kept);
	for (unsigned tries = 1; tries <= 20 && !gone; tries++) {
		ways_sleep(2500);
		gone = wave(bench, 200 * tries, &fresh) && fresh >= (AT_ONCE - POOL_SIZE) / 2;
	}
	expect(bench, gone);
}

/* More than are asked for at once wait for a service that gets nothing; another one is served. */
static void silent_service(struct bench *bench)
{
	struct client *clients[300], *other;

	parent_withhold_service(bench->parent, 0);
	for (int i = 0; i < 300; i++) {
		clients[i] = client_open(bench->port);
		client_send(clients[i], "GET /length/1 HTTP/1.1\r\n" HOST "\r\n");
	}
	expect(bench, counter(bench, requests, 300));
	other = client_open(bench->port);
	client_ask(other, "/echo/hasty", "", &got);
	expect(bench, got.end == CLIENT_COMPLETE && got.status == 200);
	for (int i = 0; i < 300; i++)
		client_close(clients[i]);
	client_close(other);
}

#define PORTS 100

/* Local ports of this network namespace; whoever closed first keeps one for a minute, lo or not. */
static void ports(struct bench *bench, const char *range)
{
	static const char *const names[] = { "ip_local_port_range", "tcp_tw_reuse" };
	const char *const values[] = { range, "0" };
	char path[64];

	for (int i = 0; i < 2; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", names[i]);
		file = fopen(path, "w");
		expect(bench, file && fputs(values[i], file) >= 0);
		expect(bench, !file || !fclose(file));
	}
}

/* Requests whose origin connection serves no other one do not use its origin's ports up. */
static void few_ports(struct bench *bench)
{
	struct client *client = client_open(bench->port);
	unsigned before = origin_connections(bench->origin);
	uint64_t good = 0;

	ports(bench, "40000 40099");
	for (int i = 0; i < PORTS * 3 / 2; i++) {
		client_send(client, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx");
		client_read(client, false, &got);
		good += got.end == CLIENT_COMPLETE && got.status == 200;
	}
	expect(bench, good == PORTS * 3 / 2);
	expect(bench, origin_connections(bench->origin) - before >= good);
	client_ask(client, "/length/77", "", &got);
	expect_body(bench, &got, 77);
	client_close(client);
	ports(bench, "32768 60999");
}

/* Nor do clients that leave before they are answered. */
static void left_alone(struct bench *bench)
{
	struct client *clients[PORTS / 4], *client;

	ports(bench, "40000 40099");
	for (unsigned round = 1; round <= 5 && !bench->failed; round++) {
		for (int i = 0; i < PORTS / 4; i++) {
			clients[i] = client_open(bench->port);
			client_send(clients[i], "GET /stall HTTP/1.1\r\n" HOST "\r\n");
		}
		expect(bench, counter(bench, origin_connects, round * PORTS / 4));
		for (int i = 0; i < PORTS / 4; i++)
			client_reset(clients[i]);
		expect(bench, counter(bench, closed_client, round * PORTS / 4));
	}
	client = client_open(bench->port);
	client_ask(client, "/length/77", "", &got);
	expect_body(bench, &got, 77);
	client_close(client);
	ports(bench, "32768 60999");
}

static const struct ways_case cases[] = {
	{ "a response nobody asked for, before a connection is taken", taken },
	{ "the same, handed to one who waits (small)", handed_small },
	{ "the same (copied)", handed_copied },
	{ "the same (spliced)", handed_spliced },
	{ "a request body that the origin does not read", unread_body },
	{ "more at once than pool_size", more_than_size },
	{ "a service that gets no connection, beside another", silent_service },
	{ "more requests with bodies than local ports", few_ports },
	{ "more clients that leave than local ports", left_alone },
};

int main(void)
{
	return ways_run(cases, sizeof(cases) / sizeof(cases[0]),
			"limits: {connections_per_client: 400}\n", true);
}
