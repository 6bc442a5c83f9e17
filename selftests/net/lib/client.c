/* SPDX-License-Identifier: BSD-2-Clause */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client *client_open(uint16_t port)
{
	struct client *client = calloc(1, sizeof(*client));
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->timeout_ms = 30000;
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || connect(client->fd, (void *)&to, sizeof(to)) < 0) {
		perror("client");
		exit(1);
	}
	return client;
}

void client_close(struct client *client)
{
	close(client->fd);
	free(client);
}

void client_reset(struct client *client)
{
	static const struct linger now = { 1, 0 };

	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	client_close(client);
}

bool client_send_bytes(struct client *client, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = send(client->fd, at, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

bool client_send(struct client *client, const char *text)
{
	return client_send_bytes(client, text, strlen(text));
}

/* Reads at least one byte more; what a failure means is in *ret_end. */
static bool more(struct client *client, enum client_end *ret_end)
{
	struct pollfd wait = { .fd = client->fd, .events = POLLIN };
	size_t room;
	ssize_t n;

	if (client->start) {
		memmove(client->in, client->in + client->start, client->len);
		client->start = 0;
	}
	room = sizeof(client->in) - client->len;
	if (client->slow_bytes && room > client->slow_bytes)
		room = client->slow_bytes;
	if (client->slow_ms) {
		struct timespec nap = { 0, (long)client->slow_ms * 1000000 };

		nanosleep(&nap, NULL);
	}
	if (poll(&wait, 1, (int)client->timeout_ms) <= 0) {
		*ret_end = CLIENT_TIMEOUT;
		return false;
	}
	n = recv(client->fd, client->in + client->len, room, 0);
	if (n <= 0) {
		*ret_end = n == 0 ? CLIENT_TRUNCATED : CLIENT_RESET;
		return false;
	}
	client->len += (size_t)n;
	return true;
}

static void take(struct client *client, size_t n)
{
	client->start += n;
	client->len -= n;
	if (client->len == 0)
		client->start = 0;
}

/* A line without its CRLF. */
static bool read_line(struct client *client, char *line, size_t size, enum client_end *ret_end)
{
	char *end;

	while (!(end = memmem(client->in + client->start, client->len, "\r\n", 2)))
		if (!more(client, ret_end))
			return false;
	snprintf(line, size, "%.*s", (int)(end - client->in - (long)client->start),
		 client->in + client->start);
	take(client, (size_t)(end - client->in) - client->start + 2);
	return true;
}

static void body_bytes(struct client *client, size_t n, struct body_hash *hash,
		       struct response *ret)
{
	const char *data = client->in + client->start;

	if (ret->length < sizeof(ret->text) - 1) {
		size_t room = sizeof(ret->text) - 1 - (size_t)ret->length;

		memcpy(ret->text + ret->length, data, n < room ? n : room);
	}
	body_hash_add(hash, data, n);
	ret->length += n;
	take(client, n);
}

static bool read_counted(struct client *client, uint64_t left, struct body_hash *hash,
			 struct response *ret)
{
	while (left) {
		size_t n;

		if (client->len == 0 && !more(client, &ret->end))
			return false;
		n = client->len < left ? client->len : (size_t)left;
		body_bytes(client, n, hash, ret);
		left -= n;
	}
	return true;
}

static void read_chunks(struct client *client, struct body_hash *hash, struct response *ret)
{
	char line[4096];
	uint64_t n;

	for (;;) {
		if (!read_line(client, line, sizeof(line), &ret->end))
			return;
		n = strtoull(line, NULL, 16);
		if (n == 0)
			break;
		if (!read_counted(client, n, hash, ret) ||
		    !read_line(client, line, sizeof(line), &ret->end))
			return;
		if (line[0]) {
			ret->end = CLIENT_GARBAGE;
			return;
		}
	}
	do {
		if (!read_line(client, line, sizeof(line), &ret->end))
			return;
	} while (line[0]);
	ret->end = CLIENT_COMPLETE;
}

static bool read_head(struct client *client, struct response *ret)
{
	size_t len;
	char *end;

	while (!(end = memmem(client->in + client->start, client->len, "\r\n\r\n", 4)))
		if (!more(client, &ret->end))
			return false;
	len = (size_t)(end - client->in) - client->start + 4;
	snprintf(ret->head, sizeof(ret->head), "%.*s", (int)len, client->in + client->start);
	take(client, len);
	if (sscanf(ret->head, "HTTP/1.1 %u", &ret->status) != 1) {
		ret->end = CLIENT_GARBAGE;
		return false;
	}
	return true;
}

void client_read(struct client *client, bool head_only, struct response *ret)
{
	struct body_hash hash;
	const char *length;

	memset(ret, 0, sizeof(*ret));
	do {
		if (!read_head(client, ret))
			return;
		if (ret->status < 200)
			ret->interims++;
	} while (ret->status < 200);
	ret->close = strcasestr(ret->head, "\r\nConnection: close") != NULL;
	ret->chunked = strcasestr(ret->head, "\r\nTransfer-Encoding: chunked") != NULL;
	length = strcasestr(ret->head, "\r\nContent-Length:");
	ret->end = CLIENT_COMPLETE;
	body_hash_init(&hash);
	if (head_only || ret->status == 204 || ret->status == 304) {
		/* No body. */
	} else if (ret->chunked) {
		read_chunks(client, &hash, ret);
	} else if (length) {
		read_counted(client, strtoull(length + 17, NULL, 10), &hash, ret);
	} else {
		ret->until_close = true;
		do
			body_bytes(client, client->len, &hash, ret);
		while (more(client, &ret->end));
		if (ret->end == CLIENT_TRUNCATED)
			ret->end = CLIENT_COMPLETE;
	}
	body_hash_end(&hash, ret->hash);
}

bool client_ended(struct client *client, unsigned timeout_ms)
{
	enum client_end end = CLIENT_COMPLETE;

	if (client->len)
		return false;
	client->timeout_ms = timeout_ms;
	return !more(client, &end) && end == CLIENT_TRUNCATED;
}

void client_ask(struct client *client, const char *path, const char *fields, struct response *ret)
{
	char text[8192];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: 169.254.169.254\r\n%s\r\n", path,
		 fields);
	client_send(client, text);
	client_read(client, false, ret);
}

void client_get(uint16_t port, const char *path, struct response *ret)
{
	struct client *client = client_open(port);

	client_ask(client, path, "", ret);
	client_close(client);
}
