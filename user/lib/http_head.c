/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The strict head parser. Two passes: head_scan() looks at each byte once, as it
 * arrives, for what may stand nowhere in a head, and finds the end; the second pass
 * runs over the complete head. Since the first pass decides by position alone, the
 * verdict does not depend on how the bytes were split.
 *
 * Data comes from connection buffers (relay/), goes to a struct http_head of offsets.
 */
#include <string.h>

#include "http_field.h"

/*
 * First pass, from *scanned on. HTTP_OK: *ret_start is where the first line begins,
 * *ret_end is behind the final empty line.
 */
static enum http_verdict head_scan(const char *buf, size_t len, size_t *scanned,
				   const struct http_limits *limits, enum http_text_kind kind,
				   size_t *ret_start, size_t *ret_end, struct http_refusal *refusal)
{
	size_t limit =
		limits->head_size < HTTP_HEAD_SIZE_MAX ? limits->head_size : HTTP_HEAD_SIZE_MAX;
	size_t stop = len < limit ? len : limit;
	/* A CR that was the last byte is looked at again with what follows it. */
	size_t i = *scanned && buf[*scanned - 1] == '\r' ? *scanned - 1 : *scanned;

	for (;;) {
		i = http_skip_plain(buf, i, stop);
		if (i >= stop)
			break;
		if (buf[i] != '\r') {
			if (buf[i] == '\n')
				return http_refuse(refusal, 400,
						   "A line ends with LF alone; end it with CRLF.");
			if (buf[i] != '\t')
				return http_refuse(refusal, 400,
						   "The head contains a control byte.");
			i++;
			continue;
		}
		if (i + 1 == stop)
			break;
		if (buf[i + 1] != '\n')
			return http_refuse(refusal, 400, "A CR stands without LF.");
		i += 2;
		if (i > 2 && buf[i - 3] != '\n')
			continue;
		/* An empty line: it ends the head, unless it stands before a request. */
		if (kind == HTTP_TEXT_REQUEST && i == 2)
			continue;
		if (kind != HTTP_TEXT_TRAILERS && (i == 2 || (kind == HTTP_TEXT_REQUEST && i == 4)))
			return http_refuse(refusal, 400, "The message starts with an empty line.");
		*ret_start = kind == HTTP_TEXT_REQUEST && buf[0] == '\r' ? 2 : 0;
		*ret_end = i;
		return HTTP_OK;
	}
	*scanned = stop;
	if (stop < limit)
		return HTTP_MORE;
	if (kind == HTTP_TEXT_REQUEST && !(stop > 2 && memchr(buf + 2, '\n', stop - 2)))
		return http_refuse(refusal, 414, "The request line is too long.");
	return http_refuse(refusal, 431, "The head is too large.");
}

/* 0 and 1 for HTTP/1.0 and HTTP/1.1; -1: another version; -2: no version at all. */
static int parse_version(const char *text, size_t len)
{
	if (len == 8 && !memcmp(text, "HTTP/1.1", 8))
		return 1;
	if (len != 8 || memcmp(text, "HTTP/", 5) || !http_is_digit(text[5]) || text[6] != '.' ||
	    !http_is_digit(text[7]))
		return -2;
	if (text[5] != '1' || text[7] > '1')
		return -1;
	return text[7] - '0';
}

static enum http_method method_id(const char *text, size_t len)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET",	[HTTP_HEAD] = "HEAD",	  [HTTP_POST] = "POST",
		[HTTP_PUT] = "PUT",	[HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS",
		[HTTP_PATCH] = "PATCH",
	};

	for (size_t i = HTTP_GET; i < sizeof(names) / sizeof(names[0]); i++)
		if (len == strlen(names[i]) && !memcmp(text, names[i], len))
			return i;
	return HTTP_OTHER;
}

/* The target's bytes: what may stand in a request line between two spaces. */
static bool in_target(unsigned char c)
{
	return c > 0x20 && c < 0x7f;
}

/*
 * Which form the target has (RFC 9112 3.2). For absolute-form head->target becomes what
 * follows the authority, and *ret_authority the authority; its len is 0 otherwise.
 */
static enum http_verdict parse_target(const char *buf, struct http_head *head,
				      struct http_span *ret_authority, struct http_refusal *refusal)
{
	const char *target = buf + head->target.at;
	size_t len = head->target.len, authority = 7;

