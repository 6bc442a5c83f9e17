/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who a client is by its port binding. The parent sends the whole table whenever it changes; a
 * connection keeps its row. With a new table, what was opened under another binding is reset, and
 * nothing is told to the parent before the last of that is gone: only then does the guard let the
 * machines of the new bindings in.
 */
#ifndef SLUICE_RELAY_BIND_H
#define SLUICE_RELAY_BIND_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/binding_table.h"
#include "proto.h"

struct conn;
struct relay;

struct bindings {
	struct binding_table table, before; /* before: of the table that was, while settling */
	void *memory, *memory_before;
	uint64_t serial;
	unsigned turns; /* since the table came; 0: settled */
	bool accepted;	/* in this turn */
};

/* The table in a memfd, which is taken over. 0 or -errno, after which the old one stays. */
int bind_change(struct relay *relay, int fd, const struct proto_bindings *about);
/*
 * Finds out who a new connection's client is; its tenant and address are known. False: it has no
 * business here and is to be reset.
 */
bool bind_client(struct relay *relay, struct conn *conn);
/* At the end of every turn of the loop. */
void bind_turn(struct relay *relay);
/* True: the loop should not sleep. */
bool bind_settling(const struct relay *relay);

/* From the binding; NULL without one. */
const char *bind_instance(const struct relay *relay, const struct conn *conn);
const char *bind_project(const struct relay *relay, const struct conn *conn);

#endif
