/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line that a worker wrote into the pipe of traces: whatever it is, what goes on to those who
 * look on is an object of type "request" without a byte that a terminal would obey.
 */
#include "../../user/sluiced/trace_text.c"
#include "fuzz.h"

static void check_text(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t left_out = 0;
	json_t *line = trace_request((const char *)data, size, &left_out), *value;
	const char *key;

	if (!line)
		return 0;
	if (strcmp(json_string_value(json_object_get(line, "type")), "request") != 0 ||
	    !json_is_string(json_object_get(line, "tenant")) || left_out > INT64_MAX)
		abort();
	json_object_foreach (line, key, value) {
		check_text(key);
		if (json_is_object(value) || json_is_array(value))
			abort();
		if (json_is_string(value))
			check_text(json_string_value(value));
	}
	json_decref(line);
	return 0;
}
