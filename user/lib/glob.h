/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shell patterns that remember what their stars matched, and templates that use it: how
 * names of namespaces and interfaces become names of tenants. Pure.
 */
#ifndef SLUICE_GLOB_H
#define SLUICE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#define GLOB_CAPTURES 8	  /* stars of all patterns together that a template can name */
#define GLOB_TEXT_MAX 256 /* of a text that is matched, with its NUL */

struct glob_capture {
	const char *at; /* into the matched text */
	size_t len;
};

/* What patterns matched, one after the other: {1} is the first star of the first. */
struct glob_captures {
	struct glob_capture list[GLOB_CAPTURES];
	unsigned count;
};

/*
 * Whether text as a whole matches: '*' is any number of characters, as few as will do, '?' is
 * one, everything else itself. On a match the stars are appended to *captures; those that
 * find no room are not. A pattern has at most GLOB_CAPTURES stars (glob_stars() counts).
 */
bool glob_match(const char *pattern, const char *text, struct glob_captures *captures);
unsigned glob_stars(const char *pattern);

/*
 * Writes form with {namespace}, {interface} and {1}…{8} replaced. 0, -EINVAL (braces that
 * name nothing, a capture that is not there) or -ENAMETOOLONG.
 */
int glob_expand(const char *form, const char *namespace, const char *interface,
		const struct glob_captures *captures, char *ret, size_t size);

#endif
