/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client that reads responses byte for byte and knows a truncated one from a
 * complete one.
 */
#ifndef SELFTEST_CLIENT_H
#define SELFTEST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "body.h"

enum client_end {
	CLIENT_COMPLETE,  /* the response has all its bytes */
	CLIENT_TRUNCATED, /* the connection ended with FIN before */
	CLIENT_RESET,	  /* ended with a reset */
	CLIENT_TIMEOUT,
	CLIENT_GARBAGE,
};

struct client {
	int fd;
	unsigned timeout_ms; /* of one read; default 30000 */
	unsigned slow_ms;    /* a pause after each read of at most slow_bytes */
	size_t slow_bytes;
	char in[131072];
	size_t start, len;
};

struct response {
	enum client_end end;
	unsigned status;
	unsigned interims; /* 1xx before it */
	bool close;	   /* Connection: close */
	bool chunked, until_close;
	uint64_t length; /* body bytes that came */
	uint8_t hash[BODY_HASH_LEN];
	char head[16384];
	char text[4096]; /* the body's beginning, with a NUL */
};

/* Connects to 127.0.0.1; exits on failure. */
struct client *client_open(uint16_t port);
void client_close(struct client *client);
/* close(2) with SO_LINGER 0. */
void client_reset(struct client *client);
bool client_send(struct client *client, const char *text);
bool client_send_bytes(struct client *client, const void *data, size_t len);
/* Reads one response; head_only: it answers a HEAD. */
void client_read(struct client *client, bool head_only, struct response *ret);
/* True when the peer ends the connection with FIN within timeout_ms. */
bool client_ended(struct client *client, unsigned timeout_ms);

/* One GET on a connection of its own. */
void client_get(uint16_t port, const char *path, struct response *ret);
/* GET with more fields ("Name: value\r\n…") on an open connection. */
void client_ask(struct client *client, const char *path, const char *fields, struct response *ret);

#endif
