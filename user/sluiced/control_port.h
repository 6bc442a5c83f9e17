/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands "port.*". */
#ifndef SLUICE_SLUICED_CONTROL_PORT_H
#define SLUICE_SLUICED_CONTROL_PORT_H

#include <jansson.h>

#include "sluiced.h"

extern const char *const control_port_set_keys[];
extern const char *const control_port_keys[];

json_t *control_port_set(struct sluiced *sluiced, json_t *arguments);
json_t *control_port_del(struct sluiced *sluiced, json_t *arguments);
json_t *control_port_status(struct sluiced *sluiced, json_t *arguments);
json_t *control_port_list(struct sluiced *sluiced, json_t *arguments);

#endif
