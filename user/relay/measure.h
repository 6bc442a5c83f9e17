/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a VM waits: from a whole request head to the head of its response, whoever answers.
 * Histograms stand behind the counters in the memory shared with the parent, one a tenant slot;
 * a page of it exists when a tenant there has asked for something.
 */
#ifndef SLUICE_RELAY_MEASURE_H
#define SLUICE_RELAY_MEASURE_H

struct conn;
struct relay;

void measure_begin(struct conn *conn);
/* A final response's head stands; harmless when no request was begun. */
void measure_answered(struct relay *relay, struct conn *conn);

#endif
