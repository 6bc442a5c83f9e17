/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the head parser: lines and fields. Others include http_head.h.
 */
#ifndef SLUICE_HTTP_FIELD_H
#define SLUICE_HTTP_FIELD_H

#include <endian.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "http_head.h"

enum http_text_kind { HTTP_TEXT_REQUEST, HTTP_TEXT_RESPONSE, HTTP_TEXT_TRAILERS };

/*
 * A complete head, buf[at..end), end being behind the final empty line. It has been
 * scanned: every LF follows a CR, every CR precedes an LF, and HT is the only other
 * control byte.
 */
struct http_text {
	const char *buf;
	size_t at, end;
};

/* What the fields say together and no single member of struct http_head can. */
struct http_facts {
	bool chunked, close, keep_alive, bad_expect;
};

/* Fills *ret and returns HTTP_REFUSED. */
enum http_verdict http_refuse(struct http_refusal *ret, unsigned status, const char *reason);
/* Host's value, or the authority of a target that stands in for it. */
enum http_verdict http_host_parse(const char *buf, struct http_span value, struct http_head *head,
				  struct http_refusal *refusal);
/* All lines up to the final empty one, at most max fields. In trailers no name has a meaning. */
enum http_verdict http_fields_parse(struct http_text *text, enum http_text_kind kind, uint32_t max,
				    struct http_head *head, struct http_facts *facts,
				    struct http_refusal *refusal);

/* What a byte may be part of. */
enum {
	HTTP_IN_TOKEN = 1, /* RFC 9110 5.6.2 */
	HTTP_IN_HOST = 2,  /* RFC 3986 3.2.2 without ',', which only joined duplicates hold */
	HTTP_BLANK = 4,	   /* SP and HT */
};
extern const unsigned char http_class[256];

static inline bool http_is(unsigned char c, unsigned class)
{
	return http_class[c] & class;
}

static inline bool http_is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* One bit for each of sixteen bytes, the first byte's being the lowest: is it a control byte? */
static inline unsigned http_controls(const char *bytes)
{
#ifdef __SSE2__
	__m128i word = _mm_loadu_si128((const __m128i *)bytes);
	__m128i below = _mm_cmpeq_epi8(_mm_min_epu8(word, _mm_set1_epi8(0x1f)), word);

	return _mm_movemask_epi8(_mm_or_si128(below, _mm_cmpeq_epi8(word, _mm_set1_epi8(0x7f))));
#else
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
	unsigned controls = 0;

	for (int half = 0; half < 2; half++) {
		uint64_t word, low, found;

		memcpy(&word, bytes + 8 * half, sizeof(word));
		word = le64toh(word);
		/* Of the low seven bits, 0x20 and 0x7f are where these sums reach the eighth. */
		low = word & ~highs;
		found = (~(low + ones * 0x60) | (low + ones)) & ~word & highs;
		/* Moves each byte's bit to its place in the highest byte. */
		controls |= (unsigned)((found >> 7) * UINT64_C(0x0102040810204080) >> 56)
			    << (8 * half);
	}
	return controls;
#endif
}

/* Where the first control byte of buf[at..end) stands; end when there is none. */
static inline size_t http_skip_plain(const char *buf, size_t at, size_t end)
{
	unsigned controls;

	for (; at + 16 <= end; at += 16) {
		controls = http_controls(buf + at);
		if (controls)
			return at + __builtin_ctz(controls);
	}
	if (at >= end)
		return end;
	if (end < 16) {
		while (at < end && (unsigned char)buf[at] >= 0x20 && buf[at] != 0x7f)
			at++;
		return at;
	}
	/* The last sixteen bytes, without those that stand before at. */
	controls = http_controls(buf + end - 16) >> (at + 16 - end);
	return controls ? at + __builtin_ctz(controls) : end;
}

/* Where the line that byte at belongs to ends: the offset of its CR. */
static inline size_t http_line_end(const struct http_text *text, size_t at)
{
	at = http_skip_plain(text->buf, at, text->end);
	while (text->buf[at] == '\t')
		at = http_skip_plain(text->buf, at + 1, text->end);
	return at;
}

#endif
