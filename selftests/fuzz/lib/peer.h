/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients and origins of fuzz_conn.c: what they say, and what they assert of what they read.
 * Which of it they say is decided by the input.
 */
#ifndef SELFTESTS_FUZZ_PEER_H
#define SELFTESTS_FUZZ_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../user/lib/http_chunk.h"
#include "../../../user/lib/http_head.h"
#include "../../../user/relay/proto.h"
#include "fake.h"

#define REQUESTS 64

/* What became of a request at the origin. */
struct exchange {
	bool head, head10;    /* a HEAD request; from an HTTP/1.0 client */
	bool once;	      /* may reach one origin only */
	bool refused;	      /* must reach none */
	bool wild;	      /* answered with bytes of the input */
	unsigned met;	      /* origins that saw its head */
	bool answered, whole; /* a final answer was begun; all of it was sent */
	uint32_t length;      /* of the body of that answer */
	uint32_t sent;	      /* of the request's body */
};

struct peer {
	int fd;			/* 0: none */
	bool wild;		/* sends bytes of the input */
	struct fake_bytes todo; /* taken: handed to the relay's side already */
	bool fin, rst;		/* when all of todo is out */
	size_t evil;		/* where in todo bytes begin that nobody asked for; 0: none */
	uint32_t ids[REQUESTS]; /* client: its requests in order */
	unsigned count;
	/* Reading what the relay sent. */
	unsigned answers;  /* client */
	int64_t answering; /* client: id of the answer being read; -1: ours */
	uint32_t current;  /* origin: id + 1 of the request whose body is being read */
	bool ready;	   /* origin: the request is complete */
	bool asked;	   /* origin: the answer has been given */
	uint64_t body, left;
	struct http_chunk chunk;
	enum http_framing framing;
	bool in_body, trailers, in_trailers;
};

extern enum proto_role peer_role;
extern struct exchange peer_exchanges[REQUESTS];
extern unsigned peer_exchange_count;

/* The input; peer_forget() forgets the requests, too. */
void peer_input(const uint8_t *data, size_t size);
bool peer_input_left(void);
void peer_forget(void);
uint8_t peer_next(void);
uint32_t peer_next_size(void);

/* Bytes of the input, one more request, an answer to the present one: added to todo. */
void peer_say_input(struct peer *peer);
void peer_ask(struct peer *client, uint8_t kind);
void peer_answer(struct peer *origin, uint8_t kind);
/* Up to n bytes of todo go out. */
void peer_push(struct peer *peer, size_t n);
/* Reads what the relay has sent, and asserts that it is right. */
void peer_read_requests(struct peer *origin);
void peer_read_answers(struct peer *client);

#endif
