/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard: which packets for the metadata address may go on. One decision,
 * compiled into guard_tc and guard_xdp; it reads maps ifaces and the budgets,
 * and counts what it drops. What it lets pass is counted by steer, so that
 * every packet is in exactly one verdict.
 */
#ifndef SLUICE_GUARD_H
#define SLUICE_GUARD_H

#include "maps.h"
#include "netns.h"
#include "parse.h"

#define CHARGE_TRIES 4

enum guard_answer {
	GUARD_PASS,
	GUARD_DROP,
};

/*
 * Takes one packet from a bucket: 1 if there was one. Over budget it only reads, so a flood on
 * many CPUs does not fight for the cache line. A CPU that loses the exchange CHARGE_TRIES times
 * lets its packet go: the others' success empties the bucket anyway.
 */
inline_always int budget_take(__u64 *paid, __u64 now, __u32 interval, __u32 burst)
{
	__u64 slack = (__u64)interval * (burst ? burst - 1 : 0);

#pragma unroll
	for (int i = 0; i < CHARGE_TRIES; i++) {
		__u64 old = *(volatile __u64 *)paid;
		__u64 from = old > now ? old : now;

		if (from - now > slack)
			return 0;
		if (__sync_val_compare_and_swap(paid, old, from + interval) == old)
			return 1;
	}
	return 1;
}

/*
 * A source over its own budget is dropped before the interface is charged, so that one noisy VM
 * does not use up its neighbours' share; a source not yet known costs the interface first, so
 * that spoofed addresses make state no faster than the interface's budget allows.
 */
inline_always int guard_charge(struct sl_iface *iface, const struct frame *frame)
{
	const int syn = frame->tcp_flags & TCP_SYN;
	const __u32 packet_ns = iface->source_ns, syn_ns = syn ? iface->syn_ns : 0;
	const __u32 iface_ns = iface->iface_ns, iface_syn_ns = syn ? iface->iface_syn_ns : 0;
	struct sl_source_bucket *source = NULL;
	struct sl_source_key from;
	__u64 now;

	if (!(packet_ns | syn_ns | iface_ns | iface_syn_ns))
		return PARSE_OK;
	now = iface->fine_clock ? bpf_ktime_get_ns() : bpf_ktime_get_coarse_ns();
	if (packet_ns | syn_ns) {
		from.tenant = iface->tenant;
		__builtin_memcpy(from.address, frame->saddr, sizeof(from.address));
		source = bpf_map_lookup_elem(&budget_source, &from);
	}
	if (source) {
		if (syn_ns && !budget_take(&source->syns_paid_ns, now, syn_ns, iface->syn_burst))
			return SL_V_SYN_BUDGET;
		if (packet_ns &&
		    !budget_take(&source->packets_paid_ns, now, packet_ns, iface->source_burst))
			return SL_V_PACKET_BUDGET;
	}
	if (iface_syn_ns &&
	    !budget_take(&iface->bucket.syns_paid_ns, now, iface_syn_ns, iface->iface_syn_burst))
		return SL_V_IFACE_BUDGET;
	if (iface_ns &&
	    !budget_take(&iface->bucket.packets_paid_ns, now, iface_ns, iface->iface_burst))
		return SL_V_IFACE_BUDGET;
	if (!source && (packet_ns | syn_ns)) {
		struct sl_source_bucket first = {
			.packets_paid_ns = now + packet_ns,
			.syns_paid_ns = now + syn_ns,
		};

		/* Two CPUs may meet a new source at once; the loser's packet is free. */
		bpf_map_update_elem(&budget_source, &from, &first, BPF_NOEXIST);
	}
	return PARSE_OK;
}

/*
 * On a bound interface: is the source's address its MAC's? fe80::/10 is the VM's own choice, and
 * zero is what it asks from before it has an address: there the MAC alone must be known. What the
 * namespace's stack gets (errors of routers, answers to its own questions) has no such owner.
 */
