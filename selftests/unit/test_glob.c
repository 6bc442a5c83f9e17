/* SPDX-License-Identifier: BSD-2-Clause */
/* Patterns, what their stars take, and templates. */
#include <errno.h>

#include "../../user/lib/glob.h"
#include "unit.h"

static const struct {
	const char *pattern, *text, *captured; /* captures joined by '|', NULL: no match */
} matches[] = {
	{ "", "", "" },
	{ "", "a", NULL },
	{ "a", "", NULL },
	{ "*", "", "" },
	{ "*", "abc", "abc" },
	{ "qrouter-*", "qrouter-1234", "1234" },
	{ "qrouter-*", "qdhcp-1234", NULL },
	{ "qrouter-*", "qrouter-", "" },
	{ "*-*", "a-b-c", "a|b-c" },
	{ "*-*-c", "a-b-c", "a|b" },
	{ "*b*b", "abab", "a|a" },
	{ "**", "ab", "|ab" },
	{ "tap?????", "tap12345", "" },
	{ "tap?????", "tap1234", NULL },
	{ "?*", "a", "" },
	{ "?*", "", NULL },
	{ "*a", "aaab", NULL },
	{ "*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
	{ "*********", "a", NULL }, /* more stars than there is room for */
	{ "[a]", "a", NULL },	    /* no brackets here */
};

static const struct {
	const char *template, *expanded; /* NULL: -EINVAL */
} templates[] = {
	{ "plain", "plain" },
	{ "{namespace}", "qrouter-77" },
	{ "{namespace}.{interface}", "qrouter-77.qr-5" },
	{ "r{1}i{2}", "r77i5" },
	{ "{3}", NULL },
	{ "{0}", NULL },
	{ "{10}", NULL },
	{ "{}", NULL },
	{ "{name}", NULL },
	{ "{1", NULL },
	{ "1}", NULL },
	{ "{{1}}", NULL },
};

static void test_match(void)
{
	for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		struct glob_captures captures = { 0 };
		char joined[256] = "";
		bool matched;

		unit_case = matches[i].pattern;
		matched = glob_match(matches[i].pattern,
				     unit_guarded(matches[i].text, strlen(matches[i].text) + 1),
				     &captures);
		for (unsigned c = 0; c < captures.count; c++) {
			if (c)
				strcat(joined, "|");
			strncat(joined, captures.list[c].at, captures.list[c].len);
		}
		CHECK_THAT(matched == (matches[i].captured != NULL), "'%s': %d", matches[i].text,
			   matched);
		if (matched && matches[i].captured)
			CHECK_THAT(!strcmp(joined, matches[i].captured), "'%s' gave '%s'",
				   matches[i].text, joined);
	}
}

static void test_expand(void)
{
	struct glob_captures captures = { 0 };
	char text[32];

	unit_case = "captures of two patterns";
	CHECK(glob_match("qrouter-*", "qrouter-77", &captures));
	CHECK(glob_match("qr-*", "qr-5", &captures));
	CHECK(captures.count == 2);
	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		int err = glob_expand(templates[i].template, "qrouter-77", "qr-5", &captures, text,
				      sizeof(text));

		unit_case = templates[i].template;
		CHECK_THAT(err == (templates[i].expanded ? 0 : -EINVAL), "returned %d", err);
		if (!err && templates[i].expanded)
			CHECK_THAT(!strcmp(text, templates[i].expanded), "gave '%s'", text);
	}
	unit_case = "too long";
	CHECK(glob_expand("{namespace}", "qrouter-77", "", &captures, text, 10) == -ENAMETOOLONG);
	CHECK(glob_expand("{namespace}", "qrouter-77", "", &captures, text, 11) == 0);
}

int main(void)
{
	test_match();
	test_expand();
	return unit_end();
}
