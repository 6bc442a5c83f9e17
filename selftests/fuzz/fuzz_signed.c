/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A signed document, which comes over plain HTTP past a VM's neighbours, and the instruction in
 * one: a document of other bytes than those that were signed is refused, and what an instruction
 * says may stand on a command line.
 *
 * The input is taken as a document, as public keys, and as a payload; signed here, the payload must
 * come back.
 */
#include <errno.h>

#include "../../user/lib/instruction.h"
#include "../../user/lib/signed.h"
#include "fuzz.h"

static void check_instruction(const char *payload, size_t len)
{
	json_t *instruction = instruction_parse(payload, len), *operation, *package;
	size_t i, j;

	if (!instruction)
		return;
	assert(instruction_instance_valid(
		json_string_value(json_object_get(instruction, "instance"))));
	assert(json_integer_value(json_object_get(instruction, "generation")) > 0);
	json_array_foreach (json_object_get(instruction, "operations"), i, operation) {
		assert(i < INSTRUCTION_OPERATIONS_MAX);
		json_array_foreach (json_object_get(operation, "packages"), j, package) {
			const char *name = json_string_value(package);

			assert(j < INSTRUCTION_PACKAGES_MAX && name[0] != '-');
			assert(!strpbrk(name, " \t\n/*'\"\\$`;|&<>()?[]"));
		}
	}
	json_decref(instruction);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *secret, *public;
	char *copy = fuzz_copy(data, size), *text, *document, *payload;
	size_t len;
	int err;

	if (!secret)
		assert(!signed_key_make(&secret, &public));
	assert(signed_open(public, copy, size, &payload, &len));
	if (!signed_peek(copy, size, &payload, &len)) {
		check_instruction(payload, len);
		free(payload);
	}
	check_instruction(copy, size);

	if (!size) {
		free(copy);
		return 0;
	}
	assert(!signed_make(secret, copy, size, &document));
	assert(!signed_open(public, document, strlen(document), &payload, &len));
	assert(len == size && !memcmp(payload, data, size));
	free(payload);
	/* Keys from a file. */
	text = malloc(size + 1);
	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	err = signed_open(text, document, strlen(document), &payload, &len);
	assert(err == -EINVAL || err == -EKEYREJECTED);
	free(text);
	free(document);
	free(copy);
	return 0;
}
