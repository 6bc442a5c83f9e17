/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Message heads of HTTP/1.x (RFC 9110, RFC 9112), parsed strictly: bytes in, verdict
 * out. Nothing is repaired. What two parsers could read in two ways is refused, in
 * requests (the client gets the status named in the refusal and the connection is
 * closed) and in responses (the caller answers 502). No allocation, no I/O.
 *
 * Decisions where the RFCs leave room:
 *  - One empty line before a request line is skipped (RFC 9112 2.2); a second is 400.
 *  - Bare LF, bare CR, control bytes and obs-fold are 400 wherever they stand, and are
 *    seen as soon as the byte arrives, not only when the head is complete.
 *  - Bytes 0x80..0xff are passed in field values, refused everywhere else.
 *  - HTTP/1.0 and HTTP/1.1 are spoken; any other HTTP/digit.digit is 505, the rest 400.
 *  - CONNECT and TRACE are 501. Other unknown methods are HTTP_OTHER: routes decide.
 *  - absolute-form is accepted for http:// when its authority equals Host (letter case
 *    aside), else 400; authority-form is 400; "*" goes with OPTIONS only.
 *  - GET and HEAD with content (Content-Length above 0, or chunked) are 400: origins
 *    that ignore it would read it as the next request (RFC 9110 9.3.1).
 *  - Transfer-Encoding is exactly "chunked", once, in HTTP/1.1, without Content-Length.
 *  - Content-Length is once, digits only, below 2^62. "5, 5" is 400.
 *  - Names that become a framing name or Host when punctuation is folded to "-"
 *    (Content_Length) are 400: CGI-like origins fold them.
 *  - At most HTTP_CONNECTION_MAX names in all Connection fields.
 *  - Expect other than 100-continue is 417; HTTP/1.0 clients' Expect is ignored.
 *  - Responses: status 100..599, but 101 never. A status line may lack the space
 *    before an empty reason. 1xx and 204 with Transfer-Encoding, or with a
 *    Content-Length above 0, are refused.
 */
#ifndef SLUICE_HTTP_HEAD_H
#define SLUICE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_FIELDS_MAX	    256	      /* fields a struct http_head has room for */
#define HTTP_CONNECTION_MAX 16	      /* names in Connection */
#define HTTP_HEAD_SIZE_MAX  (1 << 20) /* the largest head_size that is honoured */
#define HTTP_LENGTH_MAX	    ((UINT64_C(1) << 62) - 1)

enum http_verdict {
	HTTP_MORE,    /* nothing wrong so far; bytes are missing */
	HTTP_OK,      /* complete */
	HTTP_REFUSED, /* see the refusal; the connection cannot go on */
};

/* Why something was refused. The reason is one static sentence for people. */
struct http_refusal {
	uint16_t status; /* what a client is told; for responses always 502 */
	const char *reason;
};

/* Bytes of the parsed buffer, by offset, so that the buffer may move. */
struct http_span {
	uint32_t at, len;
};

enum http_method {
	HTTP_OTHER, /* a valid token; see the method span */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_PATCH,
};

/* Field names that somebody looks at. */
enum http_name {
	HTTP_NAME_OTHER,
	HTTP_NAME_CONNECTION,
	HTTP_NAME_CONTENT_LENGTH,
	HTTP_NAME_EXPECT,
	HTTP_NAME_HOST,
	HTTP_NAME_HTTP2_SETTINGS,
	HTTP_NAME_KEEP_ALIVE,
	HTTP_NAME_PROXY_AUTHENTICATE,
	HTTP_NAME_PROXY_AUTHORIZATION,
	HTTP_NAME_PROXY_CONNECTION,
	HTTP_NAME_TE,
	HTTP_NAME_TRAILER,
	HTTP_NAME_TRANSFER_ENCODING,
	HTTP_NAME_UPGRADE,
};

struct http_field {
	struct http_span name;
	struct http_span value; /* without surrounding blanks */
	enum http_name id;
};

