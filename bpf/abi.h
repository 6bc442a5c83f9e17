/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The whole contract between the BPF programs and user space: keys, values and
 * verdicts of every pinned map. Included by bpf/ (clang -target bpf) and by
 * user/; it needs nothing but fixed-width types. Every struct's size is fixed
 * by a static assertion; a change of any of them raises SL_ABI_VERSION, which
 * gate/load.c compares with the pinned one and refuses to misread.
 *
 * Byte order: addresses and ports are as on the wire (__be16, __be32, bytes);
 * everything else is host order. Times are CLOCK_MONOTONIC nanoseconds.
 */
#ifndef SLUICE_ABI_H
#define SLUICE_ABI_H

#include <linux/types.h>

#define SL_ABI_VERSION 5

/* 169.254.169.254 and fe80::a9fe:a9fe, as bytes on the wire. */
#define SL_META_IP4                                                                                \
	{                                                                                          \
		169, 254, 169, 254                                                                 \
	}
#define SL_META_IP6                                                                                \
	{                                                                                          \
		0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa9, 0xfe, 0xa9, 0xfe                   \
	}

/*
 * skb mark of packets that got their socket, and of the answers, in namespaces whose packet filter
 * must be told to leave them alone (gate/notrack.h); elsewhere marks are not touched.
 */
#define SL_MARK 0x51a1ce

#define SL_PORTS_MAX   8  /* ports a tenant interface may open */
#define SL_WORKERS_MAX 64 /* listeners per address and port */
#define SL_NAME_MAX    64 /* a tenant's name, an instance's or project's id, with its NUL */

/*
 * What became of a packet for the metadata address. One X-macro gives the enum,
 * the counter fields (so that bpftool prints names) and the strings in user
 * space. X(id, field, is_drop, text)
 */
#define SL_VERDICTS(X)                                                                             \
	X(ESTABLISHED, established, 0, "assigned to an established connection")                    \
	X(NEW, new_connection, 0, "assigned to the tenant's listener")                             \
	X(STACK, left_to_stack, 0, "left to the namespace's own stack")                            \
	X(ARP_REPLY, arp_reply, 0, "ARP request answered")                                         \
	X(ND_REPLY, nd_reply, 0, "neighbour solicitation answered")                                \
	X(ECHO_REPLY, echo_reply, 0, "ICMP echo answered")                                         \
	X(FAIL_PASS, fail_pass, 0, "no listener: passed on (fail: pass)")                          \
	X(FAIL_DROP, fail_drop, 1, "no listener: dropped (fail: drop)")                            \
	X(MALFORMED, malformed, 1, "header truncated or contradicting itself")                     \
	X(FRAGMENT, fragment, 1, "fragmented")                                                     \
	X(IP_OPTIONS, ip_options, 1, "IP options or extension headers")                            \
	X(BAD_SOURCE, bad_source, 1, "source address that no VM can have")                         \
	X(SPOOFED, spoofed, 1, "address not bound to the sender's MAC (port bindings)")            \
	X(BAD_PROTO, bad_proto, 1, "neither TCP nor answered ICMP/ARP/ND")                         \
	X(BAD_PORT, bad_port, 1, "port not opened")                                                \
	X(BAD_FLAGS, bad_flags, 1, "TCP flags that no client sends")                               \
	X(IFACE_BUDGET, iface_budget, 1, "over the interface's budget of packets or SYNs")         \
	X(SYN_BUDGET, syn_budget, 1, "over the source's SYN budget")                               \
	X(PACKET_BUDGET, packet_budget, 1, "over the source's packet budget")                      \
	X(ASSIGN_FAILED, assign_failed, 1, "the kernel refused the socket")

enum sl_verdict {
#define X(id, field, drop, text) SL_V_##id,
	SL_VERDICTS(X)
#undef X
		SL_V_COUNT,
};

/* Map "verdicts" (per-CPU hash, key sl_iface_key): one counter per verdict. */
struct sl_verdicts {
#define X(id, field, drop, text) __u64 field;
	SL_VERDICTS(X)
#undef X
	__u64 xdp_dropped; /* of the drops above, how many XDP took */
	__u64 bytes;	   /* L2 bytes of every counted packet */
};

/*
 * A tenant interface. The netns cookie is SO_NETNS_COOKIE's. Every version has these two first, and
 * tenant and l3_ifindex in struct sl_iface: the next one cleans up by them. Packed, like the other
 * keys of the guard: the kernel hashes three words of a key in each round (lib/jhash.h).
 */
struct sl_iface_key {
	__u64 netns_cookie;
	__u32 ifindex; /* where the programs are attached */
} __attribute__((packed, aligned(4)));

