/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames into facts. parse_address() answers the one question asked of every
 * frame, "is it for the metadata address?", from the linear bytes alone and
 * without touching a map. parse_frame() then says what it is or which drop
 * verdict it deserves, from nothing but its own bytes.
 */
#ifndef SLUICE_PARSE_H
#define SLUICE_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "abi.h"

#define inline_always static inline __attribute__((always_inline))

#define META_IP4  bpf_htonl(0xa9fea9fe)
#define META_IP6A bpf_htonl(0xfe800000)
#define META_IP6D bpf_htonl(0xa9fea9fe)
/* Solicited-node multicast of fe80::a9fe:a9fe: ff02::1:fffe:a9fe. */
#define NODE_IP6A bpf_htonl(0xff020000)
#define NODE_IP6C bpf_htonl(0x00000001)
#define NODE_IP6D bpf_htonl(0xfffea9fe)

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define IP_MF_OFFSET 0x3fff /* more fragments, and the fragment offset */

/* An IPv4-over-Ethernet ARP packet (RFC 826); all of it after the Ethernet header. */
struct arp4 {
	__be16 htype, ptype;
	__u8 hlen, plen;
	__be16 op;
	__u8 sha[6], spa[4], tha[6], tpa[4];
} __attribute__((packed));

/* The head of every ICMP and ICMPv6 message; linux/icmp.h would pull in libc. */
struct icmp_head {
	__u8 type, code;
	__be16 csum;
	__be32 rest;
};

#define ICMP4_ECHO_REPLY   0
#define ICMP4_UNREACHABLE  3
#define ICMP4_ECHO	   8
#define ICMP6_UNREACHABLE  1
#define ICMP6_TOO_BIG	   2
#define ICMP6_ECHO	   128
#define ICMP6_ECHO_REPLY   129
#define ICMP6_ND_SOLICIT   135
#define ICMP6_ND_ADVERTISE 136

/* Neighbour solicitation without options (RFC 4861 4.3). */
struct nd4861 {
	__u8 type, code;
	__be16 csum;
	__be32 flags;
	__be32 target[4];
};

/* The longest header run any decision reads: a solicitation and the head of its first option. */
#define PARSE_HEADERS	   (sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct nd4861) + 2)
#define PARSE_HEADERS_TCP4 (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr))

/* What a well-formed frame for the metadata address is. */
enum frame_kind {
	FRAME_TCP,
	FRAME_ARP,
	FRAME_SOLICIT,
	FRAME_ECHO,
	FRAME_STACK, /* ICMP errors and neighbour advertisements: the namespace needs them */
};

struct frame {
	__u32 length; /* L2 bytes, also those that are not linear */
	__u16 l3;     /* ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, host order */
	__u8 kind;    /* enum frame_kind */
	__u8 family;  /* 4, 6 */
	__u8 proto;
	__u8 tcp_flags;
	__be16 sport, dport;
	__be32 saddr[4]; /* IPv4 as ::ffff:a.b.c.d */
};

#define PARSE_OK (-1) /* beside the verdicts */

inline_always __be32 load32(const void *p)
{
	const __be16 *half = p;

	/* Headers behind Ethernet are aligned to two bytes only. */
	return (__be32)half[0] | (__be32)half[1] << 16;
}

inline_always int is_meta6(const __be32 *a)
{
	return a[0] == META_IP6A && !(a[1] | a[2]) && a[3] == META_IP6D;
}

/*
 * In a VLAN, and so a bystander. A priority tag (VLAN 0) is none: the stack takes such a frame for
 * an untagged one. (net/core/dev.c, __netif_receive_skb_core)
 */
inline_always int in_vlan(const struct __sk_buff *skb)
{
	return skb->vlan_present && (skb->vlan_tci & 0xfff);
}

/*
 * ETH_P_* when the frame is for the metadata address, else 0. A frame with a VLAN tag, or too
 * short to tell, is a bystander.
 */
inline_always __u16 parse_address(const void *data, const void *end)
{
	const struct ethhdr *eth = data;
	const void *l3 = eth + 1;

	/* Every Ethernet frame is longer than this; the runt is somebody else's problem. */
	if (l3 + sizeof(struct iphdr) > end)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = l3;

		return ip->daddr == META_IP4 ? ETH_P_IP : 0;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = l3;
		const struct nd4861 *nd = (const void *)(ip + 1);
		const __be32 *to = ip->daddr.in6_u.u6_addr32;

		if ((void *)(ip + 1) > end)
			return 0;
		if (is_meta6(to))
			return ETH_P_IPV6;
		if (to[3] != NODE_IP6D || to[2] != NODE_IP6C || to[1] || to[0] != NODE_IP6A)
			return 0;
		if (ip->nexthdr != IPPROTO_ICMPV6 || (void *)(nd + 1) > end)
			return 0;
		return nd->type == ICMP6_ND_SOLICIT && is_meta6(nd->target) ? ETH_P_IPV6 : 0;
	}
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		const struct arp4 *arp = l3;

		/* Replies are for the kernel: it asks under this address when it answers VMs. */
		if ((void *)(arp + 1) > end || arp->op != bpf_htons(1) ||
		    arp->ptype != bpf_htons(ETH_P_IP) || arp->hlen != 6 || arp->plen != 4)
			return 0;
		return load32(arp->tpa) == META_IP4 ? ETH_P_ARP : 0;
	}
	return 0;
}

