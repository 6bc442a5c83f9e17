/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard in XDP, raised while an interface is under fire. A VLAN tag in the
 * frame makes a bystander, a priority tag too: that one is left to TC. One in
 * skb metadata (generic mode) cannot be seen from here.
 */
#include "guard.h"

SEC("xdp.frags")
int sl_guard_xdp(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	struct sl_iface_key key = { .ifindex = ctx->ingress_ifindex };
	struct frame frame = { .l3 = parse_address(data, end) };

	/* Drivers put more than the headers into the first buffer; what is not there, TC sees. */
	if (!frame.l3)
		return XDP_PASS;
	frame.length = bpf_xdp_get_buff_len(ctx);
	key.netns_cookie = netns_of_xdp(ctx);
	if (guard_decide(&key, data, end, &frame, SL_HOOK_XDP, 0) == GUARD_DROP)
		return XDP_DROP;
	return XDP_PASS;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
