/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request targets, normalised before anything is matched against them, so that what is
 * forwarded is what was matched (RFC 3986 6.2.2, RFC 9110 7.1).
 *
 * The path: escapes of unreserved characters are decoded, except %7E, which stays as it
 * came ("~" as well: apt sends the escape, other clients the character); escapes of
 * everything else stay, with upper-case digits, so that %2B and "+" remain two things;
 * raw characters that RFC 3986 does not allow in a path (such as '"' or '{') are
 * escaped; "//" becomes "/"; "." and ".." segments are resolved.
 * The query, from the first '?' on, is passed as it came; only its bytes are checked.
 *
 * Refused: bad escapes, escaped control bytes and NUL, backslashes and slashes in
 * escapes (%5C, %2F) and raw backslashes, since origins disagree on them; overlong
 * UTF-8 (%C0, %C1); segments that are dots followed by ';' (path parameters hide them
 * from us, not from Java origins); a path that climbs above the root; '#'; bytes other
 * than printable ASCII.
 */
#ifndef SLUICE_HTTP_PATH_H
#define SLUICE_HTTP_PATH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes the normalised target (path and query, no NUL) to out and returns its length;
 * *ret_path_len is how much of it is path. An empty path becomes "/". -EINVAL: refused
 * (400), *ret_why is one static sentence; -E2BIG: out is too small (3 * len + 1 is
 * always enough).
 */
int http_path_normalise(const char *target, size_t len, char *out, size_t size,
			size_t *ret_path_len, const char **ret_why);
/*
 * True when prefix, unescaped text starting with '/', matches a normalised path on
 * whole segments: "/a" and "/a/" match "/a" and "/a/b", not "/ab".
 */
bool http_path_has_prefix(const char *path, size_t len, const char *prefix, size_t prefix_len);

#endif
