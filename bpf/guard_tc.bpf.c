/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard at TC ingress: the first of the two filters on a tenant interface.
 * Bystanders leave it after one look at their headers.
 */
#include <linux/pkt_cls.h>

#include "guard.h"

SEC("tc")
int sl_guard_tc(struct __sk_buff *skb)
{
	struct frame frame = { .length = skb->len };
	struct sl_iface_key key = { .ifindex = skb->ifindex };
	const void *data, *end;

	/* In-frame tags are in the metadata here: the core moves them before TC runs. */
	if (skb->vlan_present)
		return TC_ACT_UNSPEC;
	/* Some drivers leave hardly more than the Ethernet header linear. */
	if (skb->data + PARSE_HEADERS > skb->data_end && skb->len > skb->data_end - skb->data)
		bpf_skb_pull_data(skb, skb->len < PARSE_HEADERS ? skb->len : PARSE_HEADERS);
	data = (const void *)(long)skb->data;
	end = (const void *)(long)skb->data_end;
	frame.l3 = parse_address(data, end);
	if (!frame.l3)
		return TC_ACT_UNSPEC;
	key.netns_cookie = netns_of_skb(skb);
	if (guard_decide(&key, data, end, &frame, SL_HOOK_TC) == GUARD_DROP)
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
