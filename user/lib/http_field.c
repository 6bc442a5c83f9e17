/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header fields: splits the lines of a complete, scanned head (http_head.c) and
 * understands the few fields that decide framing, persistence and routing. Fills the
 * members of struct http_head that come from fields.
 */
#include <string.h>

#include "http_field.h"

static bool is_alnum(unsigned char c)
{
	return http_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

bool http_is_tchar(unsigned char c)
{
	static const bool tchar[256] = {
		['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
		['#'] = true,	      ['$'] = true,	    ['%'] = true,	  ['&'] = true,
		['\''] = true,	      ['*'] = true,	    ['+'] = true,	  ['-'] = true,
		['.'] = true,	      ['^'] = true,	    ['_'] = true,	  ['`'] = true,
		['|'] = true,	      ['~'] = true,
	};

	return tchar[c];
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

/* n bytes at text are exactly word, letter case aside. */
static bool is_word(const char *text, size_t n, const char *word)
{
	return n == strlen(word) && http_case_equal(text, word, n);
}

enum http_verdict http_refuse(struct http_refusal *ret, unsigned status, const char *reason)
{
	ret->status = status;
	ret->reason = reason;
	return HTTP_REFUSED;
}

/* Takes the next line, without its CRLF. The final empty line has length 0. */
struct http_span http_line(struct http_text *text)
{
	const char *line = text->buf + text->at;
	const char *cr = memchr(line, '\r', text->end - text->at);
	struct http_span span = { text->at, cr - line };

	text->at += span.len + 2;
	return span;
}

bool http_is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!http_is_tchar(text[i]))
			return false;
	return len > 0;
}

static struct http_span trim(const char *buf, size_t at, size_t end)
{
	while (at < end && (buf[at] == ' ' || buf[at] == '\t'))
		at++;
	while (end > at && (buf[end - 1] == ' ' || buf[end - 1] == '\t'))
		end--;
	return (struct http_span){ at, end - at };
}

static enum http_name name_id(const char *name, size_t len)
{
#define NAME(text, id)                                                                             \
	{                                                                                          \
		text, sizeof(text) - 1, id                                                         \
	}
	static const struct {
		const char *name;
		size_t len;
		enum http_name id;
	} known[] = {
		NAME("connection", HTTP_NAME_CONNECTION),
		NAME("content-length", HTTP_NAME_CONTENT_LENGTH),
		NAME("expect", HTTP_NAME_EXPECT),
		NAME("host", HTTP_NAME_HOST),
		NAME("http2-settings", HTTP_NAME_HTTP2_SETTINGS),
		NAME("keep-alive", HTTP_NAME_KEEP_ALIVE),
		NAME("proxy-authenticate", HTTP_NAME_PROXY_AUTHENTICATE),
		NAME("proxy-authorization", HTTP_NAME_PROXY_AUTHORIZATION),
		NAME("proxy-connection", HTTP_NAME_PROXY_CONNECTION),
		NAME("te", HTTP_NAME_TE),
		NAME("trailer", HTTP_NAME_TRAILER),
		NAME("transfer-encoding", HTTP_NAME_TRANSFER_ENCODING),
		NAME("upgrade", HTTP_NAME_UPGRADE),
	};
#undef NAME
	char first = len ? (char)(name[0] | 0x20) : '\0';

	/* Most fields begin like none of them. */
	if (!first || !strchr("cehkptu", first))
		return HTTP_NAME_OTHER;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].len == len && known[i].name[0] == first &&
		    http_case_equal(name, known[i].name, len))
			return known[i].id;
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
		const char *comma = memchr(buf + at, ',', end - at);
		size_t stop = comma ? (size_t)(comma - buf) : end;
		struct http_span name = trim(buf, at, stop);

		at = stop + 1;
		if (!name.len) /* RFC 9110 5.6.1.2: empty elements are ignored */
			continue;
		if (!http_is_token(buf + name.at, name.len))
			return http_refuse(refusal, 400,
					   "Connection lists something that is no name.");
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
	for (uint32_t i = 0; i < value.len; i++) {
		unsigned char c = buf[value.at + i];

		/* RFC 3986 3.2.2 without ',', which only joined duplicates hold. */
		if (!is_alnum(c) && !strchr("-._~!$&'()*+;=:[]%", c))
			return http_refuse(refusal, 400, "Host is not a name or address.");
	}
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

/* The fields up to the final empty line. In trailers no name has a meaning. */
enum http_verdict http_fields_parse(struct http_text *text, enum http_text_kind kind, uint32_t max,
				    struct http_head *head, struct http_facts *facts,
				    struct http_refusal *refusal)
{
	const char *buf = text->buf;
	struct http_span line;

	if (max > HTTP_FIELDS_MAX)
		max = HTTP_FIELDS_MAX;
	for (line = http_line(text); line.len; line = http_line(text)) {
		const char *name = buf + line.at;
		const char *colon = memchr(name, ':', line.len);
		size_t name_len = colon ? (size_t)(colon - name) : 0;
		struct http_field *field = &head->fields[head->nfields];
		enum http_verdict verdict;

		if (*name == ' ' || *name == '\t')
			return http_refuse(refusal, 400, "A field is folded over two lines.");
		if (!colon || !http_is_token(name, name_len))
			return http_refuse(refusal, 400, "A line of the head is no field.");
		if (head->nfields == max)
			return http_refuse(refusal, 431, "The head has too many fields.");
		field->name = (struct http_span){ line.at, name_len };
		field->value = trim(buf, line.at + name_len + 1, line.at + line.len);
		field->id = name_id(name, name_len);
		head->nfields++;
		if (kind == HTTP_TEXT_TRAILERS)
			continue;
		if (field->id == HTTP_NAME_OTHER && name_is_deceptive(name, name_len))
			return http_refuse(refusal, 400, "A field name imitates a framing field.");
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
	for (uint32_t i = 0; i < head->nfields; i++)
		if (is_word(buf + head->fields[i].name.at, head->fields[i].name.len, name))
			return &head->fields[i];
	return NULL;
}
