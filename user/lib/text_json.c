/* SPDX-License-Identifier: BSD-2-Clause */
/* Apart from text.c: what only logs does not need jansson. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static int clean_strings(json_t *json)
{
	const char *key;
	json_t *value;
	char *text;
	size_t i, len;
	int err = 0;

	if (json_is_string(json)) {
		len = json_string_length(json);
		text = strndup(json_string_value(json), len);
		if (!text)
			return -1;
		text_clean(text, strlen(text), false);
		err = json_string_set(json, text);
		free(text);
		return err;
	}
	json_array_foreach (json, i, value)
		err |= clean_strings(value);
	json_object_foreach (json, key, value)
		err |= clean_strings(value);
	return err;
}

json_t *text_json(const json_t *json)
{
	json_t *copy = json_deep_copy(json);

	if (copy && clean_strings(copy)) {
		json_decref(copy);
		return NULL;
	}
	return copy;
}
