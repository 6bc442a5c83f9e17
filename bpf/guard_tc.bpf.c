/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard at TC ingress: the first of the two filters on a tenant interface.
 * Bystanders leave it after one look at their headers.
 */
#include <linux/pkt_cls.h>

#include "guard.h"

#define VLAN_TAG 4 /* bytes */

inline_always int is_tag(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* Payload stays where it is: pulling it would copy every cloned bystander packet. */
inline_always int linear(const struct __sk_buff *skb, __u32 need)
{
	const void *data = (const void *)(long)skb->data;
	const void *end = (const void *)(long)skb->data_end;

	return data + need <= end || end - data >= skb->len;
}

inline_always void make_linear(struct __sk_buff *skb, __u32 need)
{
	bpf_skb_pull_data(skb, skb->len < need ? skb->len : need);
}

/*
 * Behind a priority tag, which the core has taken off: another one, which the stack takes off
 * after we have looked. Nobody has a use for it, and nobody may hide from the guard in it.
 */
inline_always int hides(struct __sk_buff *skb)
{
	struct sl_iface_key key = { .ifindex = skb->ifindex };
	const void *data, *end;
	const struct ethhdr *eth;
	const __be16 *tag;

	make_linear(skb, PARSE_HEADERS + VLAN_TAG);
	data = (const void *)(long)skb->data;
	end = (const void *)(long)skb->data_end;
	eth = data;
	tag = (const void *)(eth + 1);
	if ((void *)(tag + 2) > end || !is_tag(eth->h_proto) || (tag[0] & bpf_htons(0xfff)))
		return 0;
	if (!is_tag(tag[1]) && !parse_address(data + VLAN_TAG, end))
		return 0;
	key.netns_cookie = netns_of_skb(skb);
	if (!bpf_map_lookup_elem(&ifaces, &key))
		return 0;
	count_verdict(&key, SL_V_MALFORMED, skb->len, 0);
	return 1;
}

SEC("tc")
int sl_guard_tc(struct __sk_buff *skb)
{
	const int ip4 = skb->protocol == bpf_htons(ETH_P_IP);
	struct sl_iface_key key = { .ifindex = skb->ifindex };
	struct frame frame = { .length = skb->len };
	const void *data, *end;

	/* In-frame tags are in the metadata here: the core moves them before TC runs. */
	if (in_vlan(skb))
		return TC_ACT_UNSPEC;
	/* Few drivers leave not even the addresses in the linear part. */
	if (!linear(skb,
		    sizeof(struct ethhdr) + (ip4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr))))
		make_linear(skb, PARSE_HEADERS);
	data = (const void *)(long)skb->data;
	end = (const void *)(long)skb->data_end;
	frame.l3 = parse_address(data, end);
	if (!frame.l3)
		return is_tag(skb->protocol) && skb->vlan_present && hides(skb) ? TC_ACT_SHOT
										: TC_ACT_UNSPEC;
	if (!linear(skb, ip4 ? PARSE_HEADERS_TCP4 : PARSE_HEADERS))
		make_linear(skb, PARSE_HEADERS);
	data = (const void *)(long)skb->data;
	end = (const void *)(long)skb->data_end;
	key.netns_cookie = netns_of_skb(skb);
	/* XDP sees no packet behind a tag in the frame, which is in the metadata here. */
	if (guard_decide(&key, data, end, &frame, SL_HOOK_TC, skb->vlan_present) == GUARD_DROP)
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
