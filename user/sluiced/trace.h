/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who wants to see what happens, live: drop samples from the ring buffer and request lines from
 * the workers, as JSON lines, one a packet of a SOCK_SEQPACKET socket whose other end the asker
 * has. One who does not read loses lines and is told how many; nobody ever waits for him.
 */
#ifndef SLUICE_SLUICED_TRACE_H
#define SLUICE_SLUICED_TRACE_H

#include <stdbool.h>

#include "../../bpf/abi.h"
#include "sluiced.h"

struct trace;
struct worker;

int trace_new(struct sluiced *sluiced, struct trace **ret);
void trace_free(struct trace *trace);
/* tenant NULL: all. The asker's end, or -errno: -EBUSY when enough of them look on. */
int trace_begin(struct trace *trace, const char *tenant, bool drops, bool requests);
/* Takes what the ring buffer holds; several times a second. */
void trace_look(struct trace *trace);
/* A new worker learns who traces. */
int trace_equip(struct trace *trace, struct worker *worker);

#endif
