/* SPDX-License-Identifier: BSD-2-Clause */
#include "instruction.h"

#include <stdlib.h>
#include <string.h>

#include "name.h"

bool instruction_instance_valid(const char *text)
{
	size_t len = strnlen(text, INSTRUCTION_INSTANCE_MAX + 1);

	if (!len || len > INSTRUCTION_INSTANCE_MAX || strspn(text, "._-:"))
		return false;
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:") ==
	       len;
}

/* "install", "remove", "upgrade". */
static bool is_action(const char *text)
{
	return !strcmp(text, "install") || !strcmp(text, "remove") || !strcmp(text, "upgrade");
}

/* Nothing that apt or dnf could take for an option, a path, a pattern or a removal ("x-"). */
static bool package_valid(const char *text)
{
	char name[NAME_MAX_LEN + 1];
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);

	if (len > NAME_MAX_LEN || (equals && !name_version_valid(equals + 1)))
		return false;
	/* "x=1-" removes, too; no version of Debian's or of rpm's ends like that. */
	if (equals && equals[strlen(equals) - 1] == '-')
		return false;
	memcpy(name, text, len);
	name[len] = '\0';
	return name_package_valid(name) && name[len - 1] != '-' &&
	       (name[len - 1] != '+' || (len > 2 && name[len - 2] == '+'));
}

bool instruction_operation_valid(const json_t *operation)
{
	const char *id = json_string_value(json_object_get(operation, "id"));
	const char *action = json_string_value(json_object_get(operation, "action"));
	const json_t *packages = json_object_get(operation, "packages"), *package;
	const json_t *expires = json_object_get(operation, "expires");
	size_t i;

	if (expires && json_integer_value(expires) < 1)
		return false;
	if (!id || !name_hex_valid(id, INSTRUCTION_ID_LEN) || !action || !is_action(action) ||
	    !json_is_array(packages) || json_array_size(packages) > INSTRUCTION_PACKAGES_MAX ||
	    (strcmp(action, "upgrade") != 0) != (json_array_size(packages) > 0))
		return false;
	json_array_foreach (packages, i, package)
		if (!json_is_string(package) || !package_valid(json_string_value(package)))
			return false;
	return true;
}

char *instruction_payload(const char *tenant, const char *instance, int64_t generation,
			  int64_t expires, const json_t *operations)
{
	const json_t *operation;
	json_t *payload;
	char *text;
	size_t i;

	json_array_foreach (operations, i, operation) {
		json_int_t own = json_integer_value(json_object_get(operation, "expires"));

		expires = own > expires ? own : expires;
	}
	payload = json_pack("{s:i, s:s, s:s, s:I, s:I, s:O}", "version", 1, "tenant", tenant,
			    "instance", instance, "generation", (json_int_t)generation, "expires",
			    (json_int_t)expires, "operations", operations);
	text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
	json_decref(payload);
	return text;
}

json_t *instruction_parse(const char *payload, size_t len)
{
	json_t *json = json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL);
	const char *tenant = json_string_value(json_object_get(json, "tenant"));
	const char *instance = json_string_value(json_object_get(json, "instance"));
	const json_t *operations = json_object_get(json, "operations"), *operation;
	size_t i;

	if (!tenant || !name_tenant_valid(tenant) || !instance ||
	    !instruction_instance_valid(instance) ||
	    json_integer_value(json_object_get(json, "version")) != 1 ||
	    json_integer_value(json_object_get(json, "generation")) < 1 ||
	    json_integer_value(json_object_get(json, "expires")) < 1 ||
	    !json_is_array(operations) || json_array_size(operations) > INSTRUCTION_OPERATIONS_MAX)
		goto wrong;
	json_array_foreach (operations, i, operation)
		if (!instruction_operation_valid(operation))
			goto wrong;
	return json;
wrong:
	json_decref(json);
	return NULL;
}
