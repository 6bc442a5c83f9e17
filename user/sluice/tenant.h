/* SPDX-License-Identifier: BSD-2-Clause */
/* What tenant.c and status.c both print. */
#ifndef SLUICE_TENANT_H
#define SLUICE_TENANT_H

#include <jansson.h>

/* A line for each tenant of the array. */
void tenant_table(const json_t *tenants);

#endif
