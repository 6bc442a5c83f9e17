/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The second filter at TC ingress: what the guard let pass is answered here
 * (ARP, neighbour solicitation, echo) or handed to a socket (TCP).
 *
 * Replies are written with bpf_skb_store_bytes(): one direct packet write in
 * this program would make the kernel un-clone every cloned packet before it
 * runs, also a bystander's.
 *
 * A packet that got its socket leaves with TC_ACT_UNSPEC like one passed on:
 * the socket stays with the packet, and filters of others behind this one
 * (accounting, mirroring, policing) still see it. TC_ACT_OK would hide it.
 */
#include <linux/pkt_cls.h>

#include "guard.h"
#include "slots.h"

#define TCP_LISTEN	 10 /* enum in the kernel's net/tcp_states.h */
#define ND_SOLICITED	 0x40000000
#define ND_OVERRIDE	 0x20000000
#define PACKET_OTHERHOST 3 /* linux/if_packet.h */

/* Internet checksum after one 16-bit word changed (RFC 1624); byte order does not matter. */
inline_always __u16 csum_replace(__u16 csum, __u16 from, __u16 to)
{
	__u32 sum = (__u16)~csum + (__u16)~from + to;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

inline_always __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* A reply's head is built behind two bytes of padding, so that all fields are aligned. */
#define FRAME_SIZE(head) (sizeof(head) - sizeof((head).align))

/* Overwrites the head of the frame and sends it back out. Failing, it is as if it was lost. */
inline_always int reply(struct __sk_buff *skb, const struct sl_iface_key *key, const void *head,
			__u32 size, __u32 verdict, __u32 length)
{
	if (bpf_skb_store_bytes(skb, 0, head, size, BPF_F_RECOMPUTE_CSUM)) {
		count_verdict(key, SL_V_MALFORMED, length, 0);
		return TC_ACT_SHOT;
	}
	count_verdict(key, verdict, length, 0);
	return bpf_redirect(key->ifindex, 0);
}

inline_always void turn_ethernet(struct ethhdr *eth, const struct sl_iface *iface)
{
	/* Another source than the interface's own would come back as somebody else's packet. */
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, iface->mac, ETH_ALEN);
}

inline_always int answer_arp(struct __sk_buff *skb, const struct sl_iface_key *key,
			     const struct sl_iface *iface, const struct frame *frame)
{
	struct {
		__u16 align; /* of what follows the 14 bytes of Ethernet */
		struct ethhdr eth;
		struct arp4 arp;
	} head;

	if (bpf_skb_load_bytes(skb, 0, &head.eth, FRAME_SIZE(head)))
		return TC_ACT_UNSPEC;
	turn_ethernet(&head.eth, iface);
	head.arp.op = bpf_htons(2);
	__builtin_memcpy(head.arp.tha, head.arp.sha, ETH_ALEN);
	__builtin_memcpy(head.arp.sha, iface->mac, ETH_ALEN);
	/* Target first: the packet's own bytes are gone after this. */
	__builtin_memcpy(head.arp.tpa, head.arp.spa, 4);
	head.arp.spa[0] = 169;
	head.arp.spa[1] = 254;
	head.arp.spa[2] = 169;
	head.arp.spa[3] = 254;
	return reply(skb, key, &head.eth, FRAME_SIZE(head), SL_V_ARP_REPLY, frame->length);
}

