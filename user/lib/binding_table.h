/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bindings as one block of bytes, in which whoever maps it finds a machine without reading the
 * rest: what the parent gives to its workers in a sealed memfd. Both are of one build. Pure.
 */
#ifndef SLUICE_BINDING_TABLE_H
#define SLUICE_BINDING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "binding.h"

struct binding_row;

struct binding_table {
	const struct binding_row *rows;
	uint32_t count;
	const char *texts;
	uint32_t texts_len;
	size_t size; /* of the block */
};

#define BINDING_NONE UINT32_MAX

/* The block, malloc'd, or NULL: no memory. */
void *binding_table_build(const struct binding_list *list, size_t *ret_size);
/* 0, or -EBADMSG for bytes that are no table. The bytes must stay where they are. */
int binding_table_open(const void *bytes, size_t size, struct binding_table *ret);

/* Whether the tenant has any binding: then nobody of it is served without one. */
bool binding_table_bound(const struct binding_table *table, const char *tenant);
/*
 * The row of a machine, or BINDING_NONE. Link-local addresses are looked for by the MAC alone. mac
 * NULL: not known; then only an address that one MAC alone has is found.
 */
uint32_t binding_table_find(const struct binding_table *table, const char *tenant,
			    const uint8_t mac[6], const uint8_t address[16]);
const char *binding_table_instance(const struct binding_table *table, uint32_t row);
const char *binding_table_project(const struct binding_table *table, uint32_t row);
/* The MAC of a row. */
const uint8_t *binding_table_mac(const struct binding_table *table, uint32_t row);

#endif
