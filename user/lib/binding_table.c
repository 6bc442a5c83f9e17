/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Header, rows in the order of (tenant, address, MAC), texts. A port has a row for each address
 * and one with address zero for its MAC alone.
 */
#include "binding_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x31646e69626c73 /* "slbind1" */

struct header {
	uint64_t magic;
	uint32_t count, texts_len;
};

/* Texts are offsets; each ends with a NUL. */
struct binding_row {
	uint32_t tenant, instance, project;
	uint8_t address[16];
	uint8_t mac[6];
	uint8_t pad[2];
};

static const uint8_t nowhere[16];

/* ---- building ---------------------------------------------------------------------------------
 */

struct build {
	struct header *header;
	struct binding_row *rows;
	char *texts;
};

static uint32_t put_text(struct build *build, const char *text)
{
	uint32_t at = build->header->texts_len;
	size_t len = strlen(text) + 1;

	memcpy(build->texts + at, text, len);
	build->header->texts_len += (uint32_t)len;
	return at;
}

static int by_address(const void *a, const void *b)
{
	const struct binding_row *x = a, *y = b;
	int order = memcmp(x->address, y->address, sizeof(x->address));

	return order ? order : memcmp(x->mac, y->mac, sizeof(x->mac));
}

static void put_row(struct build *build, struct binding_row row, const uint8_t address[16])
{
	memcpy(row.address, address, sizeof(row.address));
	build->rows[build->header->count++] = row;
}

/* A tenant's bindings stand together in the list: its rows are put into order by themselves. */
static size_t put_tenant(struct build *build, const struct binding_list *list, size_t at)
{
	const char *tenant = list->list[at]->tenant;
	struct binding_row row = { .tenant = put_text(build, tenant) };
	uint32_t first = build->header->count;

	for (; at < list->count && !strcmp(list->list[at]->tenant, tenant); at++) {
		const struct binding *binding = list->list[at];

		row.instance = put_text(build, binding->instance);
		row.project = put_text(build, binding->project);
		memcpy(row.mac, binding->mac, sizeof(row.mac));
		put_row(build, row, nowhere);
		for (unsigned i = 0; i < binding->naddresses; i++)
			put_row(build, row, binding->addresses[i]);
	}
	qsort(build->rows + first, build->header->count - first, sizeof(row), by_address);
	return at;
}

void *binding_table_build(const struct binding_list *list, size_t *ret_size)
{
	size_t rows = 0, texts = 0;
	struct build build;

	for (size_t i = 0; i < list->count; i++) {
		const struct binding *binding = list->list[i];

		rows += 1 + binding->naddresses;
		texts += strlen(binding->tenant) + strlen(binding->instance) +
			 strlen(binding->project) + 3;
	}
	build.header = calloc(1, sizeof(*build.header) + rows * sizeof(*build.rows) + texts);
	if (!build.header)
		return NULL;
	build.header->magic = MAGIC;
	build.rows = (void *)(build.header + 1);
	build.texts = (char *)(build.rows + rows);
	for (size_t at = 0; at < list->count;)
		at = put_tenant(&build, list, at);
	*ret_size = sizeof(*build.header) + rows * sizeof(*build.rows) + build.header->texts_len;
	return build.header;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

int binding_table_open(const void *bytes, size_t size, struct binding_table *ret)
{
	const struct header *header = bytes;
	struct binding_table table;

	if (size < sizeof(*header) || header->magic != MAGIC ||
	    size != sizeof(*header) + (size_t)header->count * sizeof(struct binding_row) +
			    header->texts_len)
		return -EBADMSG;
	table = (struct binding_table){
		.rows = (const void *)(header + 1),
		.count = header->count,
		.texts_len = header->texts_len,
		.size = size,
	};
	table.texts = (const char *)(table.rows + table.count);
	if (table.texts_len && table.texts[table.texts_len - 1])
		return -EBADMSG;
	for (uint32_t i = 0; i < table.count; i++)
		if (table.rows[i].tenant >= table.texts_len ||
		    table.rows[i].instance >= table.texts_len ||
		    table.rows[i].project >= table.texts_len)
			return -EBADMSG;
	*ret = table;
	return 0;
}

/* The first row that is not before (tenant, address, mac). */
static uint32_t place(const struct binding_table *table, const char *tenant,
		      const uint8_t address[16], const uint8_t mac[6])
{
	uint32_t low = 0, high = table->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct binding_row *row = &table->rows[middle];
		int order = strcmp(tenant, table->texts + row->tenant);

		if (!order)
			order = memcmp(address, row->address, sizeof(row->address));
		if (!order)
			order = memcmp(mac, row->mac, sizeof(row->mac));
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_tenant(const struct binding_table *table, uint32_t row, const char *tenant)
{
	return row < table->count && !strcmp(table->texts + table->rows[row].tenant, tenant);
}

static bool is_address(const struct binding_table *table, uint32_t row, const char *tenant,
		       const uint8_t address[16])
{
	return is_tenant(table, row, tenant) &&
	       !memcmp(table->rows[row].address, address, sizeof(table->rows[row].address));
}

bool binding_table_bound(const struct binding_table *table, const char *tenant)
{
	static const uint8_t least[6];

	return is_tenant(table, place(table, tenant, nowhere, least), tenant);
}

uint32_t binding_table_find(const struct binding_table *table, const char *tenant,
			    const uint8_t mac[6], const uint8_t address[16])
{
	bool by_mac = address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
	static const uint8_t least[6];
	uint32_t row;

	if (!mac) {
		row = place(table, tenant, address, least);
		return !by_mac && is_address(table, row, tenant, address) &&
				       !is_address(table, row + 1, tenant, address)
			       ? row
			       : BINDING_NONE;
	}
	if (by_mac)
		address = nowhere;
	row = place(table, tenant, address, mac);
	return is_address(table, row, tenant, address) &&
			       !memcmp(table->rows[row].mac, mac, sizeof(table->rows[row].mac))
		       ? row
		       : BINDING_NONE;
}

const char *binding_table_instance(const struct binding_table *table, uint32_t row)
{
	return table->texts + table->rows[row].instance;
}

const char *binding_table_project(const struct binding_table *table, uint32_t row)
{
	return table->texts + table->rows[row].project;
}

const uint8_t *binding_table_mac(const struct binding_table *table, uint32_t row)
{
	return table->rows[row].mac;
}
