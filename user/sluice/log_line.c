/* SPDX-License-Identifier: BSD-2-Clause */
#include "log_line.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *word, const char *const *list)
{
	while (*list && strcmp(*list, word))
		list++;
	return *list;
}

static json_t *value_of(const char *key, char *text)
{
	static const char *const numbers[] = { "status",   "in",       "out",	   "connect_ms",
					       "first_ms", "total_ms", "left_out", NULL };
	size_t len = strlen(text);

	if (text[0] == '"' && len >= 2 && text[len - 1] == '"')
		return json_stringn(text + 1, len - 2);
	if (!strcmp(text, "-"))
		return json_null();
	if (!is_one_of(key, numbers))
		return json_string(text);
	return strchr(text, '.') ? json_real(strtod(text, NULL))
				 : json_integer(strtoll(text, NULL, 10));
}

/* NULL when it is no line of an access log. */
static json_t *parse_line(char *line)
{
	json_t *object;
	char *word, *rest;

	if (line[0] == '{') {
		object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		if (object && !json_is_object(object)) {
			json_decref(object);
			object = NULL;
		}
		return object;
	}
	object = json_object();
	for (word = strtok_r(line, " ", &rest); object && word; word = strtok_r(NULL, " ", &rest)) {
		char *equal = strchr(word, '=');

		if (!equal) {
			json_decref(object);
			return NULL;
		}
		*equal = '\0';
		json_object_set_new(object, word, value_of(word, equal + 1));
	}
	return object;
}

/* What a terminal would obey, a line does not say. */
static void make_plain(char *text)
{
	for (; text && *text; text++)
		if (*text < 0x20 || *text >= 0x7f)
			*text = '?';
}

static char *format_text(json_t *object)
{
	static const char *const quoted[] = { "method", "path", "route", "origin", NULL };
	const char *key;
	json_t *value;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	json_object_foreach (object, key, value) {
		const char *quote = is_one_of(key, quoted) ? "\"" : "";

		fprintf(out, "%s%s=", ftell(out) ? " " : "", key);
		if (json_is_string(value))
			fprintf(out, "%s%s%s", quote, json_string_value(value), quote);
		else if (json_is_integer(value))
			fprintf(out, "%lld", (long long)json_integer_value(value));
		else if (json_is_real(value))
			fprintf(out, "%.3f", json_real_value(value));
		else
			putc('-', out);
	}
	return fclose(out) ? NULL : text;
}

static bool is_wanted(const json_t *object, const char *tenant)
{
	const char *name = json_string_value(json_object_get(object, "tenant"));

	return !tenant || (name && !strcmp(name, tenant));
}

char *log_line_render(const char *line, bool json, const char *tenant)
{
	char *copy = strdup(line), *text = NULL;
	json_t *object;

	if (!copy)
		return NULL;
	if (!json && !tenant && line[0] != '{') {
		make_plain(copy);
		return copy;
	}
	object = parse_line(copy);
	free(copy);
	if (object && is_wanted(object, tenant)) {
		if (json)
			text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII |
							  JSON_REAL_PRECISION(12));
		else
			text = line[0] == '{' ? format_text(object) : strdup(line);
	}
	make_plain(text);
	json_decref(object);
	return text;
}
