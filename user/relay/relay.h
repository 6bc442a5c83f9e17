/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker's state: what every step of a connection needs to see. There is one per
 * process, made by worker.c; nothing here is shared with another thread.
 */
#ifndef SLUICE_RELAY_RELAY_H
#define SLUICE_RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/abi.h"
#include "../lib/clock.h"
#include "../lib/conf.h"
#include "../lib/http_head.h"
#include "../lib/latency.h"
#include "access.h"
#include "bind.h"
#include "budget.h"
#include "buf.h"
#include "clients.h"
#include "conn.h"
#include "handover.h"
#include "listen.h"
#include "pipe.h"
#include "pool.h"
#include "proto.h"
#include "ring.h"
#include "route.h"
#include "spin.h"
#include "timer.h"

struct relay {
	int parent_fd;	  /* -1 while there is no parent */
	uint32_t parents; /* how many there were; tells their socket's completions apart */
	int null_fd;
	uint32_t index, generation;
	enum proto_role role;
	bool draining;
	int64_t drain_deadline_ms, pulse_ms;
	/*
	 * Read once a turn: CLOCK_MONOTONIC but for what machine or worker stood still. Then those
	 * whom it waits for stood still, too, or what they sent is unread yet.
	 */
	int64_t now_ms;
	struct awake awake;
	unsigned unquiet; /* turns since timers were looked at */

	struct conf *conf;
	struct route_table *routes;
	enum conf_engine engine; /* never AUTO */
	struct http_limits limits;

	struct sl_relay *stats;	 /* by tenant slot; shared with the parent */
	struct latency *latency; /* by tenant slot; shared, too */
	uint32_t stats_count;
	/* Counts that the other half of a stream bridge makes already end here. */
	struct sl_relay unseen;

	struct ring ring;
	struct spin spin;
	unsigned events_left; /* taken from the ring, not yet dispatched */
	struct timer_wheel wheel;
	struct buf_pool heads; /* heads and small bodies */
	struct buf_pool bulk;  /* copied bodies */
	struct pipe_pool pipes;
	struct clients clients;
	struct budgets budgets;
	struct access access;
	uint32_t *tenant_conns; /* connections open now, by tenant slot */
	struct conn_table conns;
	struct listeners listeners;
	struct pool pool;
	struct handover handover;
	struct bindings bindings;
	/* Valid within a step: the head being looked at and its normalised target. */
	struct http_head head;
	char *path;
	size_t path_size;
	/* BACK: who asks by its port binding, as the FRONT worker said; empty: not bound. */
	char instance[SL_NAME_MAX], project[SL_NAME_MAX];
};

#endif