enum http_framing {
	HTTP_FRAMING_NONE,    /* no body follows */
	HTTP_FRAMING_LENGTH,  /* exactly length bytes, possibly 0 */
	HTTP_FRAMING_CHUNKED, /* see http_chunk.h */
	HTTP_FRAMING_EOF,     /* until the sender closes; responses only */
};

struct http_limits {
	uint32_t head_size;  /* bytes of a head, its final empty line included */
	uint32_t head_count; /* fields; at most HTTP_FIELDS_MAX is honoured */
};

/*
 * A parsed head. Over 5 KiB: one per worker is enough, since nothing in it is
 * needed once the rewritten head is in an output buffer and the small members below
 * have been copied.
 */
struct http_head {
	uint32_t len;	      /* bytes of the head, a skipped empty line included */
	uint8_t minor;	      /* HTTP/1.minor: 0 or 1 */
	bool keep_alive;      /* the sender lets the connection go on after this message */
	bool expect_continue; /* request: Expect: 100-continue */
	bool upgrade;	      /* an Upgrade field is present; the writer removes it */
	bool asterisk;	      /* request: OPTIONS * */
	bool has_length;      /* a Content-Length field is present, also where no body follows */

	enum http_method method;    /* request */
	struct http_span method_at; /* request: the method as sent */
	struct http_span target;    /* request: path and query; of absolute-form what follows the
				     * authority, possibly empty or starting with '?' */
	struct http_span host;	    /* request: Host's value; len 0 when absent or empty */
	bool has_host;

	uint16_t status;	 /* response: 100..599 */
	struct http_span reason; /* response: reason phrase, possibly empty */

	enum http_framing framing;
	uint64_t length; /* Content-Length, when has_length */

	uint32_t nfields;
	uint32_t nconnection;
	struct http_span connection[HTTP_CONNECTION_MAX]; /* names listed in Connection */
	struct http_field fields[HTTP_FIELDS_MAX];
};

/*
 * Parses a request head at buf[0..len). *scanned is 0 for a new head; the function
 * keeps in it how far it has looked, so that a head that comes a byte at a time costs
 * linear time; pass it back with the same bytes and more behind them. However the
 * bytes are split, the final verdict is the same.
 *
 * HTTP_OK: *ret_head is filled, buf[ret_head->len..] is what follows. HTTP_REFUSED:
 * *ret_refusal says 400, 414 (request line over the limit), 417, 431 (head or number
 * of fields over the limit), 501 or 505. Otherwise the outputs are unspecified.
 */
enum http_verdict http_request_parse(const char *buf, size_t len, size_t *scanned,
				     const struct http_limits *limits, struct http_head *ret_head,
				     struct http_refusal *ret_refusal);
/*
 * The same for a response to a request with this method, which decides with the status
 * whether a body follows (RFC 9112 6.3). Interim (1xx) responses are HTTP_OK with
 * framing NONE: the final one follows. Refusals have status 502.
 */
enum http_verdict http_response_parse(const char *buf, size_t len, size_t *scanned,
				      const struct http_limits *limits, enum http_method method,
				      struct http_head *ret_head, struct http_refusal *ret_refusal);
/*
 * The trailer section behind the last chunk: fields and the final empty line. Of
 * *ret_head only len, nfields and fields are filled. Refusals have status 400 or 431.
 */
enum http_verdict http_trailers_parse(const char *buf, size_t len, size_t *scanned,
				      const struct http_limits *limits, struct http_head *ret_head,
				      struct http_refusal *ret_refusal);

/* True for a tchar of RFC 9110 5.6.2. */
bool http_is_tchar(unsigned char c);
/* Equality of n bytes, ASCII letter case aside. */
bool http_case_equal(const char *a, const char *b, size_t n);
/* The first field with that name (letter case aside), or NULL. */
const struct http_field *http_head_find(const struct http_head *head, const char *buf,
					const char *name);

#endif
