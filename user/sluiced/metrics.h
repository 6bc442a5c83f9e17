/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's side of metrics: the text (exposition.h) in a memfd, for "sluice metrics" and for
 * the exporter, which is started, given its listening socket, and started again when it ends.
 */
#ifndef SLUICE_SLUICED_METRICS_H
#define SLUICE_SLUICED_METRICS_H

#include "sluiced.h"

struct metrics;

int metrics_new(struct sluiced *sluiced, struct metrics **ret);
void metrics_free(struct metrics *metrics);
/* Brings the exporter to what the configuration in force says. */
void metrics_apply(struct metrics *metrics);
/* Ends the exporter until metrics_apply(). */
void metrics_stop(struct metrics *metrics);
/* A descriptor of the text to read, the caller's; half a second old at most. Or -errno. */
int metrics_open(struct metrics *metrics);

#endif
