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

json_t *control_bad_argument(const char *key)
{
#define NAME "a name has up to 63 letters, digits, '.', '_', '-', and begins with a letter or digit"
	static const struct {
		const char *key, *form;
	} forms[] = {
		{ "name", NAME },
		{ "tenant", NAME },
		{ "netns", "write a name of \"ip netns list\", an absolute path or a process id" },
		{ "interface", "write the interface's name, up to 15 characters" },
		{ "l3_interface", "write the interface's name, up to 15 characters" },
		{ "bridge", "write fd or stream" },
		{ "fail", "write pass or drop" },
		{ "guard", "write auto, tc, xdp-native or xdp-generic" },
		{ "ports", "write up to 8 different ports, 1 to 65535" },
		{ "ipv6", "write true or false" },
		{ "mac", "write one machine's, e.g. fa:16:3e:00:00:05" },
	};
#undef NAME
	const char *form = "see sluice(8)";

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (!strcmp(forms[i].key, key))
			form = forms[i].form;
	return control_error("usage", form, "%s is missing or wrong", key);
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
