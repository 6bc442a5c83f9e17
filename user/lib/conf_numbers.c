/* SPDX-License-Identifier: BSD-2-Clause */
/* The table behind conf_numbers.h. */
#include "conf_numbers.h"

#include "../../bpf/abi.h"
#include "conf.h"

#define DAY_MS	  (24u * 60 * 60 * 1000)
#define MIB	  (1ull << 20)
#define RATE_MOST 100000000 /* packets per second; more than any interface here moves */

/* clang-format off */
#define OF(type, key, preset, least, most) \
	{ #key, offsetof(struct type, key), sizeof(((struct type *)0)->key), preset, least, most }

const struct conf_number conf_numbers[CONF_NUMBERS] = {
	/*  key                            default    least       most */
	OF(conf, listen.hop_limit,               0,       0,        255),
	OF(conf, relay.workers,                  0,       0, SL_WORKERS_MAX),
	OF(conf, relay.pipes_small,             64,       0,       1024),
	OF(conf, relay.pipes_large,             16,       0,        256),
	OF(conf, relay.turn_budget,         262144,    4096,   16 * MIB),
	OF(conf, relay.busy_poll,               50,       0,       1000),
	OF(conf, relay.copy_below,           32768,       0,   16 * MIB),
	OF(conf, relay.drain_timeout,        60000,       0,     DAY_MS),
	/*
	 * A VM that downloads at 4 GiB/s acknowledges some 65,000 times a second; a cloud-init
	 * crawl is 28 connections, and more than limits.request_rate are of no use. All pass with
	 * room, a flood does not. What the stack does for a SYN costs others a hundred drops.
	 */
	OF(conf, guard.source_rate,         200000,       0,  RATE_MOST),
	OF(conf, guard.source_burst,        200000,       0,  RATE_MOST),
	OF(conf, guard.syn_rate,              2000,       0,  RATE_MOST),
	OF(conf, guard.syn_burst,             5000,       0,  RATE_MOST),
	OF(conf, guard.interface_rate,      400000,       0,  RATE_MOST),
	OF(conf, guard.interface_burst,     400000,       0,  RATE_MOST),
	OF(conf, guard.interface_syn_rate,   10000,       0,  RATE_MOST),
	OF(conf, guard.interface_syn_burst,  20000,       0,  RATE_MOST),
	OF(conf, guard.raise_drops,          20000,       1,  RATE_MOST),
	OF(conf, guard.quiet_ms,             30000,     100,     DAY_MS),
	OF(conf, limits.tenants,              4096,       1,      65536),
	OF(conf, limits.bindings,            16384,       1,     100000),
	OF(conf, limits.head_size,           16384,    1024,      65536),
	OF(conf, limits.head_count,            100,       8,       1000),
	OF(conf, limits.body_size,             MIB,       0, 1024 * 1024 * MIB),
	OF(conf, limits.connections,         16384,       1,    1000000),
	OF(conf, limits.connections_per_client, 256,      1,    1000000),
	OF(conf, limits.connections_per_tenant, 8192,     1,    1000000),
	/* A cloud-init crawl is 28 requests, an installation over a fast link some thousands. */
	OF(conf, limits.request_rate,         1000,       0,    1000000),
	OF(conf, limits.request_burst,        5000,       0,    1000000),
	OF(conf, limits.request_timeout,    300000,       1,     DAY_MS),
	OF(conf, limits.head_timeout,        10000,       1,     DAY_MS),
	OF(conf, limits.keepalive_timeout,   60000,       1,     DAY_MS),
	OF(conf, limits.body_timeout,        30000,       1,     DAY_MS),
	OF(conf, limits.send_timeout,        60000,       1,     DAY_MS),
	OF(conf, log.rate,                     100,       0,    1000000),
	OF(conf, log.burst,                   1000,       0,    1000000),
	OF(conf, metrics.tenants,             1000,       0,      65536),
};

const struct conf_number conf_service_numbers[CONF_SERVICE_NUMBERS] = {
	OF(conf_service, connect_timeout,     3000,       1,     DAY_MS),
	OF(conf_service, response_timeout,   60000,       1,     DAY_MS),
	OF(conf_service, idle_timeout,       60000,       1,     DAY_MS),
	OF(conf_service, total_timeout,          0,       0,     DAY_MS),
	OF(conf_service, pool_size,             32,       0,       1024),
	OF(conf_service, pool_idle,          30000,       1,     DAY_MS),
};
/* clang-format on */