	if (target[0] == '/')
		return HTTP_OK;
	if (len == 1 && target[0] == '*' && head->method == HTTP_OPTIONS) {
		head->asterisk = true;
		return HTTP_OK;
	}
	if (len <= authority || !http_case_equal(target, "http://", authority))
		return http_refuse(refusal, 400, "The target is neither a path nor an http URL.");
	while (authority < len && target[authority] != '/' && target[authority] != '?')
		authority++;
	*ret_authority = (struct http_span){ head->target.at + 7, authority - 7 };
	if (!ret_authority->len)
		return http_refuse(refusal, 400, "The target's URL names no host.");
	head->target = (struct http_span){ head->target.at + authority, len - authority };
	head->asterisk = head->method == HTTP_OPTIONS && !head->target.len; /* RFC 9112 3.2.4 */
	return HTTP_OK;
}

static enum http_verdict parse_request_line(struct http_text *text, struct http_head *head,
					    struct http_span *ret_authority,
					    struct http_refusal *refusal)
{
	static const char no_request[] = "The request line is not METHOD TARGET HTTP/1.1.";
	const char *start = text->buf + text->at, *end, *method_end = start;
	const char *target, *target_end, *odd; /* the first byte that stands in no target */
	int minor;

	*ret_authority = (struct http_span){ 0, 0 };
	while (http_is(*method_end, HTTP_IN_TOKEN))
		method_end++;
	if (*method_end != ' ' || method_end == start)
		return http_refuse(refusal, 400, no_request);
	target = odd = method_end + 1;
	while (in_target(*odd))
		odd++;
	end = text->buf + http_line_end(text, odd - text->buf);
	target_end = *odd == ' ' ? odd : memchr(odd, ' ', end - odd);
	if (!target_end || target_end == target)
		return http_refuse(refusal, 400, no_request);
	minor = parse_version(target_end + 1, end - target_end - 1);
	if (minor == -2)
		return http_refuse(refusal, 400, no_request);
	if (minor == -1)
		return http_refuse(refusal, 505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
	head->minor = minor;
	head->method_at = (struct http_span){ text->at, method_end - start };
	head->method = method_id(start, method_end - start);
	head->target = (struct http_span){ target - text->buf, target_end - target };
	text->at = end + 2 - text->buf;
	if ((head->method_at.len == 7 && !memcmp(start, "CONNECT", 7)) ||
	    (head->method_at.len == 5 && !memcmp(start, "TRACE", 5)))
		return http_refuse(refusal, 501, "CONNECT and TRACE are not served here.");
	if (odd != target_end)
		return http_refuse(refusal, 400, "The target holds bytes that need escaping.");
	return parse_target(text->buf, head, ret_authority, refusal);
}

static void head_reset(struct http_head *head)
{
	/* What stands behind is valid as far as it is counted. */
	memset(head, 0, offsetof(struct http_head, connection));
}

static enum http_verdict check_request(const char *buf, struct http_head *head,
				       const struct http_facts *facts, struct http_span authority,
				       struct http_refusal *refusal)
{
	if (head->minor == 1 && !head->has_host)
		return http_refuse(refusal, 400, "Host is missing.");
	if (authority.len && head->has_host &&
	    (authority.len != head->host.len ||
	     !http_case_equal(buf + authority.at, buf + head->host.at, authority.len)))
		return http_refuse(refusal, 400, "Host and the target's URL name different hosts.");
	if (authority.len && !head->has_host) {
		enum http_verdict verdict = http_host_parse(buf, authority, head, refusal);

		if (verdict != HTTP_OK)
			return verdict;
	}
	head->framing = facts->chunked	   ? HTTP_FRAMING_CHUNKED
			: head->has_length ? HTTP_FRAMING_LENGTH
					   : HTTP_FRAMING_NONE;
	if ((head->method == HTTP_GET || head->method == HTTP_HEAD) &&
	    (facts->chunked || head->length))
		return http_refuse(refusal, 400, "GET and HEAD carry no body here.");
	if (head->minor == 0)
		head->expect_continue = false;
	else if (facts->bad_expect)
		return http_refuse(refusal, 417, "Only Expect: 100-continue is understood.");
	return HTTP_OK;
}

enum http_verdict http_request_parse(const char *buf, size_t len, size_t *scanned,
				     const struct http_limits *limits, struct http_head *ret_head,
				     struct http_refusal *ret_refusal)
{
	struct http_text text = { .buf = buf };
	struct http_facts facts = { 0 };
	struct http_span authority;
	enum http_verdict verdict;

