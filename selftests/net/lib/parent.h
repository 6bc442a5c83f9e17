/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A parent for workers under test: configures them, hands over a listener on loopback
 * and answers their CONNECTs, as sluiced would. Runs in a network namespace of its own.
 */
#ifndef SELFTEST_PARENT_H
#define SELFTEST_PARENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../../bpf/abi.h"

struct parent_setup {
	const char *yaml;
	bool stream;	    /* two workers, FRONT and BACK, joined by AF_UNIX streams */
	unsigned pipes;	    /* small ones; as many large ones */
	uint32_t pipe_size; /* of the small ones; 0: 256 KiB */
	bool shared;	    /* the listener is shared (single-shot accept) */
};

#define PARENT_TENANT 7
#define PARENT_SLOT   1

struct parent;

/* Enters a new network namespace with loopback up; ends the program with 77 without root. */
void lab_enter(void);

struct parent *parent_start(const struct parent_setup *setup);
uint16_t parent_port(const struct parent *parent);
/* Counters of all workers together. */
struct sl_relay parent_counters(const struct parent *parent);
/* While on, CONNECTs get no reply; with error set they fail with it. */
void parent_withhold(struct parent *parent, bool on);
/* The same for one service, by its index; -1: none. */
void parent_withhold_service(struct parent *parent, int service);
void parent_fail(struct parent *parent, int error);
/* Sends UNLISTEN (abort) or DRAIN to every worker. */
void parent_unlisten(struct parent *parent, bool abort);
void parent_drain(struct parent *parent, uint32_t deadline_ms);
/* Closes the sockets to the workers, as if the parent had died. */
void parent_vanish(struct parent *parent);
/* Waits up to timeout_ms for all workers to end by themselves; true when all exited with 0. */
bool parent_wait(struct parent *parent, uint32_t timeout_ms);
/* Kills the workers: what becomes of them no longer matters. */
void parent_kill(struct parent *parent);
pid_t parent_worker(const struct parent *parent, unsigned i);
/* Drains what still runs, kills what does not end; true when every worker exited with 0. */
bool parent_stop(struct parent *parent);

#endif
