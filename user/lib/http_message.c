/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes heads: a parsed head and its bytes come from http_head, the lines to send go
 * to the output buffers of relay/. What a field does is decided by its id, which the
 * parser set, or by its folded name.
 */
#include <errno.h>
#include <string.h>

#include "http_message.h"

/*
 * A bounded buffer; once something did not fit, nothing more goes in. Lines that pass
 * unchanged and stand side by side are kept as a run, and copied with what is put next.
 */
struct out {
	char *at, *start, *end;
	const char *run, *run_end;
	bool full;
};

static void out_begin(struct out *out, char *buffer, size_t size)
{
	*out = (struct out){ .at = buffer, .start = buffer, .end = buffer + size };
}

static void copy(struct out *out, const char *bytes, size_t len)
{
	if (out->full || len > (size_t)(out->end - out->at)) {
		out->full = true;
		return;
	}
	memcpy(out->at, bytes, len);
	out->at += len;
}

static void end_run(struct out *out)
{
	if (out->run == out->run_end)
		return;
	copy(out, out->run, out->run_end - out->run);
	out->run = out->run_end = NULL;
}

static void put(struct out *out, const char *bytes, size_t len)
{
	end_run(out);
	if (len)
		copy(out, bytes, len);
}

/* bytes[0..len) of the head as it came. */
static void pass(struct out *out, const char *bytes, size_t len)
{
	if (bytes != out->run_end) {
		end_run(out);
		out->run = bytes;
	}
	out->run_end = bytes + len;
}

/* Inline, so that the length of a literal is known. */
static inline void put_text(struct out *out, const char *text)
{
	put(out, text, strlen(text));
}

static void put_number(struct out *out, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = '0' + number % 10;
		number /= 10;
	} while (number);
	put(out, digits + at, sizeof(digits) - at);
}

/* One blank before the value, none behind it. */
static void put_tidied(struct out *out, const char *buf, const struct http_field *field)
{
	put(out, buf + field->name.at, field->name.len);
	put_text(out, ": ");
	put(out, buf + field->value.at, field->value.len);
	put_text(out, "\r\n");
}

/* The field as it came, but for the blanks around its value. */
static inline void put_field(struct out *out, const char *buf, const struct http_field *field)
{
	const char *name = buf + field->name.at, *value = buf + field->value.at;
	const char *colon = name + field->name.len, *end = value + field->value.len;

	if (value == colon + 2 && colon[1] == ' ' && *end == '\r')
		pass(out, name, end + 2 - name);
	else
		put_tidied(out, buf, field);
}

/* Content-Length under the name it came with, its number as it was understood. */
static void put_length(struct out *out, const char *buf, const struct http_field *field,
		       uint64_t length)
{
	/* Only leading zeros make a number look different. */
	if (buf[field->value.at] != '0' || field->value.len == 1) {
		put_field(out, buf, field);
		return;
	}
	put(out, buf + field->name.at, field->name.len);
	put_text(out, ": ");
	put_number(out, length);
	put_text(out, "\r\n");
}

static int out_end(struct out *out)
{
	end_run(out);
	return out->full ? -E2BIG : (int)(out->at - out->start);
}

