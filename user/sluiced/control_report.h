/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's state as JSON: the "tenant" and "status" objects of docs/control.md.
 */
#ifndef SLUICE_SLUICED_CONTROL_REPORT_H
#define SLUICE_SLUICED_CONTROL_REPORT_H

#include <jansson.h>

#include "sluiced.h"

struct tenant;

/* New references; NULL when memory is out. */
json_t *report_tenant(struct sluiced *sluiced, struct tenant *tenant);
/*
 * Without tenants: the last key is "tenants", an empty list for the caller to fill, since
 * thousands take their time.
 */
json_t *report_status(struct sluiced *sluiced);
/* What changes from moment to moment, for "sluice top": likewise, and one of its tenants. */
json_t *report_top(struct sluiced *sluiced);
json_t *report_top_tenant(struct sluiced *sluiced, struct tenant *tenant);
/* The status, and what a doctor needs beside: "routes" [{path, service, methods, require_header}].
 */
json_t *report_doctor(struct sluiced *sluiced);

#endif
