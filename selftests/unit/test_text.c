/* SPDX-License-Identifier: BSD-2-Clause */
/* What others wrote, before a person or JSON gets it. */
#include <jansson.h>

#include "../../user/lib/text.h"
#include "unit.h"

static const struct {
	const char *text, *clean;
} cases[] = {
	{ "", "" },
	{ "plain text, ~!@#", "plain text, ~!@#" },
	{ "gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80",
	  "gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80" },
	{ "\033]0;title\a", "?]0;title?" },
	{ "a\rb\tc\nd\x7f", "a?b?c?d?" },
	/* C1: U+009B is CSI to a terminal, in UTF-8 and alone */
	{ "\xc2\x9b"
	  "2J",
	  "??2J" },
	{ "\x9b"
	  "2J",
	  "?2J" },
	{ "\xc2\xa0", "\xc2\xa0" },
	/* U+202E turns what follows around, U+2066 hides it, U+2028 begins a line */
	{ "exe\xe2\x80\xaegnp", "exe???gnp" },
	{ "\xe2\x81\xa6x\xe2\x80\xa8\xd8\x9c", "???x?????" },
	/* no UTF-8: Latin-1, cut short, longer than needed, a surrogate, beyond Unicode */
	{ "gr\xfc\xdf", "gr??" },
	{ "\xe6\xbc", "??" },
	{ "\xe6\xbc"
	  "ab",
	  "??ab" },
	{ "\xc0\x9b\xe0\x80\x9b\xf0\x80\x80\x9b", "?????????" },
	{ "\xed\xa0\x80", "???" },
	{ "\xf4\x90\x80\x80\xff", "?????" },
};

static void test_clean(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].text);
		char room[64];

		unit_case = cases[i].clean;
		strcpy(room, cases[i].text);
		text_clean(room, len, false);
		CHECK_THAT(!strcmp(room, cases[i].clean), "cleaned: %s", room);
		text_copy(room, sizeof(room), unit_guarded(cases[i].text, len + 1), false);
		CHECK_THAT(!strcmp(room, cases[i].clean), "copied: %s", room);
	}
}

static void test_copy(void)
{
	char out[8];

	unit_case = "cut";
	text_copy(out, 5, "abc\xc3\xbc", false);
	CHECK(!strcmp(out, "abc"));
	text_copy(out, 6, "abc\xc3\xbc", false);
	CHECK(!strcmp(out, "abc\xc3\xbc"));
	text_copy(out, 4, "\xf0\x9f\x98\x80", false);
	CHECK(!strcmp(out, ""));
	text_copy(out, 5, "\xe6\xbc\xa2\xe6\xbc\xa2", false);
	CHECK(!strcmp(out, "\xe6\xbc\xa2"));
	text_copy(out, 4, "a\nb", true);
	CHECK(!strcmp(out, "a\nb"));
}

static void test_plain(void)
{
	unit_case = "plain";
	CHECK(text_is_plain("") && text_is_plain("qr-1 \xc3\xbc"));
	CHECK(!text_is_plain("qr\n") && !text_is_plain("\xffqr") && !text_is_plain("qr\xc3"));
}

static void test_json(void)
{
	json_t *json = json_pack("{s:[s, i], s:s}", "list", "\033[2J", 7, "why", "x\xc2\x9by");
	json_t *clean = text_json(json);

	unit_case = "json";
	CHECK(!strcmp(json_string_value(json_array_get(json_object_get(clean, "list"), 0)),
		      "?[2J"));
	CHECK(json_integer_value(json_array_get(json_object_get(clean, "list"), 1)) == 7);
	CHECK(!strcmp(json_string_value(json_object_get(clean, "why")), "x??y"));
	CHECK(!strcmp(json_string_value(json_object_get(json, "why")), "x\xc2\x9by"));
	json_decref(clean);
	json_decref(json);
}

int main(void)
{
	test_clean();
	test_copy();
	test_plain();
	test_json();
	return unit_end();
}
