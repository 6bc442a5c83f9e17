/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chunked transfer coding: a byte-wise state machine over framing bytes. Data comes
 * from connection buffers in relay/, which also keeps the data bytes themselves.
 */
#include <assert.h>
#include <string.h>

#include "http_chunk.h"
#include "http_head.h"

/* Named after what is awaited. */
enum chunk_state {
	CHUNK_SIZE, /* a digit, or after the first the CR behind them */
	CHUNK_SIZE_LF,
	CHUNK_DATA, /* left bytes of data, which are not ours */
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILERS,
	CHUNK_REFUSED,
};

#define CHUNK_DIGITS_MAX 16

static int digit_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns what is wrong with c in this state, or NULL. */
static const char *chunk_eat(struct http_chunk *chunk, unsigned char c)
{
	int digit;

	switch (chunk->state) {
	case CHUNK_SIZE:
		digit = digit_value(c);
		if (digit >= 0) {
			if (chunk->digits++ == CHUNK_DIGITS_MAX)
				return "A chunk size has too many digits.";
			chunk->size = chunk->size << 4 | digit;
			return NULL;
		}
		if (c == ';')
			return "Chunk extensions are not accepted.";
		if (c != '\r' || !chunk->digits)
			return "A chunk size is not a hexadecimal number.";
		if (chunk->size > HTTP_LENGTH_MAX)
			return "A chunk size is too large.";
		chunk->state = CHUNK_SIZE_LF;
		return NULL;
	case CHUNK_SIZE_LF:
		chunk->left = chunk->size;
		chunk->state = chunk->size ? CHUNK_DATA : CHUNK_TRAILERS;
		chunk->size = 0;
		chunk->digits = 0;
		return c == '\n' ? NULL : "A chunk size does not end with CRLF.";
	case CHUNK_DATA_CR:
		chunk->state = CHUNK_DATA_LF;
		return c == '\r' ? NULL : "A chunk is longer than its size says.";
	default: /* CHUNK_DATA_LF */
		chunk->state = CHUNK_SIZE;
		return c == '\n' ? NULL : "A chunk does not end with CRLF.";
	}
}

enum http_chunk_verdict http_chunk_next(struct http_chunk *chunk, const char *buf, size_t len,
					size_t *ret_used)
{
	size_t used = 0;

	while (used < len && chunk->state != CHUNK_DATA && chunk->state < CHUNK_TRAILERS) {
		const char *wrong = chunk_eat(chunk, buf[used++]);

		if (wrong) {
			chunk->reason = wrong;
			chunk->left = 0;
			chunk->state = CHUNK_REFUSED;
		}
	}
	*ret_used = used;
	switch (chunk->state) {
	case CHUNK_DATA:
		return HTTP_CHUNK_DATA;
	case CHUNK_TRAILERS:
		return HTTP_CHUNK_TRAILERS;
	case CHUNK_REFUSED:
		return HTTP_CHUNK_REFUSED;
	default:
		return HTTP_CHUNK_MORE;
	}
}

void http_chunk_passed(struct http_chunk *chunk, uint64_t n)
{
	assert(chunk->state == CHUNK_DATA && n <= chunk->left);
	chunk->left -= n;
	if (!chunk->left)
		chunk->state = CHUNK_DATA_CR;
}

size_t http_chunk_write_head(char out[HTTP_CHUNK_HEAD_MAX], uint64_t size, bool first)
{
	size_t at = 0;
	int shift = 60;

	assert(size);
	if (!first) {
		out[at++] = '\r';
		out[at++] = '\n';
	}
	while (!(size >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		out[at++] = "0123456789abcdef"[size >> shift & 15];
	out[at++] = '\r';
	out[at++] = '\n';
	return at;
}

size_t http_chunk_write_last(char out[HTTP_CHUNK_HEAD_MAX], bool first)
{
	const char *text = first ? "0\r\n" : "\r\n0\r\n";
	size_t len = strlen(text);

	memcpy(out, text, len);
	return len;
}
