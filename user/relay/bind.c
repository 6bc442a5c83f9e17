/* SPDX-License-Identifier: BSD-2-Clause */
#include "bind.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/syn.h"
#include "io.h"
#include "relay.h"

/*
 * What was in accept queues when the table came is accepted within so many turns; each turn looks
 * at the ring once. Who connects all the time under a binding that did not change must not hold
 * back the others for ever.
 */
#define TURNS_LEAST  2
#define TURNS_MOST   64
#define TURNS_PAUSED 1000

static uint32_t find(const struct binding_table *table, const struct conn *conn)
{
	return binding_table_find(table, conn->tenant_name, conn->has_mac ? conn->mac : NULL,
				  conn->address.s6_addr);
}

/* Whether both tables say the same about the connection's client. */
static bool same(const struct binding_table *a, uint32_t row_a, const struct binding_table *b,
		 uint32_t row_b, const char *tenant)
{
	if (row_a == BINDING_NONE || row_b == BINDING_NONE)
		return row_a == row_b &&
		       binding_table_bound(a, tenant) == binding_table_bound(b, tenant);
	return !memcmp(binding_table_mac(a, row_a), binding_table_mac(b, row_b), 6) &&
	       !strcmp(binding_table_instance(a, row_a), binding_table_instance(b, row_b)) &&
	       !strcmp(binding_table_project(a, row_a), binding_table_project(b, row_b));
}

static void unmap(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}

/*
 * Resets connections whose client is another one in the next table, and points the rest to their
 * rows there. The log still reads the present one.
 */
static void review(struct relay *relay, const struct binding_table *next)
{
	unsigned reset = 0;

	for (uint32_t i = 0; i < relay->conns.fresh; i++) {
		struct conn *conn = &relay->conns.conns[i];
		uint32_t row;

		if (conn->state == CONN_FREE || conn->state == CONN_CLOSING)
			continue;
		row = find(next, conn);
		if (!same(&relay->bindings.table, conn->binding, next, row, conn->tenant_name)) {
			conn_close(relay, conn, CONN_END_BINDING);
			row = BINDING_NONE;
			reset++;
		}
		conn->binding = row;
	}
	if (reset)
		log_info("worker %u: port bindings changed: %u connections reset", relay->index,
			 reset);
}

int bind_change(struct relay *relay, int fd, const struct proto_bindings *about)
{
	struct bindings *bindings = &relay->bindings;
	struct binding_table table;
	void *memory;
	int rc;

	/* Sent again to who was only slow: to begin anew would make it slower still. */
	if (bindings->turns && about->serial == bindings->serial) {
		close(fd);
		return 0;
	}
	/* A private mapping may be written to, and is not: the sandbox knows no other kind. */
	memory = mmap(NULL, about->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	if (memory == MAP_FAILED)
		return -errno;
	rc = binding_table_open(memory, about->size, &table);
	if (rc < 0) {
		munmap(memory, about->size);
		return rc;
	}
	review(relay, &table);
	if (!relay->listeners.open && !relay->conns.open) {
		/* At birth: what waits to be accepted met the guard under this very table. */
		unmap(bindings->memory, bindings->table.size);
		bindings->before = table;
	} else if (bindings->turns) {
		/* Two changes in one: the guard let nobody in for what was between them. */
		unmap(bindings->memory, bindings->table.size);
	} else {
		bindings->before = bindings->table;
		bindings->memory_before = bindings->memory;
	}
	bindings->table = table;
	bindings->memory = memory;
	bindings->serial = about->serial;
	bindings->turns = 1;
	return 0;
}

bool bind_client(struct relay *relay, struct conn *conn)
{
	struct bindings *bindings = &relay->bindings;
	uint8_t syn[256];
	ssize_t n;

	conn->binding = BINDING_NONE;
	bindings->accepted = true;
	if (!bindings->turns && !binding_table_bound(&bindings->table, conn->tenant_name))
		return true;
	n = io_saved_syn(conn->client.fd, syn, sizeof(syn));
	conn->has_mac = n > 0 && syn_mac(syn, (size_t)n, conn->mac);
	conn->binding = find(&bindings->table, conn);
	/* It may have been opened before the change, by whoever had the address then. */
	if (bindings->turns && !same(&bindings->before, find(&bindings->before, conn),
				     &bindings->table, conn->binding, conn->tenant_name))
		return false;
	return conn->binding != BINDING_NONE ||
	       !binding_table_bound(&bindings->table, conn->tenant_name);
}

/*
 * False: the parent's socket is full, or it is new and hears what there is first; tried again in
 * the next turn.
 */
static bool tell(struct relay *relay)
{
	const struct proto_bindings about = {
		.serial = relay->bindings.serial,
		.size = relay->bindings.table.size,
	};

	if (relay->handover.telling)
		return false;
	return relay->parent_fd < 0 || msg_send(relay->parent_fd, PROTO_BOUND, 0, &about,
						sizeof(about), NULL, 0) != -EAGAIN;
}

void bind_turn(struct relay *relay)
{
	struct bindings *bindings = &relay->bindings;
	/* While descriptors are short nothing is accepted; that passes, or it is long. */
	bool paused = relay->listeners.paused_until_ms != 0;
	bool busy = paused || bindings->accepted;

	bindings->accepted = false;
	if (!bindings->turns || bindings->turns++ < TURNS_LEAST)
		return;
	if ((busy && bindings->turns < (paused ? TURNS_PAUSED : TURNS_MOST)) || !tell(relay))
		return;
	bindings->turns = 0;
	unmap(bindings->memory_before, bindings->before.size);
	bindings->memory_before = NULL;
	bindings->before = (struct binding_table){ 0 };
}

bool bind_settling(const struct relay *relay)
{
	return relay->bindings.turns > 0;
}

const char *bind_instance(const struct relay *relay, const struct conn *conn)
{
	if (conn->binding == BINDING_NONE)
		return NULL;
	return binding_table_instance(&relay->bindings.table, conn->binding);
}

const char *bind_project(const struct relay *relay, const struct conn *conn)
{
	if (conn->binding == BINDING_NONE)
		return NULL;
	return binding_table_project(&relay->bindings.table, conn->binding);
}
