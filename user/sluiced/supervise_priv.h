/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The slots as supervise.c and slot.c share them.
 */
#ifndef SLUICE_SLUICED_SUPERVISE_PRIV_H
#define SLUICE_SLUICED_SUPERVISE_PRIV_H

#include "heap.h"
#include "supervise.h"
#include "worker.h"

#define ROLES 3

struct slot {
	struct supervise *supervise;
	enum proto_role role;
	unsigned index;
	struct worker *worker;
	struct worker *replaced; /* of the generation before; drained when worker is READY */
	unsigned restarts, quick;
	bool spared; /* gets no new connections until worker is heard of again */
	struct loop_timer retry, retire;
};

struct supervise {
	struct sluiced *sluiced;
	struct slot slots[ROLES][SL_WORKERS_MAX];
	struct worker *workers;
	struct loop_timer check;
	unsigned listeners; /* gates have so many per family and port */
	bool shared;	    /* one for all workers: kernels before 6.6 */
	bool ending;
	struct heap heap;
};

/* Who takes what is new; NULL: nobody. One that is to be replaced does until its successor serves.
 */
const struct worker *slot_acceptor(const struct slot *slot);
/* As slot_acceptor(), of a role that nobody connects to: until its successor serves, in earnest. */
struct worker *slot_taker(const struct slot *slot);
/* Tells the gates whether anybody accepts in the slot. */
void slot_publish(struct slot *slot);
/* Spares a worker that is silent new connections while another is well, until it is heard of. */
void slot_spare(struct slot *slot, uint64_t now_ms);

#endif