enum sl_fail_policy {
	SL_FAIL_PASS,
	SL_FAIL_DROP,
};

/* Which hook polices this interface now; the other one only looks on. */
enum sl_guard_at {
	SL_GUARD_AT_TC,
	SL_GUARD_AT_XDP,
};

/*
 * Token buckets as virtual scheduling (GCRA): what was admitted so far is paid for until that
 * time. One word each, so that compare-and-swap keeps them exact without a lock.
 */
struct sl_iface_bucket {
	__u64 packets_paid_ns;
	__u64 syns_paid_ns;
	__u64 samples_paid_ns; /* drop samples */
};

/*
 * Map "ifaces" (hash, key sl_iface_key). Written by the gate, read by all programs. What the guard
 * reads of every packet comes first, what the programs write in the middle.
 */
struct sl_iface {
	__u32 tenant;		    /* key of map "tenants" */
	__u32 l3_ifindex;	    /* where the listeners are bound (the bridge of a port) */
	__be16 ports[SL_PORTS_MAX]; /* 0 behind the first nports */
	__u8 nports;
	__u8 nworkers;	  /* listeners per (family, port): worker slots 0..nworkers-1 */
	__u8 fail_policy; /* enum sl_fail_policy */
	__u8 guard_at;	  /* enum sl_guard_at */
	__u8 mac[6];	  /* the L3 interface's address: what ARP and ND replies say */
	__u8 mark;	  /* 1: assigned packets get SL_MARK */
	__u8 bound;	  /* 1: only sources in map "bindings" are let through */
	__u8 fine_clock;  /* 1: a burst is so brief that the coarse clock would cut the rate */
	__u8 pad[3];
	/* Nanoseconds that each takes at the rates below; 0 means no limit. */
	__u32 iface_ns, iface_syn_ns, source_ns, syn_ns;
	struct sl_iface_bucket bucket; /* of all sources together */
	/* Budgets in packets per second and packets; rate 0 means no limit. */
	__u32 iface_rate, iface_burst;	       /* all sources of the interface together */
	__u32 iface_syn_rate, iface_syn_burst; /* the same, connection attempts */
	__u32 source_rate, source_burst;       /* one source address */
	__u32 syn_rate, syn_burst;	       /* one source address, connection attempts */
};

/*
 * Map "bindings" (hash): who may speak to the metadata address on interfaces that are bound, and
 * who that is. Written by the parent, read by the guard and by people. Address zero stands for the
 * MAC alone: link-local and unspecified sources are known by it.
 */
struct sl_binding_key {
	__u64 netns_cookie;
	__u32 l3_ifindex;
	__u8 mac[6];
	__u8 pad[2];
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
} __attribute__((packed, aligned(4)));

struct sl_binding {
	char instance[SL_NAME_MAX];
	char project[SL_NAME_MAX];
};

/*
 * Map "listeners" (SOCKHASH) and its readable twin "listener_info" (hash),
 * both under this key. A sockhash always dumps as empty in bpftool.
 */
struct sl_listener_key {
	__u64 netns_cookie;
	__u32 l3_ifindex;
	__be16 port;
	__u8 family; /* 4 or 6 */
	__u8 worker; /* slot, 0..nworkers-1 */
};

struct sl_listener_info {
	__u64 socket_cookie; /* SO_COOKIE */
	__u32 tenant;
	__u32 worker_pid; /* 0 while the slot waits for a worker */
};

/*
 * Map "slots" (hash, key sl_listener_key with worker 0): which worker slots of an address and
 * port take new connections now, one bit each.
 */
struct sl_slots {
	__u64 open;
	__u32 turn; /* new connections so far */
	__u32 hash; /* of the last one: the kernel may ask more than once about a SYN */
};

