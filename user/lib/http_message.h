/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heads to send on: a parsed head (http_head.h) and the bytes it was parsed from go in,
 * the rewritten head goes to a bounded buffer. Fields that pass keep order, case and
 * value. Nothing is added that is not named here; Via and Accept-Ranges are neither
 * added nor dropped.
 *
 * Every writer returns the number of bytes written, or -E2BIG when out is too small.
 */
#ifndef SLUICE_HTTP_MESSAGE_H
#define SLUICE_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http_head.h"

/* What the request toward an origin says beside the client's own fields. */
struct http_request_plan {
	const char *target; /* from http_path_normalise(), or "*" */
	size_t target_len;
	const char *identity; /* whole lines from identity_write(), each with CRLF; may be empty */
	size_t identity_len;
	const char *host; /* for HTTP/1.0 clients that sent none */
};

/*
 * The request for an origin, always HTTP/1.1. In this order: hop-by-hop fields and those
 * named in Connection are left out (never Host or the framing fields, which are written
 * from what was parsed), then identity fields, then ours are appended. Expect:
 * 100-continue is passed on, except from HTTP/1.0 clients. A body keeps its framing:
 * Content-Length or chunked.
 */
int http_request_write(const struct http_head *head, const char *buf,
		       const struct http_request_plan *plan, char *out, size_t size);

/* How a response reaches a client. Made by http_response_plan(). */
struct http_response_plan {
	enum http_framing framing; /* of the body toward the client */
	bool close;		   /* the connection ends after it */
	bool keep_alive;	   /* HTTP/1.0 keep-alive: say so */
	bool drop;		   /* an interim response that an HTTP/1.0 client must not see */
};
/*
 * client_minor and client_keep_alive are the request's; closing: the relay wants to end
 * the connection in any case. chunked toward HTTP/1.0 becomes EOF with close.
 */
void http_response_plan(const struct http_head *response, uint8_t client_minor,
			bool client_keep_alive, bool closing, struct http_response_plan *ret_plan);
/*
 * The response for a client, always HTTP/1.1. Hop-by-hop fields are left out and
 * framing fields written as planned; a Content-Length without a body (HEAD, 304) stays.
 */
int http_response_write(const struct http_head *head, const char *buf,
			const struct http_response_plan *plan, char *out, size_t size);

/*
 * A trailer section, its final empty line included. Left out are fields that may not
 * stand there (framing, routing, authentication, content fields, RFC 9110 6.5.1) and
 * identity fields.
 */
int http_trailers_write(const struct http_head *trailers, const char *buf, char *out, size_t size);

/* One of the relay's own answers. */
struct http_error {
	uint16_t status;
	const char *reason;   /* one sentence; NULL: the status's own */
	bool head_request;    /* the body is left out */
	bool close;	      /* adds Connection: close */
	bool keep_alive;      /* HTTP/1.0 keep-alive: say so; not with close */
	const char *allow;    /* 405: the methods, or NULL */
	uint32_t retry_after; /* seconds, 0: none. 503 should have one */
};
/* Status line, fields and a text/plain body that says what to do. HTTP_ERROR_MAX fits all
 * whose reason and allow together stay below 512 bytes. */
#define HTTP_ERROR_MAX 1536
int http_error_write(const struct http_error *error, char *out, size_t size);

/*
 * True for the names that only sluice may set (X-Forwarded-*, Forwarded, X-Real-IP and
 * its kin, X-Instance-ID*, X-Tenant-ID, X-Neutron-*, X-OVN-*, X-Metadata-Provider*,
 * X-Sluice-*) and for those that rewrite method or path behind our back
 * (X-HTTP-Method-Override, X-Original-URL, …). Letter case aside, and with any
 * punctuation taken for '-', as CGI-like origins do.
 */
bool http_name_is_identity(const char *name, size_t len);

#endif
