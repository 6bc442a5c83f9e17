/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chunked coding: what the decoder passes as data, where it stops, what it refuses;
 * fed whole, in every split and byte by byte, with data taken in pieces. What the
 * encoder writes decodes to the same data.
 */
#include "../../user/lib/http_chunk.h"
#include "unit.h"

static const struct chunk_case {
	const char *name;
	const char *bytes;
	size_t len;
	/* "data|N": data passed, then the trailer section starts at byte N; "data…": more is
	 * needed; "data!": refused behind that data */
	const char *decoded;
} cases[] = {
#define C(name, bytes, decoded)                                                                    \
	{                                                                                          \
		name, bytes, sizeof(bytes) - 1, decoded                                            \
	}
	C("empty body", "0\r\n\r\n", "|3"),
	C("one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello|13"),
	C("two chunks", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello|18"),
	C("upper and lower case", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
	  "01234567890123456789a|34"),
	C("leading zeros", "0000000000000005\r\nhello\r\n00\r\n\r\n", "hello|29"),
	C("trailers follow", "0\r\nX: y\r\n\r\n", "|3"),
	C("data that looks like framing", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n|13"),
	C("the next request follows", "0\r\n\r\nGET /", "|3"),

	C("nothing", "", "…"),
	C("half a size", "5", "…"),
	C("half a size line", "5\r", "…"),
	C("half the data", "5\r\nhe", "he…"),
	C("data without its end", "5\r\nhello\r", "hello…"),
	C("no last chunk", "5\r\nhello\r\n", "hello…"),
	C("largest size", "3fffffffffffffff\r\nx", "x…"),

	C("extension", "5;a=b\r\nhello\r\n0\r\n\r\n", "!"),
	C("empty extension", "5;\r\nhello\r\n0\r\n\r\n", "!"),
	C("extension on the last chunk", "0;a\r\n\r\n", "!"),
	C("blank behind the size", "5 \r\nhello\r\n0\r\n\r\n", "!"),
	C("blank before the size", " 5\r\nhello\r\n0\r\n\r\n", "!"),
	C("tab behind the size", "5\t\r\nhello\r\n0\r\n\r\n", "!"),
	C("0x", "0x5\r\nhello\r\n0\r\n\r\n", "!"),
	C("sign", "+5\r\nhello\r\n0\r\n\r\n", "!"),
	C("minus", "-5\r\nhello\r\n0\r\n\r\n", "!"),
	C("no hexadecimal digit", "g\r\n", "!"),
	C("underscore", "1_0\r\n", "!"),
	C("empty size", "\r\nhello", "!"),
	C("bare LF behind the size", "5\nhello\r\n0\r\n\r\n", "!"),
	C("bare CR behind the size", "5\rhello\r\n0\r\n\r\n", "!"),
	C("bare LF behind the data", "5\r\nhello\n0\r\n\r\n", "hello!"),
	C("bare CR behind the data", "5\r\nhello\r0\r\n\r\n", "hello!"),
	C("data longer than its size", "4\r\nhello\r\n0\r\n\r\n", "hell!"),
	C("data shorter than its size", "6\r\nhello\r\n0\r\n\r\n", "hello\r!"),
	C("NUL in the size", "5\0\r\nhello", "!"),
	C("17 digits", "00000000000000005\r\nhello\r\n", "!"),
	C("2^62", "4000000000000000\r\nx", "!"),
	C("2^64 - 1", "ffffffffffffffff\r\nx", "!"),
	C("2^64 + 5", "10000000000000005\r\nhello", "!"),
};

/*
 * Decodes c->bytes, of which step more are there at each turn (0: all at once, first
 * only the first split ones), taking at most bite data bytes at a time.
 */
static void decode(const struct chunk_case *c, size_t split, size_t step, size_t bite, char *out)
{
	struct http_chunk chunk = { 0 };
	size_t at = 0, there = split;
	enum http_chunk_verdict verdict;

	for (;;) {
		const char *buf = unit_guarded(c->bytes + at, there - at);
		size_t used, n = 0;

		verdict = http_chunk_next(&chunk, buf, there - at, &used);
		CHECK(used <= there - at);
		at += used;
		if (verdict == HTTP_CHUNK_DATA) {
			n = there - at < chunk.left ? there - at : chunk.left;
			n = n < bite ? n : bite;
			memcpy(out, c->bytes + at, n);
			out += n;
			at += n;
			http_chunk_passed(&chunk, n);
		}
		if (verdict == HTTP_CHUNK_REFUSED || verdict == HTTP_CHUNK_TRAILERS)
			break;
		if (n)
			continue;
		CHECK(at == there);
		if (there == c->len)
			break;
		there = step && there + step < c->len ? there + step : c->len;
	}
	if (verdict == HTTP_CHUNK_TRAILERS)
		sprintf(out, "|%zu", at);
	else if (verdict == HTTP_CHUNK_REFUSED)
		strcpy(out, chunk.reason ? "!" : "! without reason");
	else
		strcpy(out, "…");
}

static void test_case(const struct chunk_case *c)
{
	char seen[256];

	unit_case = c->name;
	for (size_t at = 0; at <= c->len; at++) {
		decode(c, at, 0, 100, seen);
		CHECK_THAT(!strcmp(seen, c->decoded), "split at %zu: %s", at, seen);
	}
	for (size_t bite = 1; bite < 4; bite++) {
		decode(c, 0, 1, bite, seen);
		CHECK_THAT(!strcmp(seen, c->decoded), "byte by byte: %s", seen);
	}
}

static void test_settled(void)
{
	struct http_chunk chunk = { 0 };
	size_t used;

	unit_case = "verdicts that stay";
	CHECK(http_chunk_next(&chunk, "x", 1, &used) == HTTP_CHUNK_REFUSED && used == 1);
	CHECK(http_chunk_next(&chunk, "5\r\n", 3, &used) == HTTP_CHUNK_REFUSED && used == 0);
	memset(&chunk, 0, sizeof(chunk));
	CHECK(http_chunk_next(&chunk, "5\r\nhe", 5, &used) == HTTP_CHUNK_DATA && used == 3);
	CHECK(http_chunk_next(&chunk, "he", 2, &used) == HTTP_CHUNK_DATA && used == 0);
	CHECK(chunk.left == 5);
}

static void test_encoder(void)
{
	static const uint64_t sizes[] = {
		1, 9, 10, 15, 16, 255, 256, 65536, UINT64_C(1) << 32, (UINT64_C(1) << 62) - 1
	};
	char out[HTTP_CHUNK_HEAD_MAX], expected[32];
	struct http_chunk chunk;
	size_t n, used;

	unit_case = "encoder";
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		n = http_chunk_write_head(out, sizes[i], true);
		snprintf(expected, sizeof(expected), "%llx\r\n", (unsigned long long)sizes[i]);
		CHECK(n == strlen(expected) && !memcmp(out, expected, n));
		memset(&chunk, 0, sizeof(chunk));
		CHECK(http_chunk_next(&chunk, out, n, &used) == HTTP_CHUNK_DATA);
		CHECK(used == n && chunk.left == sizes[i]);

		http_chunk_passed(&chunk, sizes[i]);
		n = http_chunk_write_head(out, sizes[i], false);
		CHECK(http_chunk_next(&chunk, out, n, &used) == HTTP_CHUNK_DATA);
		CHECK(used == n && chunk.left == sizes[i]);

		http_chunk_passed(&chunk, sizes[i]);
		n = http_chunk_write_last(out, false);
		CHECK(http_chunk_next(&chunk, out, n, &used) == HTTP_CHUNK_TRAILERS && used == n);
	}
	CHECK(http_chunk_write_last(out, true) == 3 && !memcmp(out, "0\r\n", 3));
}

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	test_settled();
	test_encoder();
	return unit_end();
}
