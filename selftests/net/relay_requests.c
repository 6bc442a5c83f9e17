/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests: many on one connection, answered in order; bodies in both framings; what is
 * refused, and that a refusal reaches the client.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/ways.h"

#define HOST "Host: 169.254.169.254\r\n"

static struct response got;

static void mixed_sizes(struct bench *bench)
{
	static const uint64_t sizes[] = { 0, 70000, 1, 8191, 8192, 1 << 20, 5, 65536, 200000, 12 };
	struct client *client = client_open(bench->port);
	char path[64];

	for (int i = 0; i < 40; i++) {
		uint64_t size = sizes[(size_t)i % (sizeof(sizes) / sizeof(sizes[0]))];

		snprintf(path, sizeof(path), i % 3 ? "/length/%llu" : "/chunked/%llu/9000",
			 (unsigned long long)size);
		client_ask(client, path, "", &got);
		expect_body(bench, &got, size);
		expect(bench, !got.close);
	}
	client_close(client);
}

static void pipelined(struct bench *bench)
{
	static const unsigned sizes[] = { 5, 100000, 0, 3, 70000, 1, 1000000, 2, 8192, 7 };
	struct client *client = client_open(bench->port);
	char text[4096] = "";

	for (int i = 0; i < 10; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "GET /%s/%u HTTP/1.1\r\n" HOST "\r\n", i % 4 ? "length" : "chunked",
			 sizes[i]);
	client_send(client, text);
	for (int i = 0; i < 10; i++) {
		client_read(client, false, &got);
		expect_body(bench, &got, sizes[i]);
	}
	client_close(client);
}

/* Every byte of three requests comes alone. */
static void byte_by_byte(struct bench *bench)
{
	static const char text[] =
		"GET /length/9 HTTP/1.1\r\n" HOST "\r\n"
		"HEAD /length/9 HTTP/1.1\r\n" HOST "\r\n"
		"PUT /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n0\r\n\r\n";
	struct client *client = client_open(bench->port);

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		client_send_bytes(client, text + i, 1);
		ways_sleep(1);
	}
	client_read(client, false, &got);
	expect_body(bench, &got, 9);
	client_read(client, true, &got);
	expect(bench, got.status == 200);
	client_read(client, false, &got);
	expect(bench, got.status == 200 && strtoull(got.text, NULL, 10) == 3);
	client_close(client);
}

static void half_close(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_send(client, "GET /slow/100 HTTP/1.1\r\n" HOST "\r\n"
			    "GET /length/300000 HTTP/1.1\r\n" HOST "\r\n");
	shutdown(client->fd, SHUT_WR);
	client_read(client, false, &got);
	expect_body(bench, &got, 100);
	client_read(client, false, &got);
	expect_body(bench, &got, 300000);
	expect(bench, client_ended(client, 30000));
	client_close(client);

	client = client_open(bench->port);
	client_send(client, "GET /length/5 HTTP/1.1\r\nHo");
	shutdown(client->fd, SHUT_WR);
	expect(bench, client_ended(client, 30000));
	client_close(client);
}