/* The solicited advertisement (RFC 4861 4.4); to all nodes when the asker has no address yet. */
inline_always int answer_solicit(struct __sk_buff *skb, const struct sl_iface_key *key,
				 const struct sl_iface *iface, const struct frame *frame)
{
	struct advert {
		struct nd4861 nd;
		__u8 option, option_len, mac[ETH_ALEN];
	} __attribute__((packed));
	struct {
		__u16 align; /* of what follows the 14 bytes of Ethernet */
		struct ethhdr eth;
		struct ipv6hdr ip;
		struct advert advert;
	} head;
	struct {
		__be32 from[4], to[4], length, next;
		struct advert advert;
	} sum;
	int probe = !(frame->saddr[0] | frame->saddr[1] | frame->saddr[2] | frame->saddr[3]);

	__builtin_memset(&sum, 0, sizeof(sum));
	sum.from[0] = META_IP6A;
	sum.from[3] = META_IP6D;
	if (probe) {
		sum.to[0] = NODE_IP6A;
		sum.to[3] = bpf_htonl(1);
	} else {
		__builtin_memcpy(sum.to, frame->saddr, sizeof(sum.to));
	}
	sum.length = bpf_htonl(sizeof(sum.advert));
	sum.next = bpf_htonl(IPPROTO_ICMPV6);
	sum.advert.nd.type = ICMP6_ND_ADVERTISE;
	sum.advert.nd.flags = bpf_htonl(probe ? ND_OVERRIDE : ND_SOLICITED | ND_OVERRIDE);
	__builtin_memcpy(sum.advert.nd.target, sum.from, sizeof(sum.from));
	sum.advert.option = 2; /* target link-layer address */
	sum.advert.option_len = 1;
	__builtin_memcpy(sum.advert.mac, iface->mac, ETH_ALEN);
	sum.advert.nd.csum = csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&sum, sizeof(sum), 0));

	__builtin_memset(&head, 0, sizeof(head));
	if (bpf_skb_load_bytes(skb, 0, &head.eth, sizeof(head.eth)))
		return TC_ACT_UNSPEC;
	turn_ethernet(&head.eth, iface);
	if (probe) {
		__builtin_memset(head.eth.h_dest, 0x33, 2);
		__builtin_memset(head.eth.h_dest + 2, 0, 3);
		head.eth.h_dest[5] = 1;
	}
	head.ip.version = 6;
	head.ip.payload_len = bpf_htons(sizeof(head.advert));
	head.ip.nexthdr = IPPROTO_ICMPV6;
	head.ip.hop_limit = 255;
	__builtin_memcpy(&head.ip.saddr, sum.from, sizeof(sum.from));
	__builtin_memcpy(&head.ip.daddr, sum.to, sizeof(sum.to));
	__builtin_memcpy(&head.advert, &sum.advert, sizeof(sum.advert));
	if (bpf_skb_change_tail(skb, FRAME_SIZE(head), 0)) {
		count_verdict(key, SL_V_MALFORMED, frame->length, 0);
		return TC_ACT_SHOT;
	}
	return reply(skb, key, &head.eth, FRAME_SIZE(head), SL_V_ND_REPLY, frame->length);
}

/* Swapping the addresses leaves every checksum as it is; type and TTL are what changes. */
inline_always int answer_echo4(struct __sk_buff *skb, const struct sl_iface_key *key,
			       const struct sl_iface *iface, const struct frame *frame)
{
	struct {
		__u16 align; /* of what follows the 14 bytes of Ethernet */
		struct ethhdr eth;
		struct iphdr ip;
		struct icmp_head icmp;
	} head;
	__u16 old_ttl, new_ttl;

	if (bpf_skb_load_bytes(skb, 0, &head.eth, FRAME_SIZE(head)))
		return TC_ACT_UNSPEC;
	turn_ethernet(&head.eth, iface);
	old_ttl = bpf_htons(head.ip.ttl << 8);
	head.ip.ttl = 64;
	new_ttl = bpf_htons(head.ip.ttl << 8);
	head.ip.check = csum_replace(head.ip.check, old_ttl, new_ttl);
	head.ip.daddr = head.ip.saddr;
	head.ip.saddr = META_IP4;
	head.icmp.type = ICMP4_ECHO_REPLY;
	head.icmp.csum = csum_replace(head.icmp.csum, bpf_htons(ICMP4_ECHO << 8),
				      bpf_htons(ICMP4_ECHO_REPLY << 8));
	return reply(skb, key, &head.eth, FRAME_SIZE(head), SL_V_ECHO_REPLY, frame->length);
}

inline_always int answer_echo6(struct __sk_buff *skb, const struct sl_iface_key *key,
			       const struct sl_iface *iface, const struct frame *frame)
{
	struct {
		__u16 align; /* of what follows the 14 bytes of Ethernet */
		struct ethhdr eth;
		struct ipv6hdr ip;
		struct icmp_head icmp;
	} head;
	__be32 *from;

	if (bpf_skb_load_bytes(skb, 0, &head.eth, FRAME_SIZE(head)))
		return TC_ACT_UNSPEC;
	turn_ethernet(&head.eth, iface);
	head.ip.hop_limit = 64;
	head.ip.daddr = head.ip.saddr;
	from = head.ip.saddr.in6_u.u6_addr32;
	from[0] = META_IP6A;
	from[1] = 0;
	from[2] = 0;
	from[3] = META_IP6D;
	head.icmp.type = ICMP6_ECHO_REPLY;
	head.icmp.csum = csum_replace(head.icmp.csum, bpf_htons(ICMP6_ECHO << 8),
				      bpf_htons(ICMP6_ECHO_REPLY << 8));
	return reply(skb, key, &head.eth, FRAME_SIZE(head), SL_V_ECHO_REPLY, frame->length);
}

