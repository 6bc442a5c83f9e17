/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands tenant.create, tenant.delete, gateway.create and gateway.delete.
 */
#ifndef SLUICE_SLUICED_CONTROL_CREATE_H
#define SLUICE_SLUICED_CONTROL_CREATE_H

#include <jansson.h>

#include "sluiced.h"

extern const char *const control_create_tenant_keys[], *const control_create_gateway_keys[],
							       *const control_delete_gateway_keys[];

json_t *control_create_tenant(struct sluiced *sluiced, json_t *arguments);
json_t *control_delete_tenant(struct sluiced *sluiced, json_t *arguments);
json_t *control_create_gateway(struct sluiced *sluiced, json_t *arguments);
json_t *control_delete_gateway(struct sluiced *sluiced, json_t *arguments);

#endif
