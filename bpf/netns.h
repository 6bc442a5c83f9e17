/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SO_NETNS_COOKIE of the namespace that a packet came into. bpf_get_netns_cookie() would name the
 * sender's on a veth.
 */
#ifndef SLUICE_NETNS_H
#define SLUICE_NETNS_H

#include <linux/bpf.h>

extern __u64 netns_of_skb(struct __sk_buff *skb);
extern __u64 netns_of_xdp(struct xdp_md *xdp);
/* The listener's that a connection request is for. */
extern __u64 netns_of_listener(struct sk_reuseport_md *md);

#endif