/*
 * The socket that the stack would find for the packet: the connection's, in whatever state (in
 * TIME_WAIT the kernel itself finds the listener again for a re-used port), or a listener.
 */
inline_always struct bpf_sock *find_socket(struct __sk_buff *skb, const struct frame *frame)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size;

	if (frame->family == 4) {
		tuple.ipv4.saddr = frame->saddr[3];
		tuple.ipv4.daddr = META_IP4;
		tuple.ipv4.sport = frame->sport;
		tuple.ipv4.dport = frame->dport;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, frame->saddr, sizeof(tuple.ipv6.saddr));
		tuple.ipv6.daddr[0] = META_IP6A;
		tuple.ipv6.daddr[3] = META_IP6D;
		tuple.ipv6.sport = frame->sport;
		tuple.ipv6.dport = frame->dport;
		size = sizeof(tuple.ipv6);
	}
	return bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/* Whether a listener is one that the gate made: nobody else's has address and device. */
inline_always int is_ours(const struct bpf_sock *sk, const struct sl_iface *iface,
			  const struct frame *frame)
{
	/* All are read, or clang folds the loads into one by arithmetic the verifier forbids. */
	const volatile struct bpf_sock *at = sk;
	__u32 device = at->bound_dev_if, ip4 = at->src_ip4;
	__u32 ip6_first = at->src_ip6[0], ip6_last = at->src_ip6[3];

	if (device != iface->l3_ifindex)
		return 0;
	if (frame->family == 4)
		return ip4 == META_IP4;
	return ip6_first == META_IP6A && ip6_last == META_IP6D;
}

/* Which workers' listeners take connections, one bit each. */
inline_always __u64 find_open(struct sl_listener_key *ret_slot, const struct sl_iface_key *key,
			      const struct sl_iface *iface, const struct frame *frame)
{
	struct sl_slots *group;

	*ret_slot = (struct sl_listener_key){
		.netns_cookie = key->netns_cookie,
		.l3_ifindex = iface->l3_ifindex,
		.port = frame->dport,
		.family = frame->family,
	};
	group = bpf_map_lookup_elem(&slots, ret_slot);
	return group ? group->open : 0;
}

/* A SYN that nobody takes: the tenant's choice. */
inline_always int fail(const struct sl_iface_key *key, const struct sl_iface *iface,
		       const struct frame *frame)
{
	if (iface->fail_policy == SL_FAIL_DROP) {
		count_verdict(key, SL_V_FAIL_DROP, frame->length, 0);
		return TC_ACT_SHOT;
	}
	count_verdict(key, SL_V_FAIL_PASS, frame->length, 0);
	return TC_ACT_UNSPEC;
}

/* One that takes connections, by the map; which of its group it shall be the kernel asks select. */
inline_always struct bpf_sock *find_listener(const struct sl_iface_key *key,
					     const struct sl_iface *iface,
					     const struct frame *frame)
{
	struct sl_listener_key slot;
	__u64 open = find_open(&slot, key, iface, frame);
	struct bpf_sock *sk;

	for (int i = 0; i < SLOT_TRIES && open; i++) {
		slot.worker = slots_pick(open, 0);
		sk = bpf_map_lookup_elem(&listeners, &slot);
		if (sk)
			return sk;
		open &= ~(1ull << (slot.worker & 63));
	}
	return NULL;
}

/*
 * On a bridge's port the stack places every packet: it becomes the bridge's own before the stack
 * looks for a socket, and all of ours are bound to the bridge. From here, with the port for a
 * device, connections and TIME_WAIT cannot be seen; and a listener assigned to a SYN whose port is
 * in TIME_WAIT loses it on kernels below 6.18.
 */