static void hash_text(uint64_t length, char out[2 * BODY_HASH_LEN + 1])
{
	uint8_t hash[BODY_HASH_LEN];

	body_expect(length, hash);
	for (int i = 0; i < BODY_HASH_LEN; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

/* The body arrived at the origin as it was sent. */
static bool uploaded(uint64_t length)
{
	char hash[2 * BODY_HASH_LEN + 1];

	hash_text(length, hash);
	return got.status == 200 && strtoull(got.text, NULL, 10) == length &&
	       strcmp(got.text + 21, hash) == 0;
}

static void uploads(struct bench *bench)
{
	static const unsigned sizes[] = { 0, 1, 5000, 65536, 1000000 };
	char *body = malloc(1000000), text[256];
	struct client *client = client_open(bench->port);

	body_fill(0, body, 1000000);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(text, sizeof(text),
			 "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: %u\r\n\r\n", sizes[i]);
		client_send(client, text);
		client_send_bytes(client, body, sizes[i]);
		client_read(client, false, &got);
		expect(bench, uploaded(sizes[i]));
		expect(bench, !got.close);
	}
	client_close(client);
	free(body);
}

static void send_chunks(struct client *client, const char *body, unsigned length, unsigned chunk)
{
	char frame[32];

	for (unsigned at = 0; at < length; at += chunk) {
		unsigned n = length - at < chunk ? length - at : chunk;

		snprintf(frame, sizeof(frame), "%x\r\n", n);
		client_send(client, frame);
		client_send_bytes(client, body + at, n);
		client_send(client, "\r\n");
	}
	client_send(client, "0\r\n\r\n");
}

static void chunked_uploads(struct bench *bench)
{
	static const struct {
		unsigned length, chunk;
	} bodies[] = { { 0, 1 }, { 1, 1 }, { 2000, 3 }, { 300000, 9000 }, { 1000000, 250000 } };
	struct client *client = client_open(bench->port);
	char *body = malloc(1000000);

	body_fill(0, body, 1000000);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		client_send(client,
			    "POST /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
		send_chunks(client, body, bodies[i].length, bodies[i].chunk);
		client_read(client, false, &got);
		expect(bench, uploaded(bodies[i].length));
	}
	/* The connection goes on in step. */
	client_ask(client, "/length/77", "", &got);
	expect_body(bench, &got, 77);
	client_close(client);
	free(body);
}

static void expect_continue(struct bench *bench)
{
	struct client *client = client_open(bench->port);
	char body[3000];

	body_fill(0, body, sizeof(body));
	client_send(client, "PUT /upload HTTP/1.1\r\n" HOST
			    "Expect: 100-continue\r\nContent-Length: 3000\r\n\r\n");
	ways_sleep(100); /* the 100 comes before the body */
	client_send_bytes(client, body, sizeof(body));
	client_read(client, false, &got);
	expect(bench, uploaded(sizeof(body)));
	expect(bench, got.interims == 1);
	client_close(client);
}

/* The origin answers and closes while the body is on its way. */
static void early_answer(struct bench *bench)
{
	struct client *client = client_open(bench->port);
	char *body = calloc(1, 900000);

	client_send(client, "PUT /early HTTP/1.1\r\n" HOST "Content-Length: 900000\r\n\r\n");
	client_send_bytes(client, body, 100000);
	client_read(client, false, &got);
	expect_body(bench, &got, 100);
	expect(bench, got.close);
	/* What is still sent does no harm to the answer, and the end is orderly. */
	client_send_bytes(client, body, 100000);
	expect(bench, client_ended(client, 30000));
	client_close(client);
	free(body);
}

static void upload_cut(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_send(client, "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc");
	shutdown(client->fd, SHUT_WR);
	client_read(client, false, &got);
	expect(bench, got.status == 0 && got.end != CLIENT_TIMEOUT);
	client_close(client);
}

static void refused(struct bench *bench)
{
	static const struct {
		const char *text;
		unsigned status;
		bool closes;
	} requests[] = {
		{ "NONSENSE\r\n\r\n", 400, true },
		{ "GET /length/1 HTTP/1.1\r\n\r\n", 400, true },
		{ "GET /length/1 HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 400, true },
		{ "GET /length/%00 HTTP/1.1\r\n" HOST "\r\n", 400, true },
		{ "PUT /get-only HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 405, false },
		{ "PUT /get-only HTTP/1.1\r\n" HOST "Content-Length: 50000\r\n\r\nabc", 405, true },
		{ "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: 2000000\r\n\r\nabc", 413, true },
		{ "PUT /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n200000\r\nabc",
		  413, true },
		{ "PUT /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400,
		  true },
		{ "PUT /upload HTTP/1.1\r\n" HOST
		  "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  400, true },
		{ "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 501, true },
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct client *client = client_open(bench->port);

		client_send(client, requests[i].text);
		client_read(client, false, &got);
		ways_expect(bench, got.status == requests[i].status && got.end == CLIENT_COMPLETE,
			    requests[i].text, (int)got.status, "the status");
		ways_expect(bench, got.close == requests[i].closes, requests[i].text,
			    (int)got.status, "Connection");
		if (requests[i].closes) {
			shutdown(client->fd, SHUT_WR);
			ways_expect(bench, client_ended(client, 30000), requests[i].text,
				    (int)got.status, "an orderly end");
		}
		client_close(client);
	}
}

static void head_too_long(struct bench *bench)
{
	struct client *client = client_open(bench->port);
	char line[1024];

	client_send(client, "GET /length/1 HTTP/1.1\r\n" HOST);
	memset(line, 'a', sizeof(line));
	memcpy(line, "X: ", 3);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	for (int i = 0; i < 40 && client_send_bytes(client, line, sizeof(line)); i++)
		;
	client_read(client, false, &got);
	expect(bench, got.status == 431 && got.end == CLIENT_COMPLETE);
	client_close(client);
}

/* A head that is near the limit passes, also over the bridge. */
static void head_long(struct bench *bench)
{
	struct client *client = client_open(bench->port);
	char fields[7000] = "Range: bytes=";

	for (int i = 0; i < 600; i++)
		snprintf(fields + strlen(fields), sizeof(fields) - strlen(fields), "%d-%d,", 10 * i,
			 10 * i + 1);
	memcpy(fields + strlen(fields) - 1, "\r\n", 3);
	client_ask(client, "/echo", fields, &got);
	expect(bench, got.status == 200 && strstr(got.text, "Range: bytes=0-1,10-11,"));
	client_close(client);
}

static void identity_is_ours(struct bench *bench)
{
	struct client *client = client_open(bench->port);

	client_ask(client, "/echo",
		   "X-Sluice-Bridge: 1 9 3 1 80 ::1 evil\r\nx_forwarded-for: 1.2.3.4\r\n"
		   "X-Instance-ID: i\r\nConnection: X-Keep\r\nX-Keep: no\r\nX-Other: yes\r\n",
		   &got);
	expect(bench, got.status == 200);
	expect(bench, !strcasestr(got.text, "bridge") && !strcasestr(got.text, "forwarded"));
	expect(bench, !strcasestr(got.text, "instance") && !strcasestr(got.text, "X-Keep"));
	expect(bench, strstr(got.text, "X-Other: yes\r\n") != NULL);
	client_close(client);
}

static void stale_origin(struct bench *bench)
{
	struct client *client = client_open(bench->port);
	struct sl_relay counters;

	/* The origin closes the connection when the next request is already on it. */
	for (int i = 0; i < 5; i++) {
		client_ask(client, "/once", "", &got);
		expect_body(bench, &got, 100);
		client_ask(client, "/length/20", "", &got);
		expect_body(bench, &got, 20);
	}
	counters = parent_counters(bench->parent);
	expect(bench, counters.origin_retries >= 5);
	client_close(client);
}

/* Urgent data is no part of the stream, and stops no other. */
static void urgent(struct bench *bench)
{
	struct client *client = client_open(bench->port);
	char *body = malloc(1000000);

	body_fill(0, body, 1000000);
	client_send(client, "PUT /upload HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
	client_send_bytes(client, body, 300000);
	expect(bench, send(client->fd, "!", 1, MSG_OOB) == 1);
	client_send_bytes(client, body + 300000, 700000);
	client_read(client, false, &got);
	expect(bench, uploaded(1000000));
	client_close(client);
	free(body);
}

static const struct ways_case cases[] = {
	{ "keep-alive with mixed sizes", mixed_sizes },
	{ "ten requests pipelined", pipelined },
	{ "a byte at a time", byte_by_byte },
	{ "half-closed clients", half_close },
	{ "request bodies with Content-Length", uploads },
	{ "request bodies in chunks", chunked_uploads },
	{ "a request body with urgent data", urgent },
	{ "100-continue", expect_continue },
	{ "an answer before the body is through", early_answer },
	{ "a request body that is cut", upload_cut },
	{ "refusals", refused },
	{ "431", head_too_long },
	{ "a long Range", head_long },
	{ "identity headers of clients", identity_is_ours },
	{ "stale pooled connections", stale_origin },
};

int main(void)
{
	return ways_run(cases, sizeof(cases) / sizeof(cases[0]), "", false);
}
