/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parent says to a worker (proto.h): first CONFIG, from which every table is made,
 * then pipes, listeners, origin connections and the rest, each handed to its module. What is
 * malformed is said and skipped. When the parent is gone the worker serves on, and a
 * successor may take its place.
 */
#ifndef SLUICE_RELAY_PARENT_H
#define SLUICE_RELAY_PARENT_H

#include "ring.h"

struct relay;

/* Blocks until the parent has sent CONFIG. 0 or -errno. */
int parent_configure(struct relay *relay);
/* Takes all messages there are; the ring then tells of more. */
void parent_read(struct relay *relay);
/* The ring tells of more: of this parent's, or of one before it. */
void parent_event(struct relay *relay, struct ring_tag tag);
/* A successor's socket takes the place of what there is. */
void parent_change(struct relay *relay, int fd);

#endif
