/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header fields: splits the lines of a complete, scanned head (http_head.c) and
 * understands the few fields that decide framing, persistence and routing. Fills the
 * members of struct http_head that come from fields.
 */
#include <string.h>

#include "http_field.h"

#define BOTH (HTTP_IN_TOKEN | HTTP_IN_HOST)
const unsigned char http_class[256] = {
	['0' ... '9'] = BOTH,  ['A' ... 'Z'] = BOTH,  ['a' ... 'z'] = BOTH,  ['!'] = BOTH,
	['$'] = BOTH,	       ['%'] = BOTH,	      ['&'] = BOTH,	     ['\''] = BOTH,
	['*'] = BOTH,	       ['+'] = BOTH,	      ['-'] = BOTH,	     ['.'] = BOTH,
	['_'] = BOTH,	       ['~'] = BOTH,	      ['#'] = HTTP_IN_TOKEN, ['^'] = HTTP_IN_TOKEN,
	['`'] = HTTP_IN_TOKEN, ['|'] = HTTP_IN_TOKEN, ['('] = HTTP_IN_HOST,  [')'] = HTTP_IN_HOST,
	[':'] = HTTP_IN_HOST,  [';'] = HTTP_IN_HOST,  ['='] = HTTP_IN_HOST,  ['['] = HTTP_IN_HOST,
	[']'] = HTTP_IN_HOST,  [' '] = HTTP_BLANK,    ['\t'] = HTTP_BLANK,
};
#undef BOTH

bool http_is_tchar(unsigned char c)
{
	return http_is(c, HTTP_IN_TOKEN);
}

static bool is_alnum(unsigned char c)
{
	return http_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static unsigned char to_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool http_case_equal(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (to_lower(a[i]) != to_lower(b[i]))
			return false;
	return true;
}

static uint64_t eight_bytes(const char *text)
{
	uint64_t bytes;

	memcpy(&bytes, text, sizeof(bytes));
	return bytes;
}

/*
 * n bytes of a scanned head are word, letter case aside. word is lower-case letters, digits
 * and '-': bit 0x20 makes them of their upper case and of control bytes alone, and the scan
 * has left none of those in a name or value.
 */
static bool folds_to(const char *text, const char *word, size_t n)
{
	const uint64_t cases = UINT64_C(0x2020202020202020);

	if (n >= 8) {
		for (size_t i = 0; i < n - 8; i += 8)
			if ((eight_bytes(text + i) | cases) != eight_bytes(word + i))
				return false;
		return (eight_bytes(text + n - 8) | cases) == eight_bytes(word + n - 8);
	}
	for (size_t i = 0; i < n; i++)
		if ((text[i] | 0x20) != word[i])
			return false;
	return true;
}

/* The same, lengths included. */
static inline bool is_word(const char *text, size_t n, const char *word)
{
	return n == strlen(word) && folds_to(text, word, n);
}

enum http_verdict http_refuse(struct http_refusal *ret, unsigned status, const char *reason)
{
	ret->status = status;
	ret->reason = reason;
	return HTTP_REFUSED;
}

static bool is_blank(char c)
{
	return http_is(c, HTTP_BLANK);
}

static enum http_name name_id(const char *name, size_t len)
{
	/* By length: two at most have the same. */
	static const struct {
		char name[20];
		enum http_name id;
	} known[20][2] = {
		[2] = { { "te", HTTP_NAME_TE } },
		[4] = { { "host", HTTP_NAME_HOST } },
		[6] = { { "expect", HTTP_NAME_EXPECT } },
		[7] = { { "trailer", HTTP_NAME_TRAILER }, { "upgrade", HTTP_NAME_UPGRADE } },
		[10] = { { "connection", HTTP_NAME_CONNECTION },
			 { "keep-alive", HTTP_NAME_KEEP_ALIVE } },
		[14] = { { "content-length", HTTP_NAME_CONTENT_LENGTH },
			 { "http2-settings", HTTP_NAME_HTTP2_SETTINGS } },
		[16] = { { "proxy-connection", HTTP_NAME_PROXY_CONNECTION } },
		[17] = { { "transfer-encoding", HTTP_NAME_TRANSFER_ENCODING } },
		[18] = { { "proxy-authenticate", HTTP_NAME_PROXY_AUTHENTICATE } },
		[19] = { { "proxy-authorization", HTTP_NAME_PROXY_AUTHORIZATION } },
	};
	char first = name[0] | 0x20;

	for (int i = 0; len < 20 && i < 2; i++)
		if (known[len][i].name[0] == first && folds_to(name, known[len][i].name, len))
			return known[len][i].id;
	return HTTP_NAME_OTHER;
}

/* "Content_Length" and the like: not the name, but some origins take it for the name. */
static bool name_is_deceptive(const char *name, size_t len)
{
	const char *real = len == 14 ? "content-length" : len == 17 ? "transfer-encoding" : NULL;

	if (!real)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = is_alnum(name[i]) ? to_lower(name[i]) : '-';

		if (c != (unsigned char)real[i])
			return false;
	}
	return true;
}

static enum http_verdict parse_length(const char *text, size_t len, struct http_head *head,
				      struct http_refusal *refusal)
{
	uint64_t value = 0;

	if (head->has_length)
		return http_refuse(refusal, 400, "Content-Length stands more than once.");
	if (!len || len > 19)
		return http_refuse(refusal, 400, "Content-Length is not a number.");
	for (size_t i = 0; i < len; i++) {
		if (!http_is_digit(text[i]))
			return http_refuse(refusal, 400, "Content-Length is not a number.");
		value = value * 10 + (text[i] - '0');
	}
	if (value > HTTP_LENGTH_MAX)
		return http_refuse(refusal, 400, "Content-Length is too large.");
	head->has_length = true;
	head->length = value;
	return HTTP_OK;
}