inline_always int guard_bound(const struct sl_iface_key *key, const struct sl_iface *iface,
			      const struct ethhdr *eth, const struct frame *frame)
{
	struct sl_binding_key source = { .netns_cookie = key->netns_cookie };
	const __be32 *a = frame->saddr;

	if (frame->kind == FRAME_STACK)
		return PARSE_OK;
	source.l3_ifindex = iface->l3_ifindex;
	__builtin_memcpy(source.mac, eth->h_source, sizeof(source.mac));
	if (frame->family == 4
		    ? a[3]
		    : (a[0] & bpf_htonl(0xffc00000)) != META_IP6A && (a[0] | a[1] | a[2] | a[3]))
		__builtin_memcpy(source.address, a, sizeof(source.address));
	return bpf_map_lookup_elem(&bindings, &source) ? PARSE_OK : SL_V_SPOOFED;
}

inline_always void count_verdict(const struct sl_iface_key *key, __u32 verdict, __u32 length,
				 int by_xdp)
{
	struct sl_verdicts *counts = bpf_map_lookup_elem(&verdicts, key);

	if (!counts || verdict >= SL_V_COUNT)
		return;
	((__u64 *)counts)[verdict]++;
	counts->xdp_dropped += by_xdp;
	counts->bytes += length;
}

/* Sends some drops to the ring buffer: so few per interface that a flood wakes nobody much. */
inline_always void sample_drop(const struct sl_iface_key *key, struct sl_iface *iface,
			       const struct frame *frame, const struct ethhdr *eth, __u32 verdict,
			       __u8 hook)
{
	struct sl_sample *sample;
	__u64 now;

	if (!settings.sample_interval_ns)
		return;
	now = bpf_ktime_get_coarse_ns(); /* some ms off, and much cheaper */
	if (!budget_take(&iface->bucket.samples_paid_ns, now, settings.sample_interval_ns,
			 settings.sample_burst))
		return;
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return;
	sample->time_ns = now;
	sample->netns_cookie = key->netns_cookie;
	sample->ifindex = key->ifindex;
	sample->tenant = iface->tenant;
	sample->verdict = verdict;
	sample->length = frame->length;
	sample->hook = hook;
	sample->family = frame->family;
	sample->proto = frame->proto;
	sample->tcp_flags = frame->tcp_flags;
	sample->sport = frame->sport;
	sample->dport = frame->dport;
	__builtin_memcpy(sample->saddr, frame->saddr, sizeof(sample->saddr));
	__builtin_memcpy(sample->smac, eth->h_source, sizeof(sample->smac));
	sample->pad[0] = sample->pad[1] = 0;
	bpf_ringbuf_submit(sample, 0);
}

/*
 * The decision. The frame is one parse_address() recognised; frame->length and frame->l3 are set.
 * The hook that does not police this interface now repeats the stateless checks only, so that
 * nothing is charged twice; alone: the other one cannot have seen this frame.
 */
inline_always enum guard_answer guard_decide(const struct sl_iface_key *key, const void *data,
					     const void *end, struct frame *frame, __u8 hook,
					     int alone)
{
	struct sl_iface *iface = bpf_map_lookup_elem(&ifaces, key);
	const struct ethhdr *eth = data;
	int verdict;

	if (!iface || (void *)(eth + 1) > end)
		return GUARD_PASS;
	verdict = parse_frame(data, end, iface, frame);
	/* First: what somebody else sends under an address must not use up its owner's budget. */
	if (verdict == PARSE_OK && iface->bound)
		verdict = guard_bound(key, iface, eth, frame);
	if (verdict == PARSE_OK &&
	    (alone || (iface->guard_at == SL_GUARD_AT_XDP) == (hook == SL_HOOK_XDP)))
		verdict = guard_charge(iface, frame);
	if (verdict == PARSE_OK)
		return GUARD_PASS;
	count_verdict(key, verdict, frame->length, hook == SL_HOOK_XDP);
	sample_drop(key, iface, frame, eth, verdict, hook);
	return GUARD_DROP;
}

#endif
