/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the head parser: lines and fields. Others include http_head.h.
 */
#ifndef SLUICE_HTTP_FIELD_H
#define SLUICE_HTTP_FIELD_H

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
/* Takes the next line, without its CRLF. The final empty line has length 0. */
struct http_span http_line(struct http_text *text);
/* At least one tchar and nothing else. */
bool http_is_token(const char *text, size_t len);
/* Host's value, or the authority of a target that stands in for it. */
enum http_verdict http_host_parse(const char *buf, struct http_span value, struct http_head *head,
				  struct http_refusal *refusal);
/* All lines up to the final empty one, at most max fields. In trailers no name has a meaning. */
enum http_verdict http_fields_parse(struct http_text *text, enum http_text_kind kind, uint32_t max,
				    struct http_head *head, struct http_facts *facts,
				    struct http_refusal *refusal);

static inline bool http_is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

#endif