/* Letter case aside, and all punctuation is '-'. */
static unsigned char fold(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c | 0x20;
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

/* name folded equals pattern; a '*' at the pattern's end matches any rest. */
static bool name_matches(const char *name, size_t len, const char *pattern)
{
	size_t i;

	for (i = 0; i < len && pattern[i] && pattern[i] != '*'; i++)
		if (fold(name[i]) != (unsigned char)pattern[i])
			return false;
	return pattern[i] == '*' || (i == len && !pattern[i]);
}

static bool name_is_one_of(const char *name, size_t len, const char *const *patterns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (name_matches(name, len, patterns[i]))
			return true;
	return false;
}

bool http_name_is_identity(const char *name, size_t len)
{
	/* Each begins with f, p, t or x and has three bytes before a '*': see below. */
	static const char *const ours[] = {
		/* Who asks, as proxies and metadata agents tell it. */
		"forwarded",
		"x-forwarded*",
		"x-real-ip",
		"x-client-ip",
		"x-cluster-client-ip",
		"x-originating-ip",
		"true-client-ip",
		"x-instance-id*",
		"x-tenant-id*",
		"x-neutron-*",
		"x-ovn-*",
		"x-metadata-provider*",
		"x-sluice-*",
		/* What is asked, as some origins let a field override it. */
		"x-http-method*",
		"x-method-override",
		"x-original-url",
		"x-original-uri",
		"x-rewrite-url",
		/* CGI programs find it in HTTP_PROXY, and ask through it (httpoxy). */
		"proxy",
	};
	unsigned char third;

	/* Most names need no further look. */
	if (len < 3)
		return false;
	switch (fold(name[0])) {
	case 'f':
	case 'p':
	case 't':
	case 'x':
		break;
	default:
		return false;
	}
	third = fold(name[2]);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if ((unsigned char)ours[i][2] == third && name_matches(name, len, ours[i]))
			return true;
	return false;
}

static bool named_in_connection(const struct http_head *head, const char *buf,
				const struct http_span *name)
{
	for (uint32_t i = 0; i < head->nconnection; i++)
		if (head->connection[i].len == name->len &&
		    http_case_equal(buf + head->connection[i].at, buf + name->at, name->len))
			return true;
	return false;
}

/* Fields that end at us whatever Connection says (RFC 9110 7.6.1). */
static bool is_hop_by_hop(enum http_name id)
{
	switch (id) {
	case HTTP_NAME_CONNECTION:
	case HTTP_NAME_HTTP2_SETTINGS:
	case HTTP_NAME_KEEP_ALIVE:
	case HTTP_NAME_PROXY_AUTHENTICATE:
	case HTTP_NAME_PROXY_AUTHORIZATION:
	case HTTP_NAME_PROXY_CONNECTION:
	case HTTP_NAME_TE:
	case HTTP_NAME_UPGRADE:
		return true;
	default:
		return false;
	}
}

/*
 * Framing fields are written from what was parsed, whatever Connection says of them.
 * True when field was one; framing is that of the message sent on, with_length says
 * whether its Content-Length, if any, is told.
 */
static bool put_framing(struct out *out, const struct http_head *head, const char *buf,
			const struct http_field *field, enum http_framing framing, bool with_length)
{
	switch (field->id) {
	case HTTP_NAME_CONTENT_LENGTH:
		if (with_length)
			put_length(out, buf, field, head->length);
		return true;
	case HTTP_NAME_TRANSFER_ENCODING:
		if (framing != HTTP_FRAMING_CHUNKED)
			return true;
		/* In the one spelling that every recipient knows. */
		put(out, buf + field->name.at, field->name.len);
		put_text(out, ": chunked\r\n");
		return true;
	case HTTP_NAME_TRAILER:
		if (framing == HTTP_FRAMING_CHUNKED &&
		    !named_in_connection(head, buf, &field->name))
			put_field(out, buf, field);
		return true;
	default:
		return false;
	}
}

static bool has_host_field(const struct http_head *head)
{
	for (uint32_t i = 0; i < head->nfields; i++)
		if (head->fields[i].id == HTTP_NAME_HOST) /* there is one at most */
			return head->fields[i].value.len > 0;
	return false;
}

static void put_host(struct out *out, const struct http_head *head, const char *buf,
		     const char *host)
{
	put_text(out, "Host: ");
	if (head->host.len)
		put(out, buf + head->host.at, head->host.len);
	else
		put(out, host, strlen(host));
	put_text(out, "\r\n");
}

int http_request_write(const struct http_head *head, const char *buf,
		       const struct http_request_plan *plan, char *buffer, size_t size)
{
	const struct http_field *field, *end = head->fields + head->nfields;
	bool has_host = has_host_field(head);
	struct out out;

	out_begin(&out, buffer, size);
	put(&out, buf + head->method_at.at, head->method_at.len);
	put_text(&out, " ");
	put(&out, plan->target, plan->target_len);
	put_text(&out, " HTTP/1.1\r\n");
	if (!has_host)
		put_host(&out, head, buf, plan->host);
	for (field = head->fields; field < end; field++) {
		if (field->id == HTTP_NAME_HOST) {
			if (has_host)
				put_field(&out, buf, field);
			continue;
		}
		if (field->id != HTTP_NAME_OTHER &&
		    (put_framing(&out, head, buf, field, head->framing,
				 head->framing == HTTP_FRAMING_LENGTH) ||
		     is_hop_by_hop(field->id) ||
		     (field->id == HTTP_NAME_EXPECT && !head->expect_continue)))
			continue;
		if (!named_in_connection(head, buf, &field->name) &&
		    !http_name_is_identity(buf + field->name.at, field->name.len))
			put_field(&out, buf, field);
	}
	put(&out, plan->identity, plan->identity_len);
	put_text(&out, "\r\n");
	return out_end(&out);
}

void http_response_plan(const struct http_head *response, uint8_t client_minor,
			bool client_keep_alive, bool closing, struct http_response_plan *ret_plan)
{
	struct http_response_plan plan = { .framing = response->framing };

	if (response->status < 200) {
		plan.drop = client_minor == 0;
		*ret_plan = plan;
		return;
	}
	if (plan.framing == HTTP_FRAMING_CHUNKED && client_minor == 0)
		plan.framing = HTTP_FRAMING_EOF;
	plan.close = closing || !client_keep_alive || plan.framing == HTTP_FRAMING_EOF;
	plan.keep_alive = client_minor == 0 && !plan.close;
	*ret_plan = plan;
}

static void put_persistence(struct out *out, bool close, bool keep_alive)
{
	if (close)
		put_text(out, "Connection: close\r\n");
	else if (keep_alive)
		put_text(out, "Connection: keep-alive\r\n");
}

static void put_status_line(struct out *out, const struct http_head *head, const char *buf)
{
	/* A response's head begins with its status line; the reason ends it. */
	if (head->minor == 1 && head->reason.len) {
		pass(out, buf, head->reason.at + head->reason.len + 2);
		return;
	}
	put_text(out, "HTTP/1.1 ");
	put_number(out, head->status);
	put_text(out, " ");
	put(out, buf + head->reason.at, head->reason.len);
	put_text(out, "\r\n");
}

int http_response_write(const struct http_head *head, const char *buf,
			const struct http_response_plan *plan, char *buffer, size_t size)
{
	const struct http_field *field, *end = head->fields + head->nfields;
	/* RFC 9110 8.6: HEAD and 304 tell a length without a body, 1xx and 204 never. */
	bool with_length =
		plan->framing == HTTP_FRAMING_LENGTH ||
		(plan->framing == HTTP_FRAMING_NONE && head->status >= 200 && head->status != 204);
	struct out out;

	out_begin(&out, buffer, size);
	put_status_line(&out, head, buf);
	for (field = head->fields; field < end; field++) {
		if (field->id != HTTP_NAME_OTHER &&
		    (put_framing(&out, head, buf, field, plan->framing, with_length) ||
		     is_hop_by_hop(field->id)))
			continue;
		if (!named_in_connection(head, buf, &field->name))
			put_field(&out, buf, field);
	}
	put_persistence(&out, plan->close, plan->keep_alive);
	put_text(&out, "\r\n");
	return out_end(&out);
}

int http_trailers_write(const struct http_head *trailers, const char *buf, char *buffer,
			size_t size)
{
	/* Names that would be read as part of the head if a recipient merged them into it. */
	static const char *const head_only[] = {
		"accept*",	 "age",
		"allow",	 "authorization",
		"cache-control", "connection",
		"content-*",	 "cookie*",
		"date",		 "etag",
		"expect",	 "expires",
		"host",		 "http2-settings",
		"if-*",		 "keep-alive",
		"last-modified", "location",
		"max-forwards",	 "metadata*",
		"pragma",	 "proxy-*",
		"range",	 "retry-after",
		"set-cookie*",	 "te",
		"trailer",	 "transfer-encoding",
		"upgrade",	 "user-agent",
		"vary",		 "via",
		"warning",	 "www-authenticate",
		"x-aws-*",	 "x-auth-*",
	};
	struct out out;

	out_begin(&out, buffer, size);
	for (uint32_t i = 0; i < trailers->nfields; i++) {
		const struct http_field *field = &trailers->fields[i];
		const char *name = buf + field->name.at;

		if (!http_name_is_identity(name, field->name.len) &&
		    !name_is_one_of(name, field->name.len, head_only,
				    sizeof(head_only) / sizeof(head_only[0])))
			put_field(&out, buf, field);
	}
	put_text(&out, "\r\n");
	return out_end(&out);
}

/* What the relay answers itself: phrase (RFC 9110 15) and what to do. */
static const struct {
	uint16_t status;
	const char *phrase, *advice;
} own_answers[] = {
	{ 400, "Bad Request", "The request is not valid HTTP/1.1; correct it." },
	{ 403, "Forbidden", "The request lacks a header that this path requires; add it." },
	{ 404, "Not Found", "Nothing is served under this path; check it." },
	{ 405, "Method Not Allowed", "This path takes other methods; see Allow." },
	{ 408, "Request Timeout", "The request did not arrive in time; send it again." },
	{ 413, "Content Too Large", "The request body is too large; send less." },
	{ 414, "URI Too Long", "The request line is too long; shorten it." },
	{ 417, "Expectation Failed", "Leave out Expect, or send Expect: 100-continue." },
	{ 431, "Request Header Fields Too Large",
	  "The request head is too large; send fewer fields." },
	{ 500, "Internal Server Error", "The relay is configured wrongly; tell its operator." },
	{ 501, "Not Implemented", "This method is not served here; use another." },
	{ 502, "Bad Gateway", "The service answered something invalid; try again later." },
	{ 503, "Service Unavailable", "The service is not available now; try again later." },
	{ 504, "Gateway Timeout", "The service did not answer in time; try again later." },
	{ 505, "HTTP Version Not Supported", "Speak HTTP/1.1." },
};

static int own_answer(unsigned status)
{
	for (size_t i = 0; i < sizeof(own_answers) / sizeof(own_answers[0]); i++)
		if (own_answers[i].status == status)
			return i;
	return -1;
}

int http_error_write(const struct http_error *error, char *buffer, size_t size)
{
	int i = own_answer(error->status);
	const char *body = error->reason ? error->reason : i < 0 ? "" : own_answers[i].advice;
	struct out out;

	out_begin(&out, buffer, size);
	put_text(&out, "HTTP/1.1 ");
	put_number(&out, error->status);
	put_text(&out, " ");
	put_text(&out, i < 0 ? "" : own_answers[i].phrase);
	put_text(&out, "\r\nContent-Type: text/plain\r\nContent-Length: ");
	put_number(&out, strlen(body) + 1);
	put_text(&out, "\r\n");
	if (error->allow) {
		put_text(&out, "Allow: ");
		put_text(&out, error->allow);
		put_text(&out, "\r\n");
	}
	if (error->retry_after) {
		put_text(&out, "Retry-After: ");
		put_number(&out, error->retry_after);
		put_text(&out, "\r\n");
	}
	put_persistence(&out, error->close, error->keep_alive);
	put_text(&out, "\r\n");
	if (!error->head_request) {
		put_text(&out, body);
		put_text(&out, "\n");
	}
	return out_end(&out);
}
