/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Namespace cookies, read from the kernel's own context behind the program's: from 6.2 on the
 * verifier gives that context a type, and its fields are plain loads; before, each costs a probe
 * read. Functions of their own, since libbpf before 1.5 links a kernel function into one object
 * only; this one comes first in the alphabet, because they must be defined before they are used.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "maps.h"
#include "netns.h"

struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct net_device {
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

struct sk_buff {
	struct net_device *dev;
} __attribute__((preserve_access_index));

struct xdp_rxq_info {
	struct net_device *dev;
} __attribute__((preserve_access_index));

struct xdp_buff {
	struct xdp_rxq_info *rxq;
} __attribute__((preserve_access_index));

struct sock_common {
	possible_net_t skc_net;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct sk_reuseport_kern {
	struct sock *sk;
} __attribute__((preserve_access_index));

/* Where it does not exist, settings.kern_ctx is 0, and the verifier removes the call. */
extern void *bpf_cast_to_kern_ctx(void *context) __ksym __weak;

__u64 netns_of_skb(struct __sk_buff *skb)
{
	const struct sk_buff *kernel;

	if (!settings.kern_ctx)
		return BPF_CORE_READ((struct sk_buff *)skb, dev, nd_net.net, net_cookie);
	kernel = bpf_cast_to_kern_ctx(skb);
	return kernel->dev->nd_net.net->net_cookie;
}

__u64 netns_of_xdp(struct xdp_md *xdp)
{
	const struct xdp_buff *kernel;

	if (!settings.kern_ctx)
		return BPF_CORE_READ((struct xdp_buff *)xdp, rxq, dev, nd_net.net, net_cookie);
	kernel = bpf_cast_to_kern_ctx(xdp);
	return kernel->rxq->dev->nd_net.net->net_cookie;
}

__u64 netns_of_listener(struct sk_reuseport_md *md)
{
	const struct sk_reuseport_kern *kernel;

	if (!settings.kern_ctx)
		return BPF_CORE_READ((struct sk_reuseport_kern *)md, sk, __sk_common.skc_net.net,
				     net_cookie);
	kernel = bpf_cast_to_kern_ctx(md);
	return kernel->sk->__sk_common.skc_net.net->net_cookie;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
