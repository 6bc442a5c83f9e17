/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Normalises request targets. One pass over the path writes to out and steps back over
 * a segment when ".." closes it; the query is copied. Targets come from http_head, go
 * to relay/route and into the request for the origin.
 */
#include <errno.h>
#include <string.h>

#include "http_path.h"

/* What a byte of a path is. */
enum {
	RAW = 1,     /* may stand raw in a segment: pchar of RFC 3986 3.3 without escapes */
	DECODED = 2, /* loses its escape: unreserved characters but '~' */
};
#define BOTH (RAW | DECODED)
static const unsigned char class[256] = {
	['0' ... '9'] = BOTH, ['A' ... 'Z'] = BOTH, ['a' ... 'z'] = BOTH, ['-'] = BOTH,
	['.'] = BOTH,	      ['_'] = BOTH,	    ['~'] = RAW,	  ['!'] = RAW,
	['$'] = RAW,	      ['&'] = RAW,	    ['\''] = RAW,	  ['('] = RAW,
	[')'] = RAW,	      ['*'] = RAW,	    ['+'] = RAW,	  [','] = RAW,
	[';'] = RAW,	      ['='] = RAW,	    [':'] = RAW,	  ['@'] = RAW,
};
#undef BOTH

static bool is(unsigned char c, unsigned what)
{
	return class[c] & what;
}

static int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte an escape at text[0..len) stands for, or -1. */
static int escape_value(const char *text, size_t len)
{
	int high, low;

	if (len < 3 || text[0] != '%')
		return -1;
	high = hex_value(text[1]);
	low = hex_value(text[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static const char *escape_refusal(int c)
{
	if (c < 0)
		return "The path holds a % that is no escape.";
	if (c < 0x20 || c == 0x7f)
		return "The path escapes a control byte.";
	if (c == '/' || c == '\\')
		return "The path escapes a slash or backslash.";
	if (c == 0xc0 || c == 0xc1)
		return "The path holds overlong UTF-8.";
	return NULL;
}

/* Writes one character of a segment, escaped or not. Returns how much, at most 3. */
static size_t put(char *out, unsigned char c, bool escaped)
{
	static const char hex[] = "0123456789ABCDEF";

	if (is(c, escaped ? DECODED : RAW)) {
		*out = c;
		return 1;
	}
	out[0] = '%';
	out[1] = hex[c >> 4];
	out[2] = hex[c & 15];
	return 3;
}

/* How many dots a segment is made of, up to its end or a ';'; 0 when of anything else. */
static size_t dots(const char *segment, size_t len)
{
	size_t n = 0;

	while (n < len && segment[n] == '.')
		n++;
	if (n < len && segment[n] != ';' && !(len - n >= 3 && !memcmp(segment + n, "%3B", 3)))
		return 0;
	return n;
}

/* out[0..at) ends behind a segment that starts at start: resolve it when it is dots. */
static const char *close_segment(const char *out, size_t start, size_t *at)
{
	size_t len = *at - start, ndots = dots(out + start, len);

	if (ndots && ndots <= 2 && ndots < len)
		return "A path segment is dots with parameters.";
	if (ndots == 1) {
		*at = start;
	} else if (ndots == 2) {
		if (start == 1)
			return "The path climbs above the root.";
		*at = start - 1; /* the '/' before the dots, then the segment before it */
		while (out[*at - 1] != '/')
			--*at;
	}
	return NULL;
}

/* text[0..len) is the path, starting with '/'. Returns what is written or -errno. */
static int normalise_path(const char *text, size_t len, char *out, size_t size,
			  const char **ret_why)
{
	size_t at = 0, start = 1, i = 0;

	if (!size)
		return -E2BIG;
	out[at++] = '/';
	for (i = 1; i <= len; i++) {
		unsigned char c;
		bool escaped;

		/* Most bytes stay as they are; room for an escape is asked for all. */
		while (i < len && at + 3 <= size && is(text[i], RAW))
			out[at++] = text[i++];
		c = i < len ? text[i] : '/';
		escaped = c == '%';
		if (c == '/') {
			*ret_why = close_segment(out, start, &at);
			if (*ret_why)
				return -EINVAL;
			if (i < len && out[at - 1] != '/') {
				if (at == size)
					return -E2BIG;
				out[at++] = '/';
			}
			start = at;
			continue;
		}
		if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\') {
			*ret_why = "The path holds a byte that needs escaping.";
			return -EINVAL;
		}
		if (escaped) {
			int value = escape_value(text + i, len - i);

			*ret_why = escape_refusal(value);
			if (*ret_why)
				return -EINVAL;
			c = value;
			i += 2;
		}
		if (size - at < 3)
			return -E2BIG;
		at += put(out + at, c, escaped);
	}
	return at;
}

int http_path_normalise(const char *target, size_t len, char *out, size_t size,
			size_t *ret_path_len, const char **ret_why)
{
	const char *query = memchr(target, '?', len);
	size_t path_len = query ? (size_t)(query - target) : len;
	size_t query_len = len - path_len;
	int written;

	if (path_len && target[0] != '/') {
		*ret_why = "The path does not start with a slash.";
		return -EINVAL;
	}
	written = normalise_path(path_len ? target : "/", path_len ? path_len : 1, out, size,
				 ret_why);
	if (written < 0)
		return written;
	for (size_t i = 0; i < query_len; i++) {
		unsigned char c = query[i];

		if (c <= 0x20 || c >= 0x7f || c == '#') {
			*ret_why = "The query holds a byte that needs escaping.";
			return -EINVAL;
		}
	}
	if (query_len > size - written)
		return -E2BIG;
	if (query_len)
		memcpy(out + written, query, query_len);
	*ret_path_len = written;
	return written + query_len;
}

bool http_path_has_prefix(const char *path, size_t len, const char *prefix, size_t prefix_len)
{
	size_t at = 0;

	while (prefix_len && prefix[prefix_len - 1] == '/')
		prefix_len--;
	for (size_t i = 0; i < prefix_len; i++) {
		int c = at < len ? (unsigned char)path[at] : -1;

		if (c == '%') {
			c = escape_value(path + at, len - at);
			at += 2;
		}
		if (c != (unsigned char)prefix[i])
			return false;
		at++;
	}
	return at == len || path[at] == '/';
}
