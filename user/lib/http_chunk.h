/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chunked transfer coding (RFC 9112 7.1), decoded strictly and incrementally. The
 * decoder eats framing bytes and says where data begins and how much of it there is;
 * data bytes never pass through it, so that the pump may splice them:
 *
 *	for (;;) {
 *		verdict = http_chunk_next(&chunk, buf, len, &used);
 *		drop used bytes of buf;
 *		HTTP_CHUNK_MORE:     read more, come back
 *		HTTP_CHUNK_DATA:     move up to chunk.left bytes, from buf or from the socket,
 *				     http_chunk_passed(&chunk, moved); come back at left == 0
 *		HTTP_CHUNK_TRAILERS: the rest is http_trailers_parse()'s; then the body ends
 *		HTTP_CHUNK_REFUSED:  chunk.reason
 *	}
 *
 * Refused: chunk extensions, blanks, bare LF, more than 16 hex digits, sizes of 2^62
 * and more. Leading zeros are allowed within the 16 digits.
 */
#ifndef SLUICE_HTTP_CHUNK_H
#define SLUICE_HTTP_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_chunk_verdict {
	HTTP_CHUNK_MORE,
	HTTP_CHUNK_DATA,
	HTTP_CHUNK_TRAILERS,
	HTTP_CHUNK_REFUSED,
};

/* Zero-initialised is ready for a new body. Read left and reason, leave the rest. */
struct http_chunk {
	uint64_t left;	    /* data bytes of this chunk still to pass */
	uint64_t size;	    /* the size being read */
	const char *reason; /* of a refusal, one static sentence */
	uint8_t state;
	uint8_t digits;
};

/*
 * Eats framing bytes from buf; *ret_used says how many. On HTTP_CHUNK_DATA left is
 * above 0; calling again before it has passed eats nothing and says the same. After
 * HTTP_CHUNK_TRAILERS and HTTP_CHUNK_REFUSED every call says the same again.
 */
enum http_chunk_verdict http_chunk_next(struct http_chunk *chunk, const char *buf, size_t len,
					size_t *ret_used);
/* n data bytes have gone by; n must not be above left. */
void http_chunk_passed(struct http_chunk *chunk, uint64_t n);

/*
 * The encoder. head: what stands before size > 0 data bytes; from the second chunk on
 * it starts with the CRLF that ends the previous chunk's data. last: what stands before
 * the trailer section. Both return the bytes written, at most HTTP_CHUNK_HEAD_MAX.
 */
#define HTTP_CHUNK_HEAD_MAX 20
size_t http_chunk_write_head(char out[HTTP_CHUNK_HEAD_MAX], uint64_t size, bool first);
size_t http_chunk_write_last(char out[HTTP_CHUNK_HEAD_MAX], bool first);

#endif