static enum http_verdict parse_connection(const char *buf, struct http_span list,
					  struct http_head *head, struct http_facts *facts,
					  struct http_refusal *refusal)
{
	size_t at = list.at, end = list.at + list.len;

	while (at < end) {
		struct http_span name;

		while (at < end && is_blank(buf[at]))
			at++;
		name.at = at;
		while (at < end && http_is(buf[at], HTTP_IN_TOKEN))
			at++;
		name.len = at - name.at;
		while (at < end && is_blank(buf[at]))
			at++;
		if (at < end && buf[at] != ',')
			return http_refuse(refusal, 400,
					   "Connection lists something that is no name.");
		at++;
		if (!name.len) /* RFC 9110 5.6.1.2: empty elements are ignored */
			continue;
		if (head->nconnection == HTTP_CONNECTION_MAX)
			return http_refuse(refusal, 400, "Connection lists too many names.");
		head->connection[head->nconnection++] = name;
		facts->close |= is_word(buf + name.at, name.len, "close");
		facts->keep_alive |= is_word(buf + name.at, name.len, "keep-alive");
	}
	return HTTP_OK;
}

enum http_verdict http_host_parse(const char *buf, struct http_span value, struct http_head *head,
				  struct http_refusal *refusal)
{
	if (head->has_host)
		return http_refuse(refusal, 400, "Host stands more than once.");
	for (uint32_t i = 0; i < value.len; i++)
		if (!http_is(buf[value.at + i], HTTP_IN_HOST))
			return http_refuse(refusal, 400, "Host is not a name or address.");
	head->has_host = true;
	head->host = value;
	return HTTP_OK;
}

static enum http_verdict parse_known(const char *buf, const struct http_field *field,
				     struct http_head *head, struct http_facts *facts,
				     struct http_refusal *refusal)
{
	const char *value = buf + field->value.at;

	switch (field->id) {
	case HTTP_NAME_CONTENT_LENGTH:
		return parse_length(value, field->value.len, head, refusal);
	case HTTP_NAME_TRANSFER_ENCODING:
		if (facts->chunked || !is_word(value, field->value.len, "chunked"))
			return http_refuse(refusal, 400,
					   "Transfer-Encoding is something else than one chunked.");
		facts->chunked = true;
		return HTTP_OK;
	case HTTP_NAME_CONNECTION:
		return parse_connection(buf, field->value, head, facts, refusal);
	case HTTP_NAME_HOST:
		return http_host_parse(buf, field->value, head, refusal);
	case HTTP_NAME_EXPECT:
		if (is_word(value, field->value.len, "100-continue"))
			head->expect_continue = true;
		else
			facts->bad_expect = true;
		return HTTP_OK;
	case HTTP_NAME_UPGRADE:
		head->upgrade = true;
		return HTTP_OK;
	default:
		return HTTP_OK;
	}
}

/* A field's value, from behind the colon; *ret_end is where the line ends. */
static struct http_span parse_value(const struct http_text *text, size_t at, size_t *ret_end)
{
	size_t end;

	while (is_blank(text->buf[at]))
		at++;
	*ret_end = end = http_line_end(text, at);
	while (end > at && is_blank(text->buf[end - 1]))
		end--;
	return (struct http_span){ at, end - at };
}

/* The fields up to the final empty line. In trailers no name has a meaning. */
enum http_verdict http_fields_parse(struct http_text *text, enum http_text_kind kind, uint32_t max,
				    struct http_head *head, struct http_facts *facts,
				    struct http_refusal *refusal)
{
	const char *buf = text->buf;
	size_t at = text->at, end;

	if (max > HTTP_FIELDS_MAX)
		max = HTTP_FIELDS_MAX;
	/* Every line ends with a CR, which is in no token: no name runs over its line. */
	for (; buf[at] != '\r'; at = end + 2) {
		struct http_field *field = &head->fields[head->nfields];
		const char *name = buf + at;
		enum http_verdict verdict;
		size_t len = 0;

		while (http_is(name[len], HTTP_IN_TOKEN))
			len++;
		if (name[len] != ':' || !len)
			return http_refuse(refusal, 400,
					   is_blank(*name) ? "A field is folded over two lines."
							   : "A line of the head is no field.");
		if (head->nfields == max)
			return http_refuse(refusal, 431, "The head has too many fields.");
		field->name.at = at;
		field->name.len = len;
		field->value = parse_value(text, at + len + 1, &end);
		field->id = name_id(name, len);
		head->nfields++;
		if (kind == HTTP_TEXT_TRAILERS)
			continue;
		if (field->id == HTTP_NAME_OTHER) {
			if (name_is_deceptive(name, len))
				return http_refuse(refusal, 400,
						   "A field name imitates a framing field.");
			continue;
		}
		verdict = parse_known(buf, field, head, facts, refusal);
		if (verdict != HTTP_OK)
			return verdict;
	}
	if (facts->chunked && head->has_length)
		return http_refuse(refusal, 400,
				   "Content-Length and Transfer-Encoding contradict each other.");
	if (facts->chunked && head->minor == 0)
		return http_refuse(refusal, 400, "HTTP/1.0 has no Transfer-Encoding.");
	head->keep_alive = !facts->close && (head->minor == 1 || facts->keep_alive);
	return HTTP_OK;
}

const struct http_field *http_head_find(const struct http_head *head, const char *buf,
					const char *name)
{
	size_t len = strlen(name);

	for (uint32_t i = 0; i < head->nfields; i++)
		if (head->fields[i].name.len == len &&
		    http_case_equal(buf + head->fields[i].name.at, name, len))
			return &head->fields[i];
	return NULL;
}
