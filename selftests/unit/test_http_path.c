/* SPDX-License-Identifier: BSD-2-Clause */
/* Request targets: what they are normalised to, what is refused, which prefixes match. */
#include <errno.h>

#include "../../user/lib/http_path.h"
#include "unit.h"

static const struct path_case {
	const char *target;
	const char *normal; /* NULL: refused */
} cases[] = {
	{ "/", "/" },
	{ "", "/" },
	{ "/a/b", "/a/b" },
	{ "/a/b/", "/a/b/" },
	{ "/a?b=c", "/a?b=c" },
	{ "?b", "/?b" },
	{ "/a?", "/a?" },

	/* Escapes of unreserved characters are decoded, others stay, upper-case. */
	{ "/%61%7a%30%2D%5f%2E", "/az0-_." },
	{ "/meta%2ddata", "/meta-data" },
	{ "/libstdc%2b%2b6", "/libstdc%2B%2B6" },
	{ "/libstdc++6", "/libstdc++6" },
	{ "/1.0%7erc1", "/1.0%7Erc1" },
	{ "/1.0~rc1", "/1.0~rc1" },
	{ "/a%20b", "/a%20b" },
	{ "/%c3%a9", "/%C3%A9" },
	{ "/%3a%40%3b%3f%23%25", "/%3A%40%3B%3F%23%25" },
	{ "/%252e%252e/", "/%252e%252e/" },
	{ "/a\"<>^`{|}[]", "/a%22%3C%3E%5E%60%7B%7C%7D%5B%5D" },
	{ "/!$&'()*+,;=:@", "/!$&'()*+,;=:@" },

	/* The query is not touched. */
	{ "/?a=%2e%2E/../%zz&b=//\\{}", "/?a=%2e%2E/../%zz&b=//\\{}" },
	{ "/a?b?c", "/a?b?c" },

	/* Dot segments and empty segments. */
	{ "/.", "/" },
	{ "/./", "/" },
	{ "/a/.", "/a/" },
	{ "/a/./b", "/a/b" },
	{ "/a/..", "/" },
	{ "/a/../", "/" },
	{ "/a/../b", "/b" },
	{ "/a/b/..", "/a/" },
	{ "/a/b/../c", "/a/c" },
	{ "/a/b/../../c", "/c" },
	{ "/a/%2e%2E/b", "/b" },
	{ "/a/.%2e/b", "/b" },
	{ "/a/%2e/b", "/a/b" },
	{ "//", "/" },
	{ "//a", "/a" },
	{ "/a//b", "/a/b" },
	{ "/a///..//b", "/b" },
	{ "/a//..", "/" },
	{ "/...", "/..." },
	{ "/.../..", "/" },
	{ "/..a", "/..a" },
	{ "/a..", "/a.." },
	{ "/.a/.b", "/.a/.b" },
	{ "/...;x", "/...;x" },
	{ "/a;..", "/a;.." },

	/* Refused */
	{ "a", NULL },
	{ "*", NULL },
	{ "/..", NULL },
	{ "/../a", NULL },
	{ "/a/../..", NULL },
	{ "/a/../../a", NULL },
	{ "/./..", NULL },
	{ "//..", NULL },
	{ "/%2e%2e", NULL },
	{ "/%2e%2e/a", NULL },
	{ "/a/..;/b", NULL },
	{ "/a/..;x=y/b", NULL },
	{ "/a/.;/b", NULL },
	{ "/a/%2e%2e;/b", NULL },
	{ "/a/..%3b/b", NULL },
	{ "/a%2fb", NULL },
	{ "/a%2Fb", NULL },
	{ "/a/..%2fb", NULL },
	{ "/a%5cb", NULL },
	{ "/a\\b", NULL },
	{ "/a/..\\b", NULL },
	{ "/%00", NULL },
	{ "/%0d%0a", NULL },
	{ "/%7f", NULL },
	{ "/%1F", NULL },
	{ "/%", NULL },
	{ "/%4", NULL },
	{ "/%4/", NULL },
	{ "/%g0", NULL },
	{ "/%0g", NULL },
	{ "/%%41", NULL },
	{ "/%u002e", NULL },
	{ "/%c0%ae", NULL },
	{ "/%C1%9c", NULL },
	{ "/a#b", NULL },
	{ "/a?b#c", NULL },
	{ "/a b", NULL },
	{ "/a?b c", NULL },
	{ "/a\tb", NULL },
	{ "/\xc3\xa9", NULL },
	{ "/?\xc3\xa9", NULL },
	{ "/a\r\nb", NULL },
	{ "/?a\r\nb", NULL },
	{ "/\x7f", NULL },
};

static const struct prefix_case {
	const char *path, *prefix;
	bool matches;
} prefixes[] = {
	{ "/", "/", true },	    { "/a", "/", true },	  { "/a", "/a", true },
	{ "/a/", "/a", true },	    { "/a/b", "/a", true },	  { "/a", "/a/", true },
	{ "/a/b", "/a/", true },    { "/a/b", "/a//", true },	  { "/ab", "/a", false },
	{ "/", "/a", false },	    { "/a", "/a/b", false },	  { "/A", "/a", false },
	{ "/a%2B", "/a+", true },   { "/a+", "/a+", true },	  { "/a%7E/x", "/a~", true },
	{ "/a%2Bb", "/a+", false }, { "/a%20b/c", "/a b", true }, { "/a%2", "/a+", false },
};

static void test_case(const struct path_case *c)
{
	size_t len = strlen(c->target), path_len = 0, again_len;
	char out[256], again[256];
	const char *why = NULL;
	int n, m;

	unit_case = c->target;
	n = http_path_normalise(unit_guarded(c->target, len), len, out, 3 * len + 1, &path_len,
				&why);
	if (!c->normal) {
		CHECK_THAT(n == -EINVAL && why, "%d", n);
		return;
	}
	if (!CHECK_THAT(n > 0, "%d: %s", n, why))
		return;
	CHECK_THAT((size_t)n == strlen(c->normal) && !memcmp(out, c->normal, n), "is %.*s", n, out);
	CHECK(path_len == strcspn(c->normal, "?"));
	/* What is normal stays as it is. */
	m = http_path_normalise(unit_guarded(out, n), n, again, sizeof(again), &again_len, &why);
	CHECK(m == n && again_len == path_len && !memcmp(out, again, n));
	/* A buffer that is too small is never written beyond its end. */
	for (int size = 0; size < n; size++)
		CHECK(http_path_normalise(c->target, len, unit_guarded(NULL, 0) - size, size,
					  &path_len, &why) == -E2BIG);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		const struct prefix_case *c = &prefixes[i];
		size_t len = strlen(c->path);

		unit_case = c->path;
		CHECK_THAT(http_path_has_prefix(unit_guarded(c->path, len), len, c->prefix,
						strlen(c->prefix)) == c->matches,
			   "prefix %s", c->prefix);
	}
	return unit_end();
}