	verdict = head_scan(buf, len, scanned, limits, HTTP_TEXT_REQUEST, &text.at, &text.end,
			    ret_refusal);
	if (verdict != HTTP_OK)
		return verdict;
	head_reset(ret_head);
	ret_head->len = text.end;
	verdict = parse_request_line(&text, ret_head, &authority, ret_refusal);
	if (verdict != HTTP_OK)
		return verdict;
	verdict = http_fields_parse(&text, HTTP_TEXT_REQUEST, limits->head_count, ret_head, &facts,
				    ret_refusal);
	if (verdict != HTTP_OK)
		return verdict;
	return check_request(buf, ret_head, &facts, authority, ret_refusal);
}

static enum http_verdict parse_status_line(struct http_text *text, struct http_head *head,
					   struct http_refusal *refusal)
{
	struct http_span line = { text->at, http_line_end(text, text->at) - text->at };
	const char *start = text->buf + line.at;
	int minor = line.len >= 12 ? parse_version(start, 8) : -2;

	if (minor < 0 || start[8] != ' ' || !http_is_digit(start[9]) || !http_is_digit(start[10]) ||
	    !http_is_digit(start[11]) || (line.len > 12 && start[12] != ' '))
		return http_refuse(refusal, 502, "The status line is not HTTP/1.1 STATUS REASON.");
	head->minor = minor;
	head->status = (start[9] - '0') * 100 + (start[10] - '0') * 10 + (start[11] - '0');
	if (head->status < 100 || head->status > 599)
		return http_refuse(refusal, 502, "The status is outside 100 to 599.");
	if (head->status == 101)
		return http_refuse(refusal, 502, "The origin switched protocols unasked.");
	text->at += line.len + 2;
	if (line.len > 13)
		head->reason = (struct http_span){ line.at + 13, line.len - 13 };
	return HTTP_OK;
}

/* RFC 9112 6.3, with the contradictions it tells recipients to resolve refused instead. */
static enum http_verdict check_response(struct http_head *head, const struct http_facts *facts,
					enum http_method method, struct http_refusal *refusal)
{
	bool interim = head->status < 200;

	if ((interim || head->status == 204) && (facts->chunked || head->length))
		return http_refuse(refusal, 502, "A response without a body announces one.");
	if (interim || head->status == 204 || head->status == 304 || method == HTTP_HEAD)
		head->framing = HTTP_FRAMING_NONE;
	else if (facts->chunked)
		head->framing = HTTP_FRAMING_CHUNKED;
	else if (head->has_length)
		head->framing = HTTP_FRAMING_LENGTH;
	else
		head->framing = HTTP_FRAMING_EOF;
	if (head->framing == HTTP_FRAMING_EOF)
		head->keep_alive = false;
	return HTTP_OK;
}

enum http_verdict http_response_parse(const char *buf, size_t len, size_t *scanned,
				      const struct http_limits *limits, enum http_method method,
				      struct http_head *ret_head, struct http_refusal *ret_refusal)
{
	struct http_text text = { .buf = buf };
	struct http_facts facts = { 0 };
	enum http_verdict verdict;

	verdict = head_scan(buf, len, scanned, limits, HTTP_TEXT_RESPONSE, &text.at, &text.end,
			    ret_refusal);
	if (verdict == HTTP_MORE)
		return verdict;
	if (verdict == HTTP_OK) {
		head_reset(ret_head);
		ret_head->len = text.end;
		verdict = parse_status_line(&text, ret_head, ret_refusal);
	}
	if (verdict == HTTP_OK)
		verdict = http_fields_parse(&text, HTTP_TEXT_RESPONSE, limits->head_count, ret_head,
					    &facts, ret_refusal);
	if (verdict == HTTP_OK)
		verdict = check_response(ret_head, &facts, method, ret_refusal);
	if (verdict == HTTP_REFUSED)
		ret_refusal->status = 502;
	return verdict;
}

enum http_verdict http_trailers_parse(const char *buf, size_t len, size_t *scanned,
				      const struct http_limits *limits, struct http_head *ret_head,
				      struct http_refusal *ret_refusal)
{
	struct http_text text = { .buf = buf };
	struct http_facts facts = { 0 };
	enum http_verdict verdict;

	verdict = head_scan(buf, len, scanned, limits, HTTP_TEXT_TRAILERS, &text.at, &text.end,
			    ret_refusal);
	if (verdict != HTTP_OK)
		return verdict;
	head_reset(ret_head);
	ret_head->len = text.end;
	return http_fields_parse(&text, HTTP_TEXT_TRAILERS, limits->head_count, ret_head, &facts,
				 ret_refusal);
}
