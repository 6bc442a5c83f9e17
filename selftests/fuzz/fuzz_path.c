/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The path normaliser: its output holds no dot segment, empty segment or byte that needs
 * escaping, is stable, means the same as the input read by a second, simpler decoder,
 * and prefixes match it exactly when they match the decoded path.
 */
#include <errno.h>

#include "../../user/lib/http_path.h"
#include "fuzz.h"

/* Decodes a normalised path; it holds valid escapes only. */
static size_t decode(const char *path, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (path[i] == '%') {
			char hex[3] = { path[i + 1], path[i + 2] };

			out[n++] = strtol(hex, NULL, 16);
			i += 2;
		} else {
			out[n++] = path[i];
		}
	}
	return n;
}

static void check_normal(const char *path, size_t len)
{
	size_t start = 1;

	assert(len && path[0] == '/');
	for (size_t i = 1; i <= len; i++) {
		if (i < len) {
			assert(path[i] > 0x20 && path[i] < 0x7f);
			assert(!strchr("?#\\\"<>^`{|}[]", path[i]));
		}
		if (path[i - 1] == '%') {
			assert(i + 1 < len);
			assert(strchr("0123456789ABCDEF", path[i]));
			assert(strchr("0123456789ABCDEF", path[i + 1]));
			assert(memcmp(path + i, "2F", 2) && memcmp(path + i, "5C", 2));
			assert(path[i] >= '2' && memcmp(path + i, "7F", 2));
		}
		if (i == len || path[i] == '/') {
			size_t segment = i - start;

			assert(segment || i == len);
			assert(segment != 1 || path[start] != '.');
			assert(segment != 2 || memcmp(path + start, "..", 2));
			start = i + 1;
		}
	}
}

/* The meaning of a target's path: decoded first, then resolved segment by segment. */
static size_t resolve(const char *target, size_t len, char *out)
{
	char *plain = malloc(len + 1);
	size_t n, at = 0, start = 0;

	assert(plain);
	n = decode(target, len, plain);
	for (size_t i = 0; i <= n; i++) {
		size_t segment;

		if (i < n && plain[i] != '/')
			continue;
		segment = i - start;
		if (segment == 2 && !memcmp(plain + start, "..", 2)) {
			while (at && out[--at] != '/')
				;
			if (i == n)
				out[at++] = '/';
		} else if (segment == 1 && plain[start] == '.') {
			if (i == n)
				out[at++] = '/';
		} else if (segment) {
			out[at++] = '/';
			memcpy(out + at, plain + start, segment);
			at += segment;
		} else if (i == n && i) {
			out[at++] = '/';
		}
		start = i + 1;
	}
	if (!at)
		out[at++] = '/';
	free(plain);
	return at;
}

static void check_prefix(const char *path, size_t len, const char *plain, size_t plain_len,
			 size_t cut)
{
	size_t n = cut;
	bool expected;

	while (n && plain[n - 1] == '/')
		n--;
	expected = n == plain_len || plain[n] == '/';
	assert(http_path_has_prefix(path, len, plain, cut) == expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *target = fuzz_copy(data, size);
	size_t room = 3 * size + 1, path_len = 0, again_len, plain_len, query;
	char *out = malloc(room), *again = malloc(3 * room + 1), *plain = malloc(room + 1);
	char *meaning = malloc(size + 2);
	const char *why = NULL;
	int n, m;

	assert(out && again && plain && meaning);
	n = http_path_normalise(target, size, out, room, &path_len, &why);
	assert(n > 0 || (n == -EINVAL && why));
	if (n > 0) {
		query = n - path_len;
		assert(path_len <= (size_t)n);
		check_normal(out, path_len);
		assert(!memcmp(out + path_len, target + size - query, query));
		assert(!query || out[path_len] == '?');

		m = http_path_normalise(out, n, again, 3 * room + 1, &again_len, &why);
		assert(m == n && again_len == path_len && !memcmp(out, again, n));

		plain_len = decode(out, path_len, plain);
		assert(plain_len == resolve(target, size - query, meaning));
		assert(!memcmp(plain, meaning, plain_len));

		check_prefix(out, path_len, plain, plain_len,
			     fuzz_pick(data, size, 1, plain_len + 1));
		assert(http_path_normalise(target, size, again, fuzz_pick(data, size, 2, n),
					   &again_len, &why) == -E2BIG);
	}
	free(target);
	free(out);
	free(again);
	free(plain);
	free(meaning);
	return 0;
}