/* Map "budget_source" (LRU hash). */
struct sl_source_key {
	__u32 tenant;	  /* of the interface */
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct sl_source_bucket {
	__u64 packets_paid_ns;
	__u64 syns_paid_ns;
};

/* Map "tenants" (hash, key __u32 id): who the numbers are. */
struct sl_tenant {
	char name[SL_NAME_MAX];
	__u64 netns_cookie;
	__u32 ifindex;
	__u32 l3_ifindex;
};

/* Ring buffer "samples": some of the dropped packets (rate-limited per interface). */
enum sl_hook {
	SL_HOOK_TC,
	SL_HOOK_XDP,
};

struct sl_sample {
	__u64 time_ns;
	__u64 netns_cookie;
	__u32 ifindex;
	__u32 tenant;
	__u32 verdict; /* enum sl_verdict */
	__u32 length;  /* L2 bytes */
	__u8 hook;     /* enum sl_hook */
	__u8 family;   /* 4, 6, or 0 when not known */
	__u8 proto;    /* IPPROTO_*, 0 when not known */
	__u8 tcp_flags;
	__be16 sport, dport; /* 0 when not known */
	__u8 saddr[16];	     /* IPv4 as ::ffff:a.b.c.d */
	__u8 smac[6];
	__u8 pad[2];
};

/*
 * What the relay did for a tenant. Workers write it in shared memory; the parent
 * adds up and publishes it once a second in map "relay" (hash, key __u32 tenant),
 * so that bpftool shows the same figures as "sluice status". X(field, text)
 */
#define SL_RELAY_COUNTERS(X)                                                                       \
	X(accepted, "connections accepted")                                                        \
	X(open, "connections open now")                                                            \
	X(requests, "requests read")                                                               \
	X(responses_2xx, "responses 2xx")                                                          \
	X(responses_3xx, "responses 3xx")                                                          \
	X(responses_4xx, "responses 4xx")                                                          \
	X(responses_5xx, "responses 5xx")                                                          \
	X(refused_requests, "requests answered by the relay itself with an error")                 \
	X(origin_connects, "connections opened to origins")                                        \
	X(origin_reuses, "requests sent on a pooled origin connection")                            \
	X(origin_retries, "requests sent again after a stale pooled connection")                   \
	X(origin_failures, "requests that no origin answered")                                     \
	X(bytes_from_client, "bytes read from VMs")                                                \
	X(bytes_to_client, "bytes sent to VMs")                                                    \
	X(bytes_inline, "body bytes moved by splice(2)")                                           \
	X(bytes_uring, "body bytes moved by IORING_OP_SPLICE")                                     \
	X(bytes_copied, "body bytes copied")                                                       \
	X(pipe_shortage, "bodies copied because no pipe was free")                                 \
	X(closed_ok, "connections ended in order")                                                 \
	X(closed_client, "connections the VM cut")                                                 \
	X(closed_origin, "connections cut because the origin failed in mid-response")              \
	X(closed_timeout, "connections over a time limit")                                         \
	X(closed_protocol, "connections closed after a protocol error")                            \
	X(closed_limit, "connections refused or closed by a limit")                                \
	X(closed_shutdown, "connections cut by drain, detach or reload deadline")                  \
	X(closed_binding, "connections reset because their port binding changed")                  \
	X(over_budget, "requests answered 503 because the VM is over its budget")                  \
	X(log_left_out, "requests left out of the access log by its rate limit")

struct sl_relay {
#define X(field, text) __u64 field;
	SL_RELAY_COUNTERS(X)
#undef X
};

/* Map "abi" (array, key 0). */
struct sl_abi {
	__u32 version; /* SL_ABI_VERSION */
	__u32 pad;
};

/* Load-time settings of the programs (.rodata), by gate/load.c. */
struct sl_settings {
	__u32 sample_interval_ns; /* between drop samples of an interface; 0: no samples */
	__u32 sample_burst;
	__u32 kern_ctx; /* 1: the kernel has bpf_cast_to_kern_ctx() (6.2) */
};

_Static_assert(sizeof(struct sl_verdicts) == 8 * (SL_V_COUNT + 2), "sl_verdicts");
_Static_assert(sizeof(struct sl_iface_key) == 12, "sl_iface_key");
_Static_assert(sizeof(struct sl_iface) == 112, "sl_iface");
_Static_assert(sizeof(struct sl_binding_key) == 36, "sl_binding_key");
_Static_assert(sizeof(struct sl_binding) == 128, "sl_binding");
_Static_assert(sizeof(struct sl_listener_key) == 16, "sl_listener_key");
_Static_assert(sizeof(struct sl_listener_info) == 16, "sl_listener_info");
_Static_assert(sizeof(struct sl_slots) == 16 && SL_WORKERS_MAX <= 64, "sl_slots");
_Static_assert(sizeof(struct sl_source_key) == 20, "sl_source_key");
_Static_assert(sizeof(struct sl_iface_bucket) == 24, "sl_iface_bucket");
_Static_assert(sizeof(struct sl_source_bucket) == 16, "sl_source_bucket");
_Static_assert(sizeof(struct sl_tenant) == 80, "sl_tenant");
_Static_assert(sizeof(struct sl_sample) == 64, "sl_sample");
_Static_assert(sizeof(struct sl_abi) == 8, "sl_abi");
_Static_assert(sizeof(struct sl_settings) == 12, "sl_settings");

#endif
