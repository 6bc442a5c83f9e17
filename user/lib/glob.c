/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Matching goes on from the last star when it fails: with '*' alone being able to grow, going
 * back further never finds what this does not (the later star can swallow it), so the work is
 * bounded by pattern times text.
 */
#include "glob.h"

#include <errno.h>
#include <string.h>

unsigned glob_stars(const char *pattern)
{
	unsigned stars = 0;

	for (; *pattern; pattern++)
		stars += *pattern == '*';
	return stars;
}

bool glob_match(const char *pattern, const char *text, struct glob_captures *captures)
{
	struct glob_capture found[GLOB_CAPTURES] = { 0 };
	const char *after_star = NULL; /* the pattern behind the last star */
	unsigned stars = 0;

	if (glob_stars(pattern) > GLOB_CAPTURES)
		return false;
	while (*text || *pattern) {
		if (*pattern == '*') {
			found[stars++].at = text;
			after_star = ++pattern;
		} else if (*text && (*pattern == '?' || *pattern == *text)) {
			pattern++;
			text++;
		} else if (after_star && *text) {
			struct glob_capture *last = &found[stars - 1];

			last->len++;
			text = last->at + last->len;
			pattern = after_star;
		} else {
			return false;
		}
	}
	for (unsigned i = 0; i < stars && captures->count < GLOB_CAPTURES; i++)
		captures->list[captures->count++] = found[i];
	return true;
}

/* What a name in braces stands for; false: nothing. */
static bool look_up(const char *name, size_t len, const char *namespace, const char *interface,
		    const struct glob_captures *captures, struct glob_capture *ret)
{
	if (len == 1 && name[0] >= '1' && name[0] <= '9') {
		unsigned index = (unsigned)(name[0] - '1');

		if (index >= captures->count)
			return false;
		*ret = captures->list[index];
		return true;
	}
	if (len == strlen("namespace") && !memcmp(name, "namespace", len))
		*ret = (struct glob_capture){ namespace, strlen(namespace) };
	else if (len == strlen("interface") && !memcmp(name, "interface", len))
		*ret = (struct glob_capture){ interface, strlen(interface) };
	else
		return false;
	return true;
}

int glob_expand(const char *form, const char *namespace, const char *interface,
		const struct glob_captures *captures, char *ret, size_t size)
{
	size_t used = 0;

	while (*form) {
		struct glob_capture part = { form, 1 };

		if (*form == '}')
			return -EINVAL;
		if (*form == '{') {
			const char *end = strchr(form, '}');

			if (!end || !look_up(form + 1, (size_t)(end - form - 1), namespace,
					     interface, captures, &part))
				return -EINVAL;
			form = end;
		}
		form++;
		if (part.len >= size - used)
			return -ENAMETOOLONG;
		memcpy(ret + used, part.at, part.len);
		used += part.len;
	}
	ret[used] = '\0';
	return 0;
}
