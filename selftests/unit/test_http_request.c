/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request heads: what is understood, and what is refused with which status. Every case
 * is parsed against a guard page, in one piece, in every two pieces, and a byte at a
 * time, always with the same result.
 */
#include "../../user/lib/http_head.h"
#include "unit.h"

static const struct http_limits limits = { .head_size = 512, .head_count = 8 };

#define H   "Host: h\r\n"
#define GET "GET / HTTP/1.1\r\n" H
#define END "\r\n"

/* status 0: accepted, and described so; 1: more is needed; else refused. */
static const struct request_case {
	const char *name;
	const char *bytes;
	size_t len;
	unsigned status;
	const char *described;
} cases[] = {
#define C(name, bytes, status, described)                                                          \
	{                                                                                          \
		name, bytes, sizeof(bytes) - 1, status, described                                  \
	}
	/* What clients send */
	C("smallest", GET END, 0, "GET / 1.1 none keep host=h"),
	C("query", "GET /a?b=/c HTTP/1.1\r\n" H END, 0, "GET /a?b=/c 1.1 none keep host=h"),
	C("bytes behind it", GET END "GET /b", 0, "GET / 1.1 none keep host=h"),
	C("one empty line before it", "\r\n" GET END, 0, "GET / 1.1 none keep host=h"),
	C("1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0, "GET / 1.0 none close"),
	C("1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0,
	  "GET / 1.0 none keep"),
	C("close", GET "Connection: close\r\n" END, 0, "GET / 1.1 none close host=h"),
	C("close wins", GET "Connection: keep-alive\r\nConnection: Close\r\n" END, 0,
	  "GET / 1.1 none close host=h"),
	C("close in a list", GET "Connection: a, ,\tCLOSE\t,b\r\n" END, 0,
	  "GET / 1.1 none close host=h"),
	C("blanks around values", "GET / HTTP/1.1\r\nHost:\t h \t\r\n\r\n", 0,
	  "GET / 1.1 none keep host=h"),
	C("no blank behind colon", "GET / HTTP/1.1\r\nHost:h\r\n\r\n", 0,
	  "GET / 1.1 none keep host=h"),
	C("empty value", GET "X:\r\n" END, 0, "GET / 1.1 none keep host=h"),
	C("high bytes in a value", GET "X: \xc3\xa9\x80\xff\r\n" END, 0,
	  "GET / 1.1 none keep host=h"),
	C("empty Host is the route's business", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0,
	  "GET / 1.1 none keep host="),
	C("token PUT", "PUT /latest/api/token HTTP/1.1\r\n" H "Content-Length: 0\r\n" END, 0,
	  "PUT /latest/api/token 1.1 length=0 keep host=h"),
	C("POST", "POST / HTTP/1.1\r\n" H "content-LENGTH: 5\r\n" END, 0,
	  "POST / 1.1 length=5 keep host=h"),
	C("POST without body", "POST / HTTP/1.1\r\n" H END, 0, "POST / 1.1 none keep host=h"),
	C("largest length", "POST / HTTP/1.1\r\n" H "Content-Length: 4611686018427387903\r\n" END,
	  0, "POST / 1.1 length=4611686018427387903 keep host=h"),
	C("leading zeros", "POST / HTTP/1.1\r\n" H "Content-Length: 007\r\n" END, 0,
	  "POST / 1.1 length=7 keep host=h"),
	C("chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n" END, 0,
	  "POST / 1.1 chunked keep host=h"),
	C("GET with length 0", GET "Content-Length: 0\r\n" END, 0,
	  "GET / 1.1 length=0 keep host=h"),
	C("Expect", "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nExpect: 100-Continue\r\n" END, 0,
	  "POST / 1.1 length=1 keep expect host=h"),
	C("1.0 Expect is ignored", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", 0,
	  "GET / 1.0 none close"),
	C("Upgrade is seen", GET "Upgrade: websocket\r\n" END, 0,
	  "GET / 1.1 none keep upgrade host=h"),
	C("unknown method", "PROPFIND / HTTP/1.1\r\n" H END, 0, "PROPFIND / 1.1 none keep host=h"),
	C("methods have letter case", "get / HTTP/1.1\r\n" H END, 0, "get / 1.1 none keep host=h"),
	C("asterisk", "OPTIONS * HTTP/1.1\r\n" H END, 0, "OPTIONS * 1.1 none keep asterisk host=h"),
	C("absolute-form", "GET http://H/x?y HTTP/1.1\r\n" H END, 0,
	  "GET /x?y 1.1 none keep host=h"),
	C("absolute-form, no path", "GET HTTP://h HTTP/1.1\r\n" H END, 0,
	  "GET  1.1 none keep host=h"),
	C("absolute-form, query only", "GET http://h?q HTTP/1.1\r\n" H END, 0,
	  "GET ?q 1.1 none keep host=h"),
	C("absolute-form asterisk", "OPTIONS http://h HTTP/1.1\r\n" H END, 0,
	  "OPTIONS  1.1 none keep asterisk host=h"),
	C("absolute-form without Host in 1.0", "GET http://h:80/ HTTP/1.0\r\n\r\n", 0,
	  "GET / 1.0 none close host=h:80"),
	C("IPv6 Host", "GET / HTTP/1.1\r\nHost: [fe80::a9fe:a9fe%25eth0]:80\r\n\r\n", 0,
	  "GET / 1.1 none keep host=[fe80::a9fe:a9fe%25eth0]:80"),
	C("as many fields as allowed", GET "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n" END, 0,
	  "GET / 1.1 none keep host=h"),

	/* Not yet complete */
	C("nothing", "", 1, ""),
	C("an empty line only", "\r\n", 1, ""),
	C("no end yet", GET, 1, ""),
	C("half of the end", GET "\r", 1, ""),

	/* Lines */
	C("bare LF ends the request line", "GET / HTTP/1.1\n" H END, 400, "LF alone"),
	C("bare LF ends a field", "GET / HTTP/1.1\r\nHost: h\n\r\n", 400, "LF alone"),
	C("bare LF ends the head", GET "\n", 400, "LF alone"),
	C("LF LF", "GET / HTTP/1.1\n\n", 400, "LF alone"),
	C("bare CR in a value", GET "X: a\rb\r\n" END, 400, "CR"),
	C("bare CR ends a field", GET "X: a\rY: b\r\n" END, 400, "CR"),
	C("CR CR LF", GET "X: a\r\r\n" END, 400, "CR"),
	C("NUL in a value", GET "X: a\0b\r\n" END, 400, "control"),
	C("NUL in a name", GET "X\0: a\r\n" END, 400, "control"),
	C("NUL in the target", "GET /\0 HTTP/1.1\r\n" H END, 400, "control"),
	C("DEL", GET "X: \x7f\r\n" END, 400, "control"),
	C("escape byte", GET "X: \x1b[0m\r\n" END, 400, "control"),
	C("TLS client hello", "\x16\x03\x01\x02\x00\x01", 400, "control"),
	C("two empty lines before it", "\r\n\r\n" GET END, 400, "empty line"),
	C("obs-fold", GET "X: a\r\n b\r\n" END, 400, "folded"),
	C("obs-fold by tab", GET "X: a\r\n\tb\r\n" END, 400, "folded"),
	C("folded first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, "folded"),

	/* Request line */
	C("blank before the method", " GET / HTTP/1.1\r\n" H END, 400, "request line"),
	C("two blanks", "GET  / HTTP/1.1\r\n" H END, 400, "request line"),
	C("two blanks before version", "GET /  HTTP/1.1\r\n" H END, 400, "request line"),
	C("tab for blank", "GET\t/ HTTP/1.1\r\n" H END, 400, "request line"),
	C("blank in the target", "GET /a b HTTP/1.1\r\n" H END, 400, "request line"),
	C("blank behind the version", "GET / HTTP/1.1 \r\n" H END, 400, "request line"),
	C("no version", "GET /\r\n" H END, 400, "request line"),
	C("method only", "GET\r\n" H END, 400, "request line"),
	C("method is no token", "G@T / HTTP/1.1\r\n" H END, 400, "request line"),
	C("method with colon", "GET: / HTTP/1.1\r\n" H END, 400, "request line"),
	C("lower-case version", "GET / http/1.1\r\n" H END, 400, "request line"),
	C("version 1.10", "GET / HTTP/1.10\r\n" H END, 400, "request line"),
	C("version 01.1", "GET / HTTP/01.1\r\n" H END, 400, "request line"),
	C("version 1,1", "GET / HTTP/1,1\r\n" H END, 400, "request line"),
	C("version 1.2", "GET / HTTP/1.2\r\n" H END, 505, "HTTP/1.1"),
	C("version 0.9", "GET / HTTP/0.9\r\n" H END, 505, "HTTP/1.1"),
	C("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"),
	C("TRACE", "TRACE / HTTP/1.1\r\n" H END, 501, "TRACE"),
	C("CONNECT", "CONNECT h:443 HTTP/1.1\r\n" H END, 501, "CONNECT"),
	C("CONNECT to a path", "CONNECT / HTTP/1.1\r\n" H END, 501, "CONNECT"),
	C("high bytes in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" H END, 400, "target"),
	C("authority-form", "GET h:80 HTTP/1.1\r\n" H END, 400, "neither"),
	C("asterisk with GET", "GET * HTTP/1.1\r\n" H END, 400, "neither"),
	C("relative path", "GET a HTTP/1.1\r\n" H END, 400, "neither"),
	C("https", "GET https://h/ HTTP/1.1\r\n" H END, 400, "neither"),
	C("URL without host", "GET http:///x HTTP/1.1\r\n" H END, 400, "no host"),
	C("URL cut short", "GET http:// HTTP/1.1\r\n" H END, 400, "neither"),
	C("URL and Host differ", "GET http://other/ HTTP/1.1\r\n" H END, 400, "different"),
	C("URL and Host differ by port", "GET http://h:80/ HTTP/1.1\r\n" H END, 400, "different"),
	C("URL with user", "GET http://a@h/ HTTP/1.1\r\n" H END, 400, "different"),
	C("URL with user, no Host", "GET http://a@h/ HTTP/1.0\r\n\r\n", 400, "Host is not"),

	/* Fields */
	C("blank before colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, "no field"),
	C("tab before colon", "GET / HTTP/1.1\r\nHost\t: h\r\n\r\n", 400, "no field"),
	C("no colon", GET "X\r\n" END, 400, "no field"),
	C("empty name", GET ": x\r\n" END, 400, "no field"),
	C("name with parenthesis", GET "X(y): x\r\n" END, 400, "no field"),
	C("name with high byte", GET "X\xe9: x\r\n" END, 400, "no field"),
	C("name with quote", GET "\"X\": x\r\n" END, 400, "no field"),
	C("too many fields", GET "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n" END, 431,
	  "too many"),
	C("Host missing", "GET / HTTP/1.1\r\n\r\n", 400, "missing"),
	C("Host missing in absolute-form", "GET http://h/ HTTP/1.1\r\n\r\n", 400, "missing"),
	C("two Hosts", GET "Host: i\r\n" END, 400, "more than once"),
	C("two equal Hosts", GET H END, 400, "more than once"),
	C("two Hosts in one", "GET / HTTP/1.1\r\nHost: h, i\r\n\r\n", 400, "not a name"),
	C("Host with path", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", 400, "not a name"),
	C("Host with user", "GET / HTTP/1.1\r\nHost: a@h\r\n\r\n", 400, "not a name"),
	C("Host with blank", "GET / HTTP/1.1\r\nHost: h i\r\n\r\n", 400, "not a name"),
	C("Host with high byte", "GET / HTTP/1.1\r\nHost: h\xe9\r\n\r\n", 400, "not a name"),
	C("Connection lists no name", GET "Connection: a b\r\n" END, 400, "no name"),
	C("Connection lists a value", GET "Connection: a=b\r\n" END, 400, "no name"),
	C("Connection lists too many",
	  GET "Connection: 1,2,3,4,5,6,7,8,9,a,b,c,d,e\r\nConnection: f,g,h\r\n" END, 400,
	  "too many"),
	C("Expect something else", GET "Expect: 200-ok\r\n" END, 417, "100-continue"),
	C("empty Expect", GET "Expect:\r\n" END, 417, "100-continue"),

/* Framing */
#define POST "POST / HTTP/1.1\r\n" H
	C("length and chunked", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END, 400,
	  "contradict"),
	C("chunked and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" END, 400,
	  "contradict"),
	C("two lengths", POST "Content-Length: 5\r\nContent-Length: 6\r\n" END, 400, "once"),
	C("two equal lengths", POST "Content-Length: 5\r\nContent-Length: 5\r\n" END, 400, "once"),
	C("length list", POST "Content-Length: 5, 5\r\n" END, 400, "number"),
	C("empty length", POST "Content-Length:\r\n" END, 400, "number"),
	C("blank length", POST "Content-Length: \t\r\n" END, 400, "number"),
	C("signed length", POST "Content-Length: +5\r\n" END, 400, "number"),
	C("negative length", POST "Content-Length: -1\r\n" END, 400, "number"),
	C("hexadecimal length", POST "Content-Length: 0x5\r\n" END, 400, "number"),
	C("fractional length", POST "Content-Length: 5.0\r\n" END, 400, "number"),
	C("length with blank", POST "Content-Length: 5 6\r\n" END, 400, "number"),
	C("quoted length", POST "Content-Length: \"5\"\r\n" END, 400, "number"),
	C("length of 2^62", POST "Content-Length: 4611686018427387904\r\n" END, 400, "large"),
	C("length of 2^64", POST "Content-Length: 18446744073709551616\r\n" END, 400, "number"),
	C("length of 2^64+5", POST "Content-Length: 18446744073709551621\r\n" END, 400, "number"),
	C("chunked, identity", POST "Transfer-Encoding: chunked, identity\r\n" END, 400, "chunked"),
	C("identity", POST "Transfer-Encoding: identity\r\n" END, 400, "chunked"),
	C("gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n" END, 400, "chunked"),
	C("chunked twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END,
	  400, "chunked"),
	C("chunked list", POST "Transfer-Encoding: chunked, chunked\r\n" END, 400, "chunked"),
	C("xchunked", POST "Transfer-Encoding: xchunked\r\n" END, 400, "chunked"),
	C("quoted chunked", POST "Transfer-Encoding: \"chunked\"\r\n" END, 400, "chunked"),
	C("chunked with parameter", POST "Transfer-Encoding: chunked;a=b\r\n" END, 400, "chunked"),
	C("vertical tab in chunked", POST "Transfer-Encoding: \vchunked\r\n" END, 400, "control"),
	C("empty coding", POST "Transfer-Encoding:\r\n" END, 400, "chunked"),
	C("chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "1.0"),
	C("blank before colon of coding", POST "Transfer-Encoding : chunked\r\n" END, 400,
	  "no field"),
	C("underscore for dash in length", POST "Content_Length: 5\r\n" END, 400, "imitates"),
	C("underscore for dash in coding", POST "Transfer_Encoding: chunked\r\n" END, 400,
	  "imitates"),
	C("dot for dash in coding", POST "TRANSFER.encoding: chunked\r\n" END, 400, "imitates"),
	C("GET with body", GET "Content-Length: 1\r\n" END, 400, "no body"),
	C("GET chunked", GET "Transfer-Encoding: chunked\r\n" END, 400, "no body"),
	C("HEAD with body", "HEAD / HTTP/1.1\r\n" H "Content-Length: 1\r\n" END, 400, "no body"),
};

static void describe(const char *buf, const struct http_head *head, char *out, size_t size)
{
	char framing[40] = "none";
	int n;

	if (head->framing == HTTP_FRAMING_CHUNKED)
		strcpy(framing, "chunked");
	if (head->framing == HTTP_FRAMING_LENGTH)
		snprintf(framing, sizeof(framing), "length=%llu", (unsigned long long)head->length);
	n = snprintf(out, size, "%.*s %.*s 1.%u %s %s%s%s%s", (int)head->method_at.len,
		     buf + head->method_at.at, (int)head->target.len, buf + head->target.at,
		     head->minor, framing, head->keep_alive ? "keep" : "close",
		     head->expect_continue ? " expect" : "", head->upgrade ? " upgrade" : "",
		     head->asterisk ? " asterisk" : "");
	if (head->has_host)
		snprintf(out + n, size - n, " host=%.*s", (int)head->host.len, buf + head->host.at);
}

struct result {
	enum http_verdict verdict;
	unsigned status;
	uint32_t len;
	char text[1024];
};

/* Feeds the first split bytes, then all; with step, every step bytes in between. */
static void parse(const struct request_case *c, size_t split, size_t step, struct result *ret)
{
	static struct http_head head;
	struct http_refusal refusal = { 0 };
	size_t scanned = 0, fed = split;

	memset(ret, 0, sizeof(*ret));
	for (;;) {
		const char *buf = unit_guarded(c->bytes, fed);

		ret->verdict = http_request_parse(buf, fed, &scanned, &limits, &head, &refusal);
		if (ret->verdict == HTTP_OK) {
			ret->len = head.len;
			describe(buf, &head, ret->text, sizeof(ret->text));
		}
		if (ret->verdict != HTTP_MORE || fed == c->len)
			break;
		fed = step && fed + step < c->len ? fed + step : c->len;
	}
	if (ret->verdict == HTTP_REFUSED) {
		ret->status = refusal.status;
		snprintf(ret->text, sizeof(ret->text), "%s", refusal.reason);
	}
}

static void test_case(const struct request_case *c)
{
	struct result whole, split;

	unit_case = c->name;
	parse(c, c->len, 0, &whole);
	if (c->status == 0) {
		CHECK_THAT(whole.verdict == HTTP_OK, "refused: %u %s", whole.status, whole.text);
		CHECK_THAT(!strcmp(whole.text, c->described), "is %s", whole.text);
	} else if (c->status == 1) {
		CHECK(whole.verdict == HTTP_MORE);
	} else {
		CHECK_THAT(whole.verdict == HTTP_REFUSED, "accepted as %s", whole.text);
		CHECK_THAT(whole.status == c->status, "status %u", whole.status);
		CHECK_THAT(strstr(whole.text, c->described), "reason %s", whole.text);
	}
	for (size_t at = 0; at <= c->len; at++) {
		parse(c, at, 0, &split);
		CHECK_THAT(!memcmp(&split, &whole, sizeof(whole)), "split at %zu: %u %s", at,
			   split.status, split.text);
	}
	parse(c, 0, 1, &split);
	CHECK_THAT(!memcmp(&split, &whole, sizeof(whole)), "byte by byte: %u %s", split.status,
		   split.text);
}

/* The size limit counts the whole head; one byte more is 431, in the request line 414. */
static void test_size_limit(void)
{
	char bytes[600];
	struct request_case c = { .bytes = bytes };
	struct result result;
	int n;

	unit_case = "size limit";
	for (int extra = -1; extra <= 2; extra++) {
		n = snprintf(bytes, sizeof(bytes), GET "X: ");
		memset(bytes + n, 'x', sizeof(bytes) - n);
		c.len = limits.head_size + extra;
		memcpy(bytes + c.len - 4, "\r\n\r\n", 4);
		for (size_t step = 1; step < 600; step += 97) {
			parse(&c, 0, step, &result);
			CHECK_THAT(extra <= 0 ? result.verdict == HTTP_OK : result.status == 431,
				   "%d bytes over: %u %s", extra, result.status, result.text);
		}
	}
	unit_case = "request line over the limit";
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, "GET /", 5);
	c.len = sizeof(bytes);
	for (size_t step = 1; step < 600; step += 97) {
		parse(&c, 0, step, &result);
		CHECK_THAT(result.status == 414, "%u %s", result.status, result.text);
	}
	unit_case = "endless empty values";
	c.len = snprintf(bytes, sizeof(bytes), GET);
	while (c.len + 4 < sizeof(bytes))
		c.len += snprintf(bytes + c.len, sizeof(bytes) - c.len, "x:\r\n");
	parse(&c, 0, 1, &result);
	CHECK_THAT(result.status == 431, "%u %s", result.status, result.text);
}

/* Every byte at every place of values whose heads end at every alignment. */
static void test_bytes(void)
{
	static struct http_head head;
	char bytes[128];

	unit_case = "bytes of a value";
	for (int len = 1; len <= 36; len++) {
		int start = snprintf(bytes, sizeof(bytes), GET "X: "), end = start + len;

		memset(bytes + start, 'x', len);
		memcpy(bytes + end, "\r\n\r\n", 4);
		for (int at = start; at < end; at++) {
			for (int c = 0; c < 256; c++) {
				bool fine = c == '\t' || (c >= 0x20 && c != 0x7f);
				struct http_refusal refusal = { 0 };
				enum http_verdict verdict;
				size_t scanned = 0;

				bytes[at] = c;
				verdict = http_request_parse(unit_guarded(bytes, end + 4), end + 4,
							     &scanned, &limits, &head, &refusal);
				CHECK_THAT(fine ? verdict == HTTP_OK
						: verdict == HTTP_REFUSED && refusal.status == 400,
					   "byte 0x%02x at %d of %d: verdict %d", c, at - start,
					   len, verdict);
			}
			bytes[at] = 'x';
		}
	}
}

static void test_fields(void)
{
	static const char bytes[] = GET "X-A:  one \r\nx-a: two\r\n\r\n";
	static struct http_head head;
	struct http_refusal refusal;
	const struct http_field *field;
	size_t scanned = 0;

	unit_case = "fields by name";
	CHECK(http_request_parse(bytes, sizeof(bytes) - 1, &scanned, &limits, &head, &refusal) ==
	      HTTP_OK);
	CHECK(head.len == sizeof(bytes) - 1 && head.nfields == 3);
	field = http_head_find(&head, bytes, "x-A");
	CHECK(field == &head.fields[1] && field->value.len == 3 &&
	      !memcmp(bytes + field->value.at, "one", 3));
	CHECK(!http_head_find(&head, bytes, "x"));
	CHECK(head.fields[0].id == HTTP_NAME_HOST);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	test_size_limit();
	test_bytes();
	test_fields();
	return unit_end();
}
