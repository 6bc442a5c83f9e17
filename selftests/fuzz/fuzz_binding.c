/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file of port bindings. What is taken is sorted, distinct, bounded, and made of words that can
 * stand in a header; written and read again it is the same; each machine is found in its table.
 * The table's reader gets the same bytes as they are.
 */
#include <errno.h>
#include <stdio.h>

#include "../../user/lib/binding.h"
#include "../../user/lib/binding_table.h"
#include "fuzz.h"

static void check_word(const char *word)
{
	size_t len = strlen(word);

	assert(len > 0 && len < 64);
	for (; *word; word++)
		assert(*word > 0x20 && *word < 0x7f);
}

static void check_again(const struct binding *binding)
{
	char why[BINDING_WHY_MAX];
	json_t *object = binding_write(binding);
	struct binding *again;

	assert(object && !binding_read(object, &again, why));
	assert(!strcmp(binding->tenant, again->tenant) && binding_same(binding, again));
	assert(!memcmp(binding->mac, again->mac, 6) && binding->expires == again->expires);
	assert(binding->naddresses == again->naddresses);
	for (unsigned i = 0; i < binding->naddresses; i++)
		assert(binding_has(again, binding->addresses[i]));
	json_decref(object);
	free(again);
}

static void check_list(const struct binding_list *list)
{
	struct binding_table table;
	size_t size;
	void *bytes = binding_table_build(list, &size);

	assert(bytes && !binding_table_open(bytes, size, &table));
	for (size_t i = 0; i < list->count; i++) {
		const struct binding *binding = list->list[i];

		check_word(binding->tenant);
		check_word(binding->instance);
		check_word(binding->project);
		assert(!(binding->mac[0] & 1) && binding->naddresses <= BINDING_ADDRESSES_MAX);
		assert(bindings_find(list, binding->tenant, binding->mac) == binding);
		check_again(binding);
		assert(binding_table_bound(&table, binding->tenant));
		for (unsigned a = 0; a < binding->naddresses; a++) {
			uint32_t row = binding_table_find(&table, binding->tenant, binding->mac,
							  binding->addresses[a]);

			assert(row != BINDING_NONE);
			assert(!strcmp(binding_table_instance(&table, row), binding->instance));
			assert(!strcmp(binding_table_project(&table, row), binding->project));
		}
	}
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = { 2 }, address[16] = { 0xfe, 0x80 };
	char *text = fuzz_copy(data, size), *why;
	struct binding_list list = { 0 };
	struct binding_table table;
	int err = bindings_parse("f", text, size, &list, &why);

	assert(err == 0 || (err == -EINVAL && why && *why && !list.list));
	if (err) {
		json_t *shown = json_string(why);

		assert(shown);
		json_decref(shown);
	}
	free(why);
	if (!err)
		check_list(&list);
	bindings_free(&list);
	if (!binding_table_open(text, size, &table)) {
		binding_table_bound(&table, "blue");
		binding_table_find(&table, "blue", mac, address);
		binding_table_find(&table, "", NULL, address);
	}
	free(text);
	return 0;
}