/* A source address no VM can have. Zero is left to the caller: ARP probes come from it. */
inline_always int bad_source4(__be32 address)
{
	__u32 a = bpf_ntohl(address);

	return a >> 24 == 127 || a >> 28 == 0xe || a == 0xffffffff || address == META_IP4 ||
	       (a >> 24 == 0 && a);
}

/* The same for IPv6: multicast, loopback, IPv4-mapped, the metadata address itself. */
inline_always int bad_source6(const __be32 *a)
{
	if ((bpf_ntohl(a[0]) >> 24) == 0xff || is_meta6(a))
		return 1;
	if (a[0] | a[1])
		return 0;
	return (!a[2] && a[3] == bpf_htonl(1)) || a[2] == bpf_htonl(0xffff);
}

/* Flags of a segment some client's TCP sends (RFC 9293); a server's SYN+ACK is none. */
inline_always int bad_flags(__u8 flags)
{
	if (flags & TCP_SYN)
		return flags & (TCP_FIN | TCP_RST | TCP_ACK);
	if (flags & TCP_RST)
		return flags & TCP_FIN;
	return !(flags & TCP_ACK);
}

#define EACH_PORT  0x0001000100010001 /* four ports in a word */
#define EACH_FIRST 0x8000800080008000

/* Whether one of four 16-bit numbers is zero. */
inline_always int any_zero(__u64 four)
{
	return ((four - EACH_PORT) & ~four & EACH_FIRST) != 0;
}

inline_always int is_open(const struct sl_iface *iface, __be16 port)
{
	const __u64 *four = (const void *)iface->ports;
	__u64 wanted = port * EACH_PORT;

	_Static_assert(sizeof(iface->ports) == 2 * sizeof(*four), "two words of ports");
	return port && (any_zero(four[0] ^ wanted) || any_zero(four[1] ^ wanted));
}

inline_always int parse_tcp(const void *l4, const void *end, __u32 length,
			    const struct sl_iface *iface, struct frame *frame)
{
	const struct tcphdr *tcp = l4;

	if ((void *)(tcp + 1) > end || length < sizeof(*tcp))
		return SL_V_MALFORMED;
	frame->sport = tcp->source;
	frame->dport = tcp->dest;
	frame->tcp_flags = ((const __u8 *)tcp)[13];
	if (tcp->doff < 5 || tcp->doff * 4u > length || !tcp->source)
		return SL_V_MALFORMED;
	if (!is_open(iface, tcp->dest))
		return SL_V_BAD_PORT;
	if (bad_flags(frame->tcp_flags))
		return SL_V_BAD_FLAGS;
	frame->kind = FRAME_TCP;
	return PARSE_OK;
}

inline_always int parse_icmp4(const void *l4, const void *end, __u32 length, struct frame *frame)
{
	const struct icmp_head *icmp = l4;

	if ((void *)(icmp + 1) > end || length < sizeof(*icmp))
		return SL_V_MALFORMED;
	if (icmp->type == ICMP4_ECHO && !icmp->code)
		frame->kind = FRAME_ECHO;
	else if (icmp->type == ICMP4_UNREACHABLE) /* path MTU discovery lives on it */
		frame->kind = FRAME_STACK;
	else
		return SL_V_BAD_PROTO;
	return PARSE_OK;
}

/* RFC 4861 7.1.1. The address it solicits may be another one when it came by unicast. */
inline_always int parse_solicit(const struct ipv6hdr *ip, const struct nd4861 *nd, const void *end,
				__u32 length, struct frame *frame)
{
	const __be32 *from = frame->saddr;
	__u8 first_option = 0;

	if ((void *)(nd + 1) > end || length < sizeof(*nd))
		return SL_V_MALFORMED;
	if (ip->hop_limit != 255 || nd->code || !is_meta6(nd->target))
		return SL_V_MALFORMED;
	if (length > sizeof(*nd)) {
		if ((void *)(nd + 1) + 2 > end || ((__u8 *)(nd + 1))[1] == 0)
			return SL_V_MALFORMED;
		first_option = ((__u8 *)(nd + 1))[0];
	}
	/* Duplicate address detection asks everybody, from nowhere, without its own address. */
	if (!(from[0] | from[1] | from[2] | from[3])) {
		if (is_meta6(ip->daddr.in6_u.u6_addr32))
			return SL_V_BAD_SOURCE;
		if (first_option == 1)
			return SL_V_MALFORMED;
	}
	frame->kind = FRAME_SOLICIT;
	return PARSE_OK;
}

inline_always int parse_icmp6(const struct ipv6hdr *ip, const void *end, __u32 length,
			      struct frame *frame)
{
	const struct icmp_head *icmp = (const void *)(ip + 1);

