/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every number of the configuration: its default and its range. sluice.yaml(5) prints
 * the same.
 */
#ifndef SLUICE_CONF_NUMBERS_H
#define SLUICE_CONF_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

struct conf_number {
	const char *key; /* path below struct conf or struct conf_service */
	size_t offset;
	size_t size; /* 4 or 8 */
	uint64_t preset, least, most;
};

#define CONF_NUMBERS	     36
#define CONF_SERVICE_NUMBERS 6

extern const struct conf_number conf_numbers[CONF_NUMBERS];
extern const struct conf_number conf_service_numbers[CONF_SERVICE_NUMBERS];

#endif
