/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines of a trace. What a worker wrote is read as if it were hostile. Pure. */
#ifndef SLUICE_SLUICED_TRACE_TEXT_H
#define SLUICE_SLUICED_TRACE_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi.h"

/* A drop; time_us is Unix time. NULL: no memory. */
json_t *trace_drop(const struct sl_sample *sample, const char *tenant, int64_t time_us);
/* count things of a kind ("drops", "requests", "lines") are missing, and why. tenant may be NULL.
 */
json_t *trace_left_out(const char *tenant, const char *kind, uint64_t count, const char *why);
/*
 * A line of a worker's, as an object with "type": "request", known members of the right types
 * alone. *ret_left_out is how many requests it says are missing. NULL: it is none.
 */
json_t *trace_request(const char *line, size_t len, uint64_t *ret_left_out);

#endif
