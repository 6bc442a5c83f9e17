/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration templates: ${NAME} is a variable, $$ a dollar; every other text is itself. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_impl.h"

#define EXPANDED_MAX (1024 * 1024)

struct out {
	char *text;
	size_t len, size;
};

static int put(struct out *out, const char *bytes, size_t len)
{
	size_t size = out->size ? out->size : 1024;
	char *more;

	if (len > EXPANDED_MAX - out->len)
		return -E2BIG;
	while (size < out->len + len + 1)
		size *= 2;
	if (size != out->size) {
		more = realloc(out->text, size);
		if (!more)
			return -ENOMEM;
		out->text = more;
		out->size = size;
	}
	memcpy(out->text + out->len, bytes, len);
	out->len += len;
	out->text[out->len] = '\0';
	return 0;
}

static unsigned line_of(const char *text, const char *at)
{
	unsigned line = 1;

	while (text < at)
		line += *text++ == '\n';
	return line;
}

/* The name in "${NAME}" at text; returns what follows, or NULL when it is none. */
static const char *take_name(const char *text, char name[65])
{
	size_t len = strcspn(text + 2, "}");

	if (len > 64 || !text[2 + len])
		return NULL;
	memcpy(name, text + 2, len);
	name[len] = '\0';
	return bundle_variable_valid(name) ? text + 3 + len : NULL;
}

int bundle_expand(const char *text, const char *(*lookup)(const char *name, void *arg), void *arg,
		  char **ret_text, struct bundle_error *error)
{
	const char *at = text, *next, *value;
	struct out out = { 0 };
	char name[65];
	int err = put(&out, "", 0);

	while (!err && *at) {
		size_t plain = strcspn(at, "$");

		err = put(&out, at, plain);
		at += plain;
		if (err || !*at)
			continue;
		if (at[1] == '{') {
			next = take_name(at, name);
			if (!next) {
				err = bundle_failed(
					error, -EBADMSG,
					"line %u: after \"${\" comes no name and \"}\"; "
					"write $$ for a dollar",
					line_of(text, at));
				goto fail;
			}
			value = lookup(name, arg);
			if (!value) {
				err = bundle_failed(error, -ENOENT, "line %u: ${%s} has no value",
						    line_of(text, at), name);
				goto fail;
			}
			err = put(&out, value, strlen(value));
			at = next;
		} else {
			err = put(&out, "$", 1);
			at += at[1] == '$' ? 2 : 1;
		}
	}
	if (!err) {
		*ret_text = out.text;
		return 0;
	}
	bundle_failed(error, err, "%s",
		      err == -E2BIG ? "the expanded text is larger than 1 MiB" : "out of memory");
fail:
	free(out.text);
	return err;
}

static const char *nothing(const char *name, void *arg)
{
	return "";
}

bool bundle_template_valid(const char *text)
{
	struct bundle_error ignored;
	char *expanded;

	if (bundle_expand(text, nothing, NULL, &expanded, &ignored))
		return false;
	free(expanded);
	return true;
}
