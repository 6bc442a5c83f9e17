/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../user/lib/http_message.h"

#undef NDEBUG
#include <assert.h>

#define EVIL "HTTP/1.1 200 OK\r\nX-Id: 9999\r\nContent-Length: 4\r\n\r\nevil"

enum proto_role peer_role;
struct exchange peer_exchanges[REQUESTS];
unsigned peer_exchange_count;
static const uint8_t *at;
static size_t rest;

void peer_input(const uint8_t *data, size_t size)
{
	at = data;
	rest = size;
}

bool peer_input_left(void)
{
	return rest > 0;
}

void peer_forget(void)
{
	memset(peer_exchanges, 0, sizeof(peer_exchanges));
	peer_exchange_count = 0;
}

uint8_t peer_next(void)
{
	if (!rest)
		return 0;
	rest--;
	return *at++;
}

uint32_t peer_next_size(void)
{
	uint8_t byte = peer_next();

	return byte < 128 ? byte : (uint32_t)(byte - 127) * 70;
}

/* Byte k of a body; request and response bodies of one id differ. */
static char body_byte(uint32_t id, uint64_t k, bool response)
{
	return (char)('A' + (id * 7 + k * 5 + k / 13 + (response ? 3 : 0)) % 26);
}

static void say(struct peer *peer, const char *text)
{
	fake_put(&peer->todo, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void sayf(struct peer *peer, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say(peer, text);
}

static void say_body(struct peer *peer, uint32_t id, uint32_t from, uint32_t to, bool response)
{
	for (; from < to; from++) {
		char byte = body_byte(id, from, response);

		fake_put(&peer->todo, &byte, 1);
	}
}

static void say_chunks(struct peer *peer, uint32_t id, uint32_t len, bool response)
{
	uint32_t piece = 1 + peer_next_size();

	for (uint32_t done = 0; done < len; done += piece) {
		uint32_t end = done + piece < len ? done + piece : len;

		sayf(peer, "%x\r\n", end - done);
		say_body(peer, id, done, end, response);
		say(peer, "\r\n");
	}
}

void peer_say_input(struct peer *peer)
{
	uint32_t len = peer_next_size();

	while (len-- && rest) {
		char byte = (char)peer_next();

		fake_put(&peer->todo, &byte, 1);
	}
}

/* ---- clients ------------------------------------------------------------------------------ */

static const char *bridge_line(void)
{
	return peer_role == PROTO_ROLE_BACK
		       ? "X-Sluice-Bridge: 2 1 1 1000 80 ::ffff:192.0.2.1 blue -\r\n"
		       : "X-SLUICE-Bridge: evil\r\nX_Instance_ID: evil\r\n";
}

void peer_ask(struct peer *client, uint8_t kind)
{
	static const char *const methods[] = { "GET", "HEAD", "POST",	"PUT",
					       "GET", "GET",  "DELETE", "POST" };
	struct exchange *exchange = &peer_exchanges[peer_exchange_count];
	uint32_t id = peer_exchange_count, len;

	if (peer_exchange_count == REQUESTS || client->wild)
		return;
	peer_exchange_count++;
	kind %= 9;
	client->ids[client->count++] = id;
	if (kind == 8) {
		exchange->refused = true;
		sayf(client,
		     "POST /%u HTTP/1.1\r\nHost: 169.254.169.254\r\n%sContent-Length: 4\r\n"
		     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /%u HTTP/1.1\r\n\r\n",
		     id, bridge_line(), id);
		return;
	}
	sayf(client, "%s /%u HTTP/1.%u\r\nHost: 169.254.169.254\r\n%s%s", methods[kind], id,
	     kind != 4, bridge_line(), kind == 5 ? "Connection: close\r\n" : "");
	exchange->head = kind == 1;
	exchange->head10 = kind == 4;
	exchange->once = kind == 2 || kind == 3 || kind == 7;
	if (!exchange->once) {
		say(client, "\r\n");
		return;
	}
	len = peer_next_size();
	exchange->sent = len;
	if (kind == 3) {
		say(client, "Transfer-Encoding: chunked\r\n\r\n");
		say_chunks(client, id, len, false);
		say(client, "0\r\nX-Instance-ID: evil\r\nHost: evil\r\n\r\n");
	} else {
		sayf(client, "%sContent-Length: %u\r\n\r\n",
		     kind == 7 ? "Expect: 100-continue\r\n" : "", len);
		say_body(client, id, 0, len, false);
	}
}

/* The answer's head, without its end. */
static void begin_answer(struct peer *origin, struct exchange *exchange, const char *status,
			 uint32_t len)
{
	sayf(origin, "HTTP/1.1 %s\r\nX-Id: %u\r\n", status, origin->current - 1);
	exchange->answered = true;
	exchange->length = len;
	exchange->whole = true;
}

static void say_evil(struct peer *origin, uint8_t kind)
{
	if (!(kind & 0x80))
		return;
	origin->evil = origin->todo.len;
	say(origin, EVIL);
}

void peer_answer(struct peer *origin, uint8_t kind)
{
	struct exchange *exchange;
	uint32_t id, len, cut;

	if (!origin->fd || !origin->current || origin->asked || !fake_of(origin->fd)->open)
		return;
	id = origin->current - 1;
	exchange = &peer_exchanges[id];
	len = exchange->head ? 0 : peer_next_size();
	cut = len / 2;
	origin->asked = true;
	origin->fin |= !origin->ready;
	switch (kind % 11) {
	case 0:
	case 1:
		begin_answer(origin, exchange, "200 OK", len);
		sayf(origin, "Content-Length: %u\r\n\r\n", len);
		say_body(origin, id, 0, len, true);
		say_evil(origin, kind);
		break;
	case 2:
		begin_answer(origin, exchange, "200 OK", len);
		if (peer_role == PROTO_ROLE_FRONT && kind & 0x40)
			say(origin, "X-Sluice-Bridge: until-close\r\n");
		say(origin, "Transfer-Encoding: chunked\r\n\r\n");
		if (exchange->head)
			break;
		say_chunks(origin, id, len, true);
		say(origin, "0\r\nX-Sum: 1\r\n\r\n");
		say_evil(origin, kind);
		break;
	case 3:
		begin_answer(origin, exchange, "200 OK", len);
		say(origin, "\r\n");
		say_body(origin, id, 0, len, true);
		origin->fin = true;
		break;
	case 4:
		begin_answer(origin, exchange, kind & 0x80 ? "204 No Content" : "304 x", 0);
		say(origin, "\r\n");
		break;
	case 5:
		say(origin, "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\n");
		if (!(kind & 0x80)) {
			origin->asked = false;
			return;
		}
		say(origin, "HTTP/1.1 101 Switching\r\n\r\n");
		break;
	case 6:
		begin_answer(origin, exchange, "200 OK", len);
		exchange->whole = cut == len;
		sayf(origin, "Content-Length: %u\r\n\r\n", len);
		say_body(origin, id, 0, cut, true);
		origin->fin = true;
		break;
	case 7:
		begin_answer(origin, exchange, "200 OK", len);
		exchange->whole = false;
		say(origin, "Transfer-Encoding: chunked\r\n\r\n");
		if (exchange->head)
			break;
		say_chunks(origin, id, len, true);
		say(origin, kind & 0x80 ? "x\r\n" : "0\r\nX: y\r\n");
		origin->fin = true;
		break;
	case 8:
		begin_answer(origin, exchange, "200 OK", len);
		exchange->whole = false;
		say(origin, "\r\n");
		say_body(origin, id, 0, cut, true);
		origin->rst = true;
		break;
	case 9:
		exchange->wild = origin->wild = true;
		peer_say_input(origin);
		break;
	case 10:
		say(origin, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx");
		break;
	}
}

/* ---- reading ------------------------------------------------------------------------------ */

static const struct http_limits limits = { 16384, HTTP_FIELDS_MAX };

/* Takes body bytes that are there; checks them when id is known. True when the body has ended. */
static bool read_body(struct peer *peer, struct fake_bytes *bytes, int64_t id, bool response,
		      bool ended)
{
	if (peer->framing == HTTP_FRAMING_NONE)
		return true;
	while (bytes->taken < bytes->len || peer->framing == HTTP_FRAMING_LENGTH) {
		const char *data = bytes->data + bytes->taken;
		size_t have = bytes->len - bytes->taken, n = have, used = 0;

		if (peer->framing == HTTP_FRAMING_CHUNKED && !peer->in_trailers) {
			enum http_chunk_verdict verdict =
				http_chunk_next(&peer->chunk, data, have, &used);

			assert(verdict != HTTP_CHUNK_REFUSED);
			bytes->taken += used;
			if (verdict == HTTP_CHUNK_MORE)
				return false;
			peer->in_trailers = verdict == HTTP_CHUNK_TRAILERS;
			if (peer->in_trailers || bytes->taken == bytes->len)
				continue;
			data += used;
			n = have - used < peer->chunk.left ? have - used : (size_t)peer->chunk.left;
			http_chunk_passed(&peer->chunk, n);
		} else if (peer->in_trailers) {
			static struct http_head trailers;
			struct http_refusal refusal;
			size_t scanned = 0;

			switch (http_trailers_parse(data, have, &scanned, &limits, &trailers,
						    &refusal)) {
			case HTTP_OK:
				assert(!memmem(data, trailers.len, "evil", 4));
				bytes->taken += trailers.len;
				return true;
			case HTTP_MORE:
				return false;
			case HTTP_REFUSED:
				assert(!"trailers");
			}
		} else if (peer->framing == HTTP_FRAMING_LENGTH) {
			if (!peer->left)
				return true;
			if (!have)
				return false;
			n = have < peer->left ? have : (size_t)peer->left;
			peer->left -= n;
		}
		for (size_t i = 0; id >= 0 && i < n; i++)
			assert(data[i] == body_byte((uint32_t)id, peer->body + i, response));
		peer->body += n;
		bytes->taken += n;
	}
	return peer->framing == HTTP_FRAMING_EOF && ended;
}

static void begin_body(struct peer *peer, const struct http_head *head)
{
	peer->framing = head->framing;
	peer->left = head->length;
	peer->body = 0;
	peer->chunk = (struct http_chunk){ 0 };
	peer->in_trailers = false;
	peer->in_body = true;
}

/* What an origin has been sent. */
void peer_read_requests(struct peer *origin)
{
	static struct http_head head;
	struct fake_bytes *bytes = &fake_of(origin->fd)->out;
	struct http_refusal refusal;
	struct exchange *exchange;

	while (!origin->ready) {
		const char *data = bytes->data + bytes->taken;
		size_t scanned = 0;

		if (!origin->in_body) {
			enum http_verdict verdict;

			if (bytes->taken == bytes->len)
				return;
			verdict = http_request_parse(data, bytes->len - bytes->taken, &scanned,
						     &limits, &head, &refusal);
			assert(verdict != HTTP_REFUSED && head.minor == 1);
			if (verdict == HTTP_MORE)
				return;
			for (uint32_t i = 0; i < head.nfields; i++)
				assert(peer_role == PROTO_ROLE_FRONT ||
				       !http_name_is_identity(data + head.fields[i].name.at,
							      head.fields[i].name.len));
			assert(head.target.len && data[head.target.at] == '/');
			origin->current =
				1 + (uint32_t)strtoul(data + head.target.at + 1, NULL, 10);
			/* Bytes of the input may ask for anything. */
			if (origin->current > peer_exchange_count || head.target.len > 4) {
				origin->current = 0;
				origin->wild = true;
			} else {
				exchange = &peer_exchanges[origin->current - 1];
				exchange->wild |= origin->wild;
				assert(!exchange->refused &&
				       ++exchange->met <= (exchange->once ? 1 : 8));
			}
			begin_body(origin, &head);
			bytes->taken += head.len;
			continue;
		}
		if (!read_body(origin, bytes, origin->wild ? -1 : (int64_t)origin->current - 1,
			       false, false))
			return;
		origin->in_body = false;
		origin->ready = true;
		if (origin->current && !origin->wild)
			assert(origin->body == peer_exchanges[origin->current - 1].sent);
	}
}

/* A head of a final answer: whose is it? Returns the id of an origin's, or -1 for ours. */
static int64_t check_answer(struct peer *client, const struct http_head *head, const char *data,
			    struct exchange *exchange)
{
	const struct http_field *field = http_head_find(head, data, "X-Id");
	uint32_t id;

	if (exchange->wild || client->wild)
		return -1;
	if (!field) {
		assert(head->status >= 400);
		return -1;
	}
	id = (uint32_t)strtoul(data + field->value.at, NULL, 10);
	assert(id == client->ids[client->answers] && exchange->answered && !exchange->refused);
	return id;
}

/* What a client has been sent. */
void peer_read_answers(struct peer *client)
{
	static struct http_head head;
	struct fake *fake = fake_of(client->fd);
	struct fake_bytes *bytes = &fake->out;
	bool ended = (fake->fin || !fake->open) && !fake->rst;
	int64_t *id = &client->answering;
	struct http_refusal refusal;
	struct exchange *exchange;

	while (!client->wild) {
		const char *data = bytes->data + bytes->taken;
		size_t scanned = 0;

		if (!client->in_body) {
			enum http_method method = HTTP_GET;
			enum http_verdict verdict;

			if (bytes->taken == bytes->len)
				return;
			/* 408 and 503 may come before anything was asked. */
			exchange = client->answers < client->count
					   ? &peer_exchanges[client->ids[client->answers]]
					   : NULL;
			if (exchange && exchange->head)
				method = HTTP_HEAD;
			verdict = http_response_parse(data, bytes->len - bytes->taken, &scanned,
						      &limits, method, &head, &refusal);
			assert(verdict != HTTP_REFUSED);
			if (verdict == HTTP_MORE)
				return;
			assert(exchange || head.status == 408 || head.status == 503);
			if ((exchange && exchange->wild) ||
			    ((head.status == 408 || head.status == 503) && !head.keep_alive)) {
				/*
				 * What follows belongs to bytes of the input; or this is the last
				 * answer, given before the request's method was known.
				 */
				client->wild = true;
				return;
			}
			*id = exchange && head.status >= 200
				      ? check_answer(client, &head, data, exchange)
				      : -1;
			bytes->taken += head.len;
			if (head.status < 200)
				continue;
			begin_body(client, &head);
		}
		if (!read_body(client, bytes, *id, true, ended))
			return;
		client->in_body = false;
		client->answers++;
		if (*id >= 0)
			assert(peer_exchanges[*id].head || head.status == 204 ||
			       head.status == 304 ||
			       (peer_exchanges[*id].whole &&
				client->body == peer_exchanges[*id].length));
	}
}

/* The peer sends up to n bytes more of what it has to say. */
void peer_push(struct peer *peer, size_t n)
{
	struct fake *fake = peer->fd ? fake_of(peer->fd) : NULL;
	size_t left = peer->todo.len - peer->todo.taken;

	if (!fake || fake->peer_fin || fake->peer_rst)
		return;
	if (n > left)
		n = left;
	/* What arrives after the next request could not be told from its answer. */
	if (peer->evil && peer->todo.taken + n >= peer->evil)
		n = left;
	if (n)
		fake_put(&fake->in, peer->todo.data + peer->todo.taken, n);
	peer->todo.taken += n;
	if (peer->todo.taken < peer->todo.len)
		return;
	fake->peer_fin = peer->fin || peer->rst;
	fake->peer_rst = peer->rst;
}
