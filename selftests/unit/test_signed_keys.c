/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of public keys: who is added, once, and who is taken away. */
#include <errno.h>

#include "../../user/lib/signed.h"
#include "unit.h"

/* Of another kind. */
static const char ec[] = "-----BEGIN PUBLIC KEY-----\n"
			 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEiMmjFSTVbK8ikIoH1As4YMDvX031\n"
			 "7nrzhk58+z5o10Ebt4IH0EEfXQCcGwxa6Hg0LgIlLyvSl5fXGwJlE091uw==\n"
			 "-----END PUBLIC KEY-----\n";

#define KEYS (SIGNED_KEYS_MAX + 1)
static char *keys[KEYS];

/* "ab" is keys 0 and 1 in this order, as PEM; what is no letter is a key of another kind, or noise.
 */
static char *pem(const char *names)
{
	char *text = calloc(1, 16 * 256);

	for (; text && *names; names++)
		strcat(text, *names == '#' ? "noise\n" : *names == '@' ? ec : keys[*names - 'a']);
	return text;
}

static const struct {
	const char *name, *have, *change, *added, *removed; /* NULL: refused */
	int add_err, remove_err;
} cases[] = {
	{ "the first", "", "a", "a", NULL, 0, -ENOENT },
	{ "another", "a", "b", "ab", NULL, 0, -ENOENT },
	{ "there already", "ab", "a", "ab", "b", 0, 0 },
	{ "twice in one", "a", "bb", "ab", NULL, 0, -ENOENT },
	{ "several, with text between", "a", "#b#c", "abc", NULL, 0, -ENOENT },
	{ "one more of several", "abc", "d", "abcd", NULL, 0, -ENOENT },
	{ "all", "ab", "ba", "ab", "", 0, 0 },
	{ "one there, one not", "ab", "bc", "abc", "a", 0, 0 },
	{ "one of another kind beside", "a", "@b", "ab", NULL, 0, -ENOENT },
	{ "of another kind alone", "a", "@", NULL, NULL, -EINVAL, -EINVAL },
	{ "noise", "a", "#", NULL, NULL, -EINVAL, -EINVAL },
	{ "nothing", "a", "", NULL, NULL, -EINVAL, -EINVAL },
	{ "as many as there may be", "abcdefg", "h", "abcdefgh", NULL, 0, -ENOENT },
	{ "one too many", "abcdefgh", "i", NULL, NULL, -E2BIG, -ENOENT },
	{ "the last of many", "abcdefgh", "h", "abcdefgh", "abcdefg", 0, 0 },
};

static void check(int err, int want_err, char *got, const char *want)
{
	char *text = want ? pem(want) : NULL;

	CHECK_THAT(err == want_err, "got %d, want %d", err, want_err);
	if (text)
		CHECK_THAT(got && !strcmp(got, text), "got %s", got ? got : "nothing");
	else
		CHECK(!got);
	free(text);
	free(got);
}

int main(void)
{
	char *secret, *have, *change, *got;
	int err;

	for (int i = 0; i < KEYS; i++) {
		if (signed_key_make(&secret, &keys[i]))
			return 1;
		free(secret);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unit_case = cases[i].name;
		have = pem(cases[i].have);
		change = pem(cases[i].change);
		got = NULL;
		err = signed_keys_add(have, change, &got);
		check(err, cases[i].add_err, got, cases[i].added);
		got = NULL;
		err = signed_keys_remove(have, change, &got);
		check(err, cases[i].remove_err, got, cases[i].removed);
		free(have);
		free(change);
	}
	for (int i = 0; i < KEYS; i++)
		free(keys[i]);
	return unit_end();
}
