/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line of the access log, which a worker wrote that may be somebody else's by now: what is
 * printed of it is one line of plain ASCII, JSON where that was asked for, and of no other tenant.
 */
#include <jansson.h>

#include "../../user/sluice/log_line.c"
#include "fuzz.h"

static void check(const char *line, bool json, const char *tenant)
{
	char *text = log_line_render(line, json, tenant);
	json_t *object;

	if (!text)
		return;
	for (const char *c = text; *c; c++)
		assert(*c >= 0x20 && *c < 0x7f);
	if (json) {
		object = json_loads(text, 0, NULL);
		assert(json_is_object(object));
		if (tenant)
			assert(!strcmp(json_string_value(json_object_get(object, "tenant")),
				       tenant));
		json_decref(object);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line;

	if (size > LOG_LINE_MAX || memchr(data, 0, size) || memchr(data, '\n', size))
		return 0;
	line = malloc(size + 1);
	assert(line);
	memcpy(line, data, size);
	line[size] = '\0';
	check(line, false, NULL);
	check(line, true, NULL);
	check(line, false, "blue");
	check(line, true, "blue");
	free(line);
	return 0;
}
