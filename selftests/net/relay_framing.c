/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every framing of a response reaches the client whole, or visibly broken: a body that
 * its origin cut is never taken for a complete one.
 */
#include <stdio.h>
#include <string.h>

#include "lib/ways.h"

static struct response got;

static void chunked(struct bench *bench)
{
	static const struct {
		const char *path;
		uint64_t length;
	} bodies[] = {
		{ "/chunked/0/1", 0 },
		{ "/chunked/1/1", 1 },
		{ "/chunked/5000/1", 5000 },
		{ "/chunked/100000/8192", 100000 },
		{ "/chunked/1000000/65536", 1000000 },
		{ "/chunked/9000000/300000", 9000000 },
		{ "/chunked/9000000/9000000", 9000000 },
	};
	struct client *client = client_open(bench->port);

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		client_ask(client, bodies[i].path, "", &got);
		expect_body(bench, &got, bodies[i].length);
		expect(bench, got.chunked && !got.close);
	}
	client_close(client);
}

static void trailers(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_ask(client, "/trailers/5000", "", &got);
	expect_body(bench, &got, 5000);
	client_ask(client, "/length/10", "", &got);
	expect_body(bench, &got, 10);
	client_close(client);
}

static void until_close(struct bench *bench)
{
	static const uint64_t lengths[] = { 0, 1, 70000, 5000000 };
	char path[64];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		snprintf(path, sizeof(path), "/eof/%llu", (unsigned long long)lengths[i]);
		client_get(bench->port, path, &got);
		expect_body(bench, &got, lengths[i]);
		expect(bench, got.until_close && got.close);
	}
}

static void old_client(struct bench *bench)
{
	static const struct {
		const char *path;
		uint64_t length;
	} bodies[] = {
		{ "/length/70000", 70000 },
		{ "/chunked/5000/7", 5000 },
		{ "/chunked/3000000/200000", 3000000 },
		{ "/eof/300000", 300000 },
		{ "/interim/2", 100 },
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct client *client = client_open(bench->port);
		char text[128];

		snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\n\r\n", bodies[i].path);
		client_send(client, text);
		client_read(client, false, &got);
		expect_body(bench, &got, bodies[i].length);
		expect(bench, !got.chunked && !got.interims);
		expect(bench, client_ended(client, 2000) || got.until_close);
		client_close(client);
	}
}

static void old_client_kept(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	for (int i = 0; i < 3; i++) {
		client_send(client, "GET /length/100 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
		client_read(client, false, &got);
		expect_body(bench, &got, 100);
		expect(bench, strcasestr(got.head, "\r\nConnection: keep-alive") != NULL);
	}
	client_close(client);
}

static void no_body(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_send(client, "HEAD /length/5000 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n");
	client_read(client, true, &got);
	expect(bench, got.status == 200 && strstr(got.head, "Content-Length: 5000"));
	client_ask(client, "/no-content", "", &got);
	expect(bench, got.status == 204);
	client_ask(client, "/not-modified", "", &got);
	expect(bench, got.status == 304 && strstr(got.head, "Content-Length: 1234"));
	client_ask(client, "/length/3", "", &got);
	expect_body(bench, &got, 3);
	client_close(client);
}

static void pause(struct bench *bench)
{
	client_get(bench->port, "/pause/3000000", &got);
	expect_body(bench, &got, 3000000);
	client_get(bench->port, "/pause/10", &got);
	expect_body(bench, &got, 10);
}

static void slow_reader(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client->slow_ms = 2;
	client->slow_bytes = 65536;
	client_ask(client, "/length/12000000", "", &got);
	expect_body(bench, &got, 12000000);
	client_ask(client, "/chunked/4000000/100000", "", &got);
	expect_body(bench, &got, 4000000);
	client_close(client);
}

static void cut(struct bench *bench)
{
	static const char *const paths[] = {
		"/cut-length/100/50",  "/cut-length/1000000/500000", "/reset-length/1000000/500000",
		"/cut-length/70000/0", "/cut-chunked/1000/500",	     "/cut-chunked/1000000/500000",
		"/reset-eof/1000/500", "/reset-eof/1000000/500000",  "/bad-chunk/5000",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		client_get(bench->port, paths[i], &got);
		ways_expect(bench, got.end == CLIENT_RESET, paths[i], got.end,
			    "the client sees a reset");
		/* The workers are none the worse for it. */
		client_get(bench->port, "/length/70000", &got);
		expect_body(bench, &got, 70000);
	}
}

static void bad_heads(struct bench *bench)
{
	static const char *const paths[] = { "/garbage", "/switch", "/vanish" };
	struct client *client = client_open(bench->port);

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		client_ask(client, paths[i], "", &got);
		expect(bench, got.status == 502 && got.end == CLIENT_COMPLETE);
	}
	client_ask(client, "/length/5", "", &got);
	expect_body(bench, &got, 5);
	client_close(client);
}

static void interim(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_ask(client, "/interim/3", "", &got);
	expect_body(bench, &got, 100);
	expect(bench, got.interims == 3);
	client_ask(client, "/storm", "", &got);
	expect(bench, got.status == 502 && got.interims <= 16);
	client_close(client);
}

static const struct ways_case cases[] = {
	{ "chunked bodies, small and large chunks", chunked },
	{ "trailers", trailers },
	{ "bodies that end with the connection", until_close },
	{ "HTTP/1.0", old_client },
	{ "HTTP/1.0 keep-alive", old_client_kept },
	{ "HEAD, 204, 304", no_body },
	{ "a pause between head and body", pause },
	{ "a slow reader", slow_reader },
	{ "an origin that cuts the body is seen", cut },
	{ "no response head is 502", bad_heads },
	{ "1xx are passed on, not without end", interim },
};

int main(void)
{
	return ways_run(cases, sizeof(cases) / sizeof(cases[0]), "", false);
}
