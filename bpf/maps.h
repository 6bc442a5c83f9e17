/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map, once. Definitions are weak: each program's object carries them, and
 * "bpftool gen object" merges them into one copy that all programs share.
 * Sizes here are the defaults; gate/load.c sets those that depend on the node.
 */
#ifndef SLUICE_MAPS_H
#define SLUICE_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

#define SL_IFACES_DEFAULT   4096
#define SL_SOURCES_DEFAULT  65536
#define SL_BINDINGS_DEFAULT 65536

/*
 * Layout version. Written by gate/load.c before anything else is pinned, read by its successors.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sl_abi);
} abi __weak SEC(".maps");

/*
 * Policy of a tenant interface, and the budget of all its sources together. Written by the gate,
 * read by all programs; the guard charges the budget. A miss: not ours, the packet passes
 * untouched. One entry per attached interface; no flood can push one out.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SL_IFACES_DEFAULT);
	__type(key, struct sl_iface_key);
	__type(value, struct sl_iface);
} ifaces __weak SEC(".maps");

/*
 * Port bindings. Written by the parent, read by guard on interfaces that are bound. A miss: the
 * source is spoofed. One entry for each address of a port and one for its MAC; the table of an
 * empty map is all that a node without bindings pays.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SL_BINDINGS_DEFAULT);
	__type(key, struct sl_binding_key);
	__type(value, struct sl_binding);
} bindings __weak SEC(".maps");

/*
 * Listening sockets by worker slot. Written by the gate, read by select, and by steer on the ports
 * of bridges; a lone listener of the interface itself is not in here, steer finds it as the stack
 * does. A miss: this worker has none now, try the next slot. Room for two families, two ports and
 * eight workers on every interface. Sockets leave by themselves when they are closed.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, SL_IFACES_DEFAULT * 32);
	__type(key, struct sl_listener_key);
	__type(value, __u64);
} listeners __weak SEC(".maps");

/*
 * Which of those slots take new connections. Written by the gate, read by steer and select, which
 * pick evenly among the bits. A miss: no listener. One entry per family and port of an interface.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SL_IFACES_DEFAULT * 16);
	__type(key, struct sl_listener_key);
	__type(value, struct sl_slots);
} slots __weak SEC(".maps");

/*
 * What "listeners" holds, readable. Written by the gate, read by people (a sockhash always dumps
 * as empty) and by a successor of the daemon; no program reads it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SL_IFACES_DEFAULT * 32);
	__type(key, struct sl_listener_key);
	__type(value, struct sl_listener_info);
} listener_info __weak SEC(".maps");

/*
 * Budget of one source address. Made and updated by guard, behind the interface's budget. A miss:
 * a source not seen lately; its budget is full. So an entry pushed out by a flood of spoofed
 * sources costs its owner nothing, and gains an attacker at most the interface's budget.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SL_SOURCES_DEFAULT);
	__type(key, struct sl_source_key);
	__type(value, struct sl_source_bucket);
} budget_source __weak SEC(".maps");

/*
 * What became of the packets for the metadata address, per interface. Entries made by the gate,
 * counted by guard (drops) and steer (the rest), added up by readers. A miss: not counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SL_IFACES_DEFAULT);
	__type(key, struct sl_iface_key);
	__type(value, struct sl_verdicts);
} verdicts __weak SEC(".maps");

/* Who the tenant numbers are. Written by the gate, read by people and a successor. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SL_IFACES_DEFAULT);
	__type(key, __u32);
	__type(value, struct sl_tenant);
} tenants __weak SEC(".maps");

/* What the relay did for a tenant. Published by the parent once a second, read by people. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SL_IFACES_DEFAULT);
	__type(key, __u32);
	__type(value, struct sl_relay);
} relay __weak SEC(".maps");

/*
 * Some of the dropped packets. Written by guard and steer, drained by the parent; full: the sample
 * is lost. 3,600 samples: more than a second of 200 interfaces under fire.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} samples __weak SEC(".maps");

/* Set by gate/load.c before loading; frozen then, so that the verifier takes it for constant. */
const volatile struct sl_settings settings __weak = { 0 };

#endif
