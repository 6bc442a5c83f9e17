/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Response heads and trailer sections: framing by status and method, and what is
 * refused. Parsed against a guard page and in every split, like requests.
 */
#include "../../user/lib/http_head.h"
#include "unit.h"

static const struct http_limits limits = { .head_size = 512, .head_count = 8 };

#define OK "HTTP/1.1 200 OK\r\n"

enum kind { RESPONSE, TRAILERS };

static const struct response_case {
	const char *name;
	enum kind kind;
	enum http_method method;
	const char *bytes;
	size_t len;
	const char *described; /* NULL: refused; "": more is needed */
} cases[] = {
#define C(name, method, bytes, described)                                                          \
	{                                                                                          \
		name, RESPONSE, method, bytes, sizeof(bytes) - 1, described                        \
	}
	C("length", HTTP_GET, OK "Content-Length: 5\r\n\r\n", "200 OK 1.1 length=5 keep"),
	C("length 0", HTTP_GET, OK "Content-Length: 0\r\n\r\n", "200 OK 1.1 length=0 keep"),
	C("chunked", HTTP_GET, OK "Transfer-Encoding: chunked\r\n\r\n", "200 OK 1.1 chunked keep"),
	C("until the end", HTTP_GET, OK "\r\n", "200 OK 1.1 eof close"),
	C("1.0 until the end", HTTP_GET, "HTTP/1.0 200 OK\r\n\r\n", "200 OK 1.0 eof close"),
	C("1.0 length", HTTP_GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
	  "200 OK 1.0 length=5 close"),
	C("1.0 keep-alive", HTTP_GET,
	  "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\n",
	  "200 OK 1.0 length=5 keep"),
	C("close", HTTP_GET, OK "Connection: close\r\nContent-Length: 5\r\n\r\n",
	  "200 OK 1.1 length=5 close"),
	C("HEAD with length", HTTP_HEAD, OK "Content-Length: 5\r\n\r\n", "200 OK 1.1 none(5) keep"),
	C("HEAD chunked", HTTP_HEAD, OK "Transfer-Encoding: chunked\r\n\r\n",
	  "200 OK 1.1 none keep"),
	C("HEAD without length", HTTP_HEAD, OK "\r\n", "200 OK 1.1 none keep"),
	C("304 with length", HTTP_GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	  "304 Not Modified 1.1 none(5) keep"),
	C("204", HTTP_GET, "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content 1.1 none keep"),
	C("204 with length 0", HTTP_GET, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
	  "204 No Content 1.1 none(0) keep"),
	C("100", HTTP_POST, "HTTP/1.1 100 Continue\r\n\r\n", "100 Continue 1.1 none keep"),
	C("103", HTTP_GET, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
	  "103 Early Hints 1.1 none keep"),
	C("206", HTTP_GET,
	  "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/9\r\nContent-Length: 1\r\n\r\n",
	  "206 Partial Content 1.1 length=1 keep"),
	C("empty reason", HTTP_GET, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
	  "200  1.1 length=0 keep"),
	C("no blank behind the status", HTTP_GET, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
	  "200  1.1 length=0 keep"),
	C("reason with high bytes", HTTP_GET, "HTTP/1.1 404 Pas trouv\xc3\xa9\r\n\r\n",
	  "404 Pas trouv\xc3\xa9 1.1 eof close"),
	C("unknown status", HTTP_GET, "HTTP/1.1 599 ?\r\n\r\n", "599 ? 1.1 eof close"),
	C("Expect means nothing", HTTP_GET, OK "Expect: x\r\nContent-Length: 0\r\n\r\n",
	  "200 OK 1.1 length=0 keep"),

	C("nothing", HTTP_GET, "", ""),
	C("no end", HTTP_GET, OK, ""),

	C("101", HTTP_GET, "HTTP/1.1 101 Switching Protocols\r\n\r\n", NULL),
	C("empty line before it", HTTP_GET, "\r\n" OK "\r\n", NULL),
	C("garbage", HTTP_GET, "hello\r\n\r\n", NULL),
	C("HTTP/2", HTTP_GET, "HTTP/2.0 200 OK\r\n\r\n", NULL),
	C("HTTP/1.2", HTTP_GET, "HTTP/1.2 200 OK\r\n\r\n", NULL),
	C("ICY", HTTP_GET, "ICY 200 OK\r\n\r\n", NULL),
	C("status of 2 digits", HTTP_GET, "HTTP/1.1 20 OK\r\n\r\n", NULL),
	C("status of 4 digits", HTTP_GET, "HTTP/1.1 2000 OK\r\n\r\n", NULL),
	C("status 099", HTTP_GET, "HTTP/1.1 099 OK\r\n\r\n", NULL),
	C("status 600", HTTP_GET, "HTTP/1.1 600 OK\r\n\r\n", NULL),
	C("status with sign", HTTP_GET, "HTTP/1.1 +20 OK\r\n\r\n", NULL),
	C("two blanks", HTTP_GET, "HTTP/1.1  200 OK\r\n\r\n", NULL),
	C("bare LF", HTTP_GET, "HTTP/1.1 200 OK\nContent-Length: 0\n\n", NULL),
	C("obs-fold", HTTP_GET, OK "X: a\r\n b\r\n\r\n", NULL),
	C("blank before colon", HTTP_GET, OK "Content-Length : 5\r\n\r\n", NULL),
	C("NUL", HTTP_GET, OK "X: \0\r\n\r\n", NULL),
	C("length and chunked", HTTP_GET,
	  OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", NULL),
	C("length and chunked to HEAD", HTTP_HEAD,
	  OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", NULL),
	C("differing lengths", HTTP_GET, OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", NULL),
	C("repeated length", HTTP_GET, OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", NULL),
	C("empty length", HTTP_GET, OK "Content-Length:\r\n\r\n", NULL),
	C("gzip, chunked", HTTP_GET, OK "Transfer-Encoding: gzip, chunked\r\n\r\n", NULL),
	C("chunked in 1.0", HTTP_GET, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	  NULL),
	C("204 with length", HTTP_GET, "HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", NULL),
	C("204 chunked", HTTP_GET, "HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", NULL),
	C("100 with length", HTTP_GET, "HTTP/1.1 100 X\r\nContent-Length: 5\r\n\r\n", NULL),
	C("100 chunked", HTTP_GET, "HTTP/1.1 100 X\r\nTransfer-Encoding: chunked\r\n\r\n", NULL),
	C("too many fields", HTTP_GET,
	  OK "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n\r\n", NULL),
#undef C
#define C(name, bytes, described)                                                                  \
	{                                                                                          \
		name, TRAILERS, HTTP_GET, bytes, sizeof(bytes) - 1, described                      \
	}
	C("no trailers", "\r\n", "fields=0 len=2"),
	C("no trailers, next request", "\r\nGET / HTTP/1.1\r\n\r\n", "fields=0 len=2"),
	C("a trailer", "X-Sum: 1\r\n\r\n", "fields=1 len=12"),
	C("names mean nothing", "Content-Length: x\r\nContent_Length: y\r\n\r\n",
	  "fields=2 len=40"),
	C("trailers not there yet", "", ""),
	C("half an end", "\r", ""),
	C("half a trailer", "X: y\r\n", ""),
	C("folded trailer", "X: y\r\n z\r\n\r\n", NULL),
	C("trailer without colon", "X\r\n\r\n", NULL),
	C("trailer ends with LF", "X: y\n\n", NULL),
	C("end is LF", "\n", NULL),
#undef C
};

static void describe(const char *buf, const struct http_head *head, char *out, size_t size)
{
	static const char *const framing[] = { "none", "length=", "chunked", "eof" };
	bool none = head->framing == HTTP_FRAMING_NONE;
	char length[40] = "";

	if (head->has_length)
		snprintf(length, sizeof(length), none ? "(%llu)" : "%llu",
			 (unsigned long long)head->length);
	snprintf(out, size, "%u %.*s 1.%u %s%s %s", head->status, (int)head->reason.len,
		 buf + head->reason.at, head->minor, framing[head->framing], length,
		 head->keep_alive ? "keep" : "close");
	if (!head->status)
		snprintf(out, size, "fields=%u len=%u", head->nfields, head->len);
}

struct result {
	enum http_verdict verdict;
	unsigned status;
	char text[1024];
};

static void parse(const struct response_case *c, size_t split, size_t step, struct result *ret)
{
	static struct http_head head;
	struct http_refusal refusal = { 0 };
	size_t scanned = 0, fed = split;

	memset(ret, 0, sizeof(*ret));
	for (;;) {
		const char *buf = unit_guarded(c->bytes, fed);

		ret->verdict =
			c->kind == RESPONSE
				? http_response_parse(buf, fed, &scanned, &limits, c->method, &head,
						      &refusal)
				: http_trailers_parse(buf, fed, &scanned, &limits, &head, &refusal);
		if (ret->verdict == HTTP_OK)
			describe(buf, &head, ret->text, sizeof(ret->text));
		if (ret->verdict != HTTP_MORE || fed == c->len)
			break;
		fed = step && fed + step < c->len ? fed + step : c->len;
	}
	if (ret->verdict == HTTP_REFUSED) {
		ret->status = refusal.status;
		snprintf(ret->text, sizeof(ret->text), "%s", refusal.reason);
	}
}

static void test_case(const struct response_case *c)
{
	struct result whole, split;

	unit_case = c->name;
	parse(c, c->len, 0, &whole);
	if (!c->described) {
		CHECK_THAT(whole.verdict == HTTP_REFUSED, "accepted as %s", whole.text);
		CHECK_THAT(whole.status == (c->kind == RESPONSE ? 502 : 400), "status %u",
			   whole.status);
	} else {
		CHECK_THAT(whole.verdict == (*c->described ? HTTP_OK : HTTP_MORE), "%s",
			   whole.text);
		CHECK_THAT(!strcmp(whole.text, c->described), "is %s", whole.text);
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

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	return unit_end();
}
