/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Prometheus reads, in its text format 0.0.4: everything that is counted, once. Names end in
 * units, counters in _total; each metric is one group, with HELP and TYPE. The first
 * metrics.tenants slots have series of their own, all others share those of tenant "(others)".
 */
#ifndef SLUICE_SLUICED_EXPOSITION_H
#define SLUICE_SLUICED_EXPOSITION_H

#include <stdio.h>

#include "sluiced.h"

/* 0 or -errno; what out makes of errors is the caller's to ask. */
int exposition_write(struct sluiced *sluiced, FILE *out);

#endif