inline_always int steer_to_bridge(struct __sk_buff *skb, const struct sl_iface_key *key,
				  const struct sl_iface *iface, const struct frame *frame)
{
	int syn = frame->tcp_flags & TCP_SYN;
	struct bpf_sock *sk;

	if (!syn && !iface->mark) {
		count_verdict(key, SL_V_STACK, frame->length, 0);
		return TC_ACT_UNSPEC;
	}
	sk = find_listener(key, iface, frame);
	if (sk) {
		bpf_sk_release(sk);
		if (iface->mark)
			skb->mark = SL_MARK;
	} else if (syn) {
		return fail(key, iface, frame);
	}
	count_verdict(key, syn ? SL_V_NEW : SL_V_STACK, frame->length, 0);
	return TC_ACT_UNSPEC;
}

inline_always int steer_tcp(struct __sk_buff *skb, const struct sl_iface_key *key,
			    const struct sl_iface *iface, const struct frame *frame)
{
	__u32 verdict = SL_V_ESTABLISHED;
	struct sl_listener_key slot;
	struct bpf_sock *sk;
	long refused;

	if (iface->l3_ifindex != key->ifindex)
		return steer_to_bridge(skb, key, iface, frame);
	sk = find_socket(skb, frame);
	if (!sk || sk->state == TCP_LISTEN) {
		/* Without a connection only a SYN is ours to place; SYN cookies are the stack's. */
		if (!(frame->tcp_flags & TCP_SYN)) {
			if (sk)
				bpf_sk_release(sk);
			count_verdict(key, SL_V_STACK, frame->length, 0);
			return TC_ACT_UNSPEC;
		}
		verdict = SL_V_NEW;
	}
	/*
	 * The stack takes the first SO_REUSEPORT socket it meets for the best
	 * (net/ipv4/inet_hashtables.c, inet_lhash2_lookup), which may be a stranger's on every
	 * device. Ours are in the map then: a lone listener lets no other be bound.
	 */
	if (verdict == SL_V_NEW && sk &&
	    (!is_ours(sk, iface, frame) || !find_open(&slot, key, iface, frame))) {
		bpf_sk_release(sk);
		sk = find_listener(key, iface, frame);
	}
	if (!sk)
		return fail(key, iface, frame);
	refused = bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	if (iface->mark && !refused)
		skb->mark = SL_MARK;
	count_verdict(key, refused ? SL_V_ASSIGN_FAILED : verdict, frame->length, 0);
	return refused ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/*
 * A unicast frame for another station: none of our business. Known by the bridge's address on the
 * port of a bridge (where the device's own view is wrong), else by the device.
 */
inline_always int for_another_station(const struct __sk_buff *skb, const struct sl_iface *iface)
{
	const struct ethhdr *eth = (const void *)(long)skb->data;
	const __u16 *to = (const void *)eth->h_dest;
	const __u16 *own = (const void *)iface->mac;

	if (skb->pkt_type != PACKET_OTHERHOST ||
	    (void *)(eth + 1) > (const void *)(long)skb->data_end)
		return 0;
	return to[0] != own[0] || to[1] != own[1] || to[2] != own[2];
}

SEC("tc")
int sl_steer(struct __sk_buff *skb)
{
	const void *data = (const void *)(long)skb->data;
	const void *end = (const void *)(long)skb->data_end;
	struct frame frame = { .length = skb->len };
	struct sl_iface_key key = { .ifindex = skb->ifindex };
	const struct sl_iface *iface;

	/* The guard ran before and made the headers linear. */
	if (in_vlan(skb))
		return TC_ACT_UNSPEC;
	frame.l3 = parse_address(data, end);
	if (!frame.l3)
		return TC_ACT_UNSPEC;
	key.netns_cookie = netns_of_skb(skb);
	iface = bpf_map_lookup_elem(&ifaces, &key);
	if (!iface || parse_frame(data, end, iface, &frame) != PARSE_OK)
		return TC_ACT_UNSPEC;
	if (frame.kind == FRAME_STACK || for_another_station(skb, iface)) {
		count_verdict(&key, SL_V_STACK, frame.length, 0);
		return TC_ACT_UNSPEC;
	}
	switch (frame.kind) {
	case FRAME_ARP:
		return answer_arp(skb, &key, iface, &frame);
	case FRAME_SOLICIT:
		return answer_solicit(skb, &key, iface, &frame);
	case FRAME_ECHO:
		return frame.family == 4 ? answer_echo4(skb, &key, iface, &frame)
					 : answer_echo6(skb, &key, iface, &frame);
	default:
		return steer_tcp(skb, &key, iface, &frame);
	}
}

char license_text[] SEC("license") = "Dual BSD/GPL";
