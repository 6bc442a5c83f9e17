/* SPDX-License-Identifier: BSD-2-Clause */
/* A node's document, and what of it goes into paths, names and environments. */
#include <stdlib.h>
#include <string.h>

#include "../../user/lib/desired.h"
#include "../../user/lib/name.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = desired_parse((const char *)data, size), *item;
	size_t i;

	json_array_foreach (json_object_get(json, "items"), i, item) {
		const char *name = json_string_value(json_object_get(item, "name"));

		if (!name || strchr(name, '/') || strstr(name, "..") == name ||
		    !name_hex_valid(json_string_value(json_object_get(item, "id")), DESIRED_ID_LEN))
			abort();
	}
	json_decref(json);
	return 0;
}