	if ((void *)(icmp + 1) > end || length < sizeof(*icmp))
		return SL_V_MALFORMED;
	switch (icmp->type) {
	case ICMP6_ND_SOLICIT:
		return parse_solicit(ip, (const void *)icmp, end, length, frame);
	case ICMP6_ND_ADVERTISE: /* answers to what the kernel asked under this address */
		if (ip->hop_limit != 255 || icmp->code || length < sizeof(struct nd4861))
			return SL_V_MALFORMED;
		frame->kind = FRAME_STACK;
		return PARSE_OK;
	case ICMP6_UNREACHABLE:
	case ICMP6_TOO_BIG:
		frame->kind = FRAME_STACK;
		return PARSE_OK;
	case ICMP6_ECHO:
		if (icmp->code)
			return SL_V_BAD_PROTO;
		frame->kind = FRAME_ECHO;
		return PARSE_OK;
	default:
		return SL_V_BAD_PROTO;
	}
}

inline_always int parse_ip4(const void *l3, const void *end, const struct sl_iface *iface,
			    struct frame *frame)
{
	const struct iphdr *ip = l3;
	__u32 total;

	if ((void *)(ip + 1) > end)
		return SL_V_MALFORMED;
	frame->family = 4;
	frame->proto = ip->protocol;
	frame->saddr[2] = bpf_htonl(0xffff);
	frame->saddr[3] = ip->saddr;
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl < 5 || total < ip->ihl * 4u ||
	    total > frame->length - sizeof(struct ethhdr))
		return SL_V_MALFORMED;
	if (ip->frag_off & bpf_htons(IP_MF_OFFSET))
		return SL_V_FRAGMENT;
	if (ip->ihl != 5)
		return SL_V_IP_OPTIONS;
	if (!ip->saddr || bad_source4(ip->saddr))
		return SL_V_BAD_SOURCE;
	if (ip->protocol == IPPROTO_TCP)
		return parse_tcp(ip + 1, end, total - sizeof(*ip), iface, frame);
	if (ip->protocol == IPPROTO_ICMP)
		return parse_icmp4(ip + 1, end, total - sizeof(*ip), frame);
	return SL_V_BAD_PROTO;
}

inline_always int parse_ip6(const void *l3, const void *end, const struct sl_iface *iface,
			    struct frame *frame)
{
	const struct ipv6hdr *ip = l3;
	__u32 payload;

	if ((void *)(ip + 1) > end)
		return SL_V_MALFORMED;
	frame->family = 6;
	frame->proto = ip->nexthdr;
	__builtin_memcpy(frame->saddr, &ip->saddr, sizeof(frame->saddr));
	payload = bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || payload > frame->length - sizeof(struct ethhdr) - sizeof(*ip))
		return SL_V_MALFORMED;
	if (bad_source6(frame->saddr))
		return SL_V_BAD_SOURCE;
	if (!(frame->saddr[0] | frame->saddr[1] | frame->saddr[2] | frame->saddr[3]) &&
	    ip->nexthdr != IPPROTO_ICMPV6)
		return SL_V_BAD_SOURCE;
	switch (ip->nexthdr) {
	case IPPROTO_TCP:
		return parse_tcp(ip + 1, end, payload, iface, frame);
	case IPPROTO_ICMPV6:
		return parse_icmp6(ip, end, payload, frame);
	case IPPROTO_FRAGMENT:
		return SL_V_FRAGMENT;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
		return SL_V_IP_OPTIONS;
	default:
		return SL_V_BAD_PROTO;
	}
}

inline_always int parse_arp(const void *l3, const void *end, struct frame *frame)
{
	const struct arp4 *arp = l3;

	if ((void *)(arp + 1) > end)
		return SL_V_MALFORMED;
	frame->family = 4;
	frame->saddr[2] = bpf_htonl(0xffff);
	frame->saddr[3] = load32(arp->spa);
	frame->kind = FRAME_ARP;
	if (arp->htype != bpf_htons(1))
		return SL_V_MALFORMED;
	if ((arp->sha[0] & 1) || bad_source4(frame->saddr[3]))
		return SL_V_BAD_SOURCE;
	return PARSE_OK;
}

/*
 * For a frame parse_address() recognised: PARSE_OK and what it is, or the verdict that drops it.
 * frame->length and l3 are given, the rest zero.
 */
inline_always int parse_frame(const void *data, const void *end, const struct sl_iface *iface,
			      struct frame *frame)
{
	const struct ethhdr *eth = data;
	int verdict;

	if ((void *)(eth + 1) > end)
		return SL_V_MALFORMED;
	if (frame->l3 == ETH_P_IP)
		verdict = parse_ip4(eth + 1, end, iface, frame);
	else if (frame->l3 == ETH_P_IPV6)
		verdict = parse_ip6(eth + 1, end, iface, frame);
	else
		verdict = parse_arp(eth + 1, end, frame);
	if (verdict == PARSE_OK && (eth->h_source[0] & 1))
		return SL_V_BAD_SOURCE;
	return verdict;
}

#endif
