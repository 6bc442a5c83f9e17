/* SPDX-License-Identifier: BSD-2-Clause */
/* Replies and arguments in JSON. */
#include "control_reply.h"

#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../lib/text.h"

json_t *control_error(const char *code, const char *hint, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	/* It may quote what was asked, cut anywhere. */
	text_clean(message, strlen(message), true);
	return json_pack("{s:b, s:{s:s, s:s, s:s}}", "ok", 0, "error", "code", code, "message",
			 message, "hint", hint);
}

json_t *control_data(json_t *data)
{
	return data ? json_pack("{s:b, s:o}", "ok", 1, "data", data)
		    : control_error("system", "free some memory", "out of memory");
}

bool control_only_keys(json_t *object, const char *const *keys, const char **ret_unknown)
{
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value) {
		int i = 0;

		while (keys[i] && strcmp(keys[i], key))
			i++;
		if (!keys[i]) {
			*ret_unknown = key;
			return false;
		}
	}
	return true;
}

const char *control_text(json_t *arguments, const char *key, const char **ret_bad)
{
	json_t *value = json_object_get(arguments, key);

	if (!value)
		return NULL;
	/* An embedded NUL would cut it short; jansson refuses them in input. */
	if (!json_is_string(value) || !json_string_length(value)) {
		*ret_bad = key;
		return NULL;
	}
	return json_string_value(value);
}

bool control_interface_valid(const char *name)
{
	return name[0] && strlen(name) < IFNAMSIZ && !strpbrk(name, "/: \t\n") &&
	       strcmp(name, ".") && strcmp(name, "..");
}
