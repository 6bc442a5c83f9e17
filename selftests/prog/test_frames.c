/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One frame at a time through guard (TC and XDP, which must agree) and steer:
 * what each does with it, and that it is counted in exactly one verdict.
 */
#include "lib/prog.h"

#include <stdio.h>
#include <string.h>

#define TC_UNSPEC   UINT32_MAX
#define TC_SHOT	    2
#define TC_REDIRECT 7
#define XDP_DROP    1
#define XDP_PASS    2

/* Beside the verdicts. */
#define PASS	  (-1) /* the guard lets it on to steer */
#define BYSTANDER (-2) /* nobody touches or counts it */

struct patch {
	uint16_t at;
	uint8_t size;
	uint64_t value;
};

static const struct {
	const char *name;
	enum frame_base base;
	struct patch patches[4];
	int cut;   /* new length, or 0 */
	int guard; /* PASS, BYSTANDER or the verdict that drops it */
	int steer; /* when the guard passes: the verdict; a reply is compared */
} cases[] = {
	/* What VMs send. */
	{ "SYN", BASE_SYN4, {}, 0, PASS, SL_V_FAIL_PASS },
	{ "SYN v6", BASE_SYN6, {}, 0, PASS, SL_V_FAIL_PASS },
	{ "SYN, second port", BASE_SYN4, { { 36, 2, 8080 } }, 0, PASS, SL_V_FAIL_PASS },
	{ "SYN with ECN", BASE_SYN4, { { 47, 1, 0xc2 } }, 0, PASS, SL_V_FAIL_PASS },
	{ "ACK with data", BASE_ACK4, {}, 0, PASS, SL_V_STACK },
	{ "ACK with data v6", BASE_ACK6, {}, 0, PASS, SL_V_STACK },
	{ "FIN+ACK", BASE_ACK4, { { 47, 1, 0x11 } }, 0, PASS, SL_V_STACK },
	{ "RST", BASE_ACK4, { { 47, 1, 0x04 } }, 0, PASS, SL_V_STACK },
	{ "RST+ACK", BASE_ACK4, { { 47, 1, 0x14 } }, 0, PASS, SL_V_STACK },
	{ "ACK padded to 60 bytes", BASE_SYN4, { { 47, 1, 0x10 } }, 60, PASS, SL_V_STACK },
	{ "class of service", BASE_SYN4, { { 15, 1, 0xb8 } }, 0, PASS, SL_V_FAIL_PASS },
	{ "don't fragment unset", BASE_SYN4, { { 20, 2, 0 } }, 0, PASS, SL_V_FAIL_PASS },
	{ "TCP options", BASE_ACK4, { { 46, 1, 0x60 } }, 0, PASS, SL_V_STACK },
	{ "SYN for another station", BASE_SYN4, { { 0, 6, 0x020000000009 } }, 0, PASS, SL_V_STACK },
	{ "echo for another station",
	  BASE_ECHO4,
	  { { 0, 6, 0x020000000009 } },
	  0,
	  PASS,
	  SL_V_STACK },
	{ "port unreachable", BASE_ECHO4, { { 34, 2, 0x0303 } }, 0, PASS, SL_V_STACK },
	{ "fragmentation needed", BASE_ECHO4, { { 34, 2, 0x0304 } }, 0, PASS, SL_V_STACK },
	{ "packet too big v6", BASE_ECHO6, { { 54, 2, 0x0200 } }, 0, PASS, SL_V_STACK },
	{ "neighbour advertisement",
	  BASE_SOLICIT_UNICAST,
	  { { 54, 1, 136 } },
	  0,
	  PASS,
	  SL_V_STACK },

	/* What steer answers. */
	{ "ARP request", BASE_ARP, {}, 0, PASS, SL_V_ARP_REPLY },
	{ "echo", BASE_ECHO4, {}, 0, PASS, SL_V_ECHO_REPLY },
	{ "echo v6", BASE_ECHO6, {}, 0, PASS, SL_V_ECHO_REPLY },
	{ "solicitation", BASE_SOLICIT, {}, 0, PASS, SL_V_ND_REPLY },
	{ "solicitation by unicast", BASE_SOLICIT_UNICAST, {}, 0, PASS, SL_V_ND_REPLY },
	{ "solicitation, DAD", BASE_SOLICIT_DAD, {}, 0, PASS, SL_V_ND_REPLY },

	/* Bystanders. */
	{ "other address", BASE_SYN4, { { 30, 4, 0x08080808 } }, 0, BYSTANDER, 0 },
	{ "last byte differs", BASE_SYN4, { { 33, 1, 253 } }, 0, BYSTANDER, 0 },
	{ "other address v6", BASE_SYN6, { { 53, 1, 1 } }, 0, BYSTANDER, 0 },
	{ "fe80::1:0:a9fe:a9fe", BASE_SYN6, { { 47, 1, 1 } }, 0, BYSTANDER, 0 },
	{ "from the address",
	  BASE_SYN4,
	  { { 26, 4, 0xa9fea9fe }, { 30, 4, 0x0a000005 } },
	  0,
	  BYSTANDER,
	  0 },
	{ "VLAN tag in the frame", BASE_SYN4, { { 12, 4, 0x81000005 } }, 0, BYSTANDER, 0 },
	{ "QinQ", BASE_SYN4, { { 12, 4, 0x88a80005 } }, 0, BYSTANDER, 0 },
	{ "unknown ethertype", BASE_SYN4, { { 12, 2, 0x88b5 } }, 0, BYSTANDER, 0 },
	{ "ARP for another", BASE_ARP, { { 41, 1, 1 } }, 0, BYSTANDER, 0 },
	{ "ARP reply", BASE_ARP, { { 20, 2, 2 } }, 0, BYSTANDER, 0 },
	{ "ARP for IPv6", BASE_ARP, { { 16, 2, 0x86dd } }, 0, BYSTANDER, 0 },
	{ "ARP, long addresses", BASE_ARP, { { 18, 1, 8 } }, 0, BYSTANDER, 0 },
	{ "ARP cut", BASE_ARP, {}, 41, BYSTANDER, 0 },
	{ "solicitation for a neighbour in the group",
	  BASE_SOLICIT,
	  { { 69, 1, 1 } },
	  0,
	  BYSTANDER,
	  0 },
	{ "group, but no solicitation", BASE_SOLICIT, { { 54, 1, 136 } }, 0, BYSTANDER, 0 },
	{ "group, TCP", BASE_SOLICIT, { { 20, 1, 6 } }, 0, BYSTANDER, 0 },
	{ "IPv4 cut before the address", BASE_SYN4, {}, 33, BYSTANDER, 0 },
	{ "IPv6 cut before the address", BASE_SYN6, {}, 53, BYSTANDER, 0 },

	/* Headers that contradict themselves. */
	{ "version 5", BASE_SYN4, { { 14, 1, 0x55 } }, 0, SL_V_MALFORMED, 0 },
	{ "header length 4", BASE_SYN4, { { 14, 1, 0x44 } }, 0, SL_V_MALFORMED, 0 },
	{ "header beyond total length", BASE_SYN4, { { 14, 1, 0x4f } }, 0, SL_V_MALFORMED, 0 },
	{ "total length beyond frame", BASE_SYN4, { { 16, 2, 41 } }, 0, SL_V_MALFORMED, 0 },
	{ "total length 0", BASE_SYN4, { { 16, 2, 0 } }, 0, SL_V_MALFORMED, 0 },
	{ "total length within the header", BASE_SYN4, { { 16, 2, 19 } }, 0, SL_V_MALFORMED, 0 },
	{ "TCP header cut", BASE_SYN4, { { 16, 2, 39 } }, 0, SL_V_MALFORMED, 0 },
	{ "frame cut in TCP", BASE_SYN4, { { 16, 2, 30 } }, 44, SL_V_MALFORMED, 0 },
	{ "frame ends after IPv4", BASE_SYN4, { { 16, 2, 20 } }, 34, SL_V_MALFORMED, 0 },
	{ "data offset 4", BASE_SYN4, { { 46, 1, 0x40 } }, 0, SL_V_MALFORMED, 0 },
	{ "data offset beyond packet", BASE_SYN4, { { 46, 1, 0x60 } }, 0, SL_V_MALFORMED, 0 },
	{ "data offset beyond packet, padded",
	  BASE_SYN4,
	  { { 46, 1, 0x60 } },
	  60,
	  SL_V_MALFORMED,
	  0 },
	{ "source port 0", BASE_SYN4, { { 34, 2, 0 } }, 0, SL_V_MALFORMED, 0 },
	{ "version 4 in IPv6", BASE_SYN6, { { 14, 1, 0x40 } }, 0, SL_V_MALFORMED, 0 },
	{ "payload beyond frame", BASE_SYN6, { { 18, 2, 21 } }, 0, SL_V_MALFORMED, 0 },
	{ "payload 0", BASE_SYN6, { { 18, 2, 0 } }, 0, SL_V_MALFORMED, 0 },
	{ "TCP header cut v6", BASE_SYN6, { { 18, 2, 19 } }, 0, SL_V_MALFORMED, 0 },
	{ "data offset 4 v6", BASE_SYN6, { { 66, 1, 0x40 } }, 0, SL_V_MALFORMED, 0 },
	{ "ICMP cut", BASE_ECHO4, { { 16, 2, 27 } }, 0, SL_V_MALFORMED, 0 },
	{ "ICMPv6 cut", BASE_ECHO6, { { 18, 2, 7 } }, 0, SL_V_MALFORMED, 0 },
	{ "ARP on token ring", BASE_ARP, { { 14, 2, 6 } }, 0, SL_V_MALFORMED, 0 },
	{ "solicitation from off-link", BASE_SOLICIT, { { 21, 1, 64 } }, 0, SL_V_MALFORMED, 0 },
	{ "solicitation, code 1", BASE_SOLICIT, { { 55, 1, 1 } }, 0, SL_V_MALFORMED, 0 },
	{ "solicitation, option of length 0",
	  BASE_SOLICIT,
	  { { 79, 1, 0 } },
	  0,
	  SL_V_MALFORMED,
	  0 },
	{ "solicitation for another, to the address",
	  BASE_SOLICIT_UNICAST,
	  { { 77, 1, 1 } },
	  0,
	  SL_V_MALFORMED,
	  0 },
	{ "DAD with a link-layer address",
	  BASE_SOLICIT_DAD,
	  { { 78, 1, 1 } },
	  0,
	  SL_V_MALFORMED,
	  0 },
	{ "advertisement from off-link",
	  BASE_SOLICIT_UNICAST,
	  { { 54, 1, 136 }, { 21, 1, 1 } },
	  0,
	  SL_V_MALFORMED,
	  0 },

	/* Fragments, options. */
	{ "first fragment", BASE_SYN4, { { 20, 2, 0x2000 } }, 0, SL_V_FRAGMENT, 0 },
	{ "last fragment", BASE_SYN4, { { 20, 2, 0x0001 } }, 0, SL_V_FRAGMENT, 0 },
	{ "fragment header v6", BASE_SYN6, { { 20, 1, 44 } }, 0, SL_V_FRAGMENT, 0 },
	{ "IP options", BASE_ACK4, { { 14, 1, 0x46 } }, 0, SL_V_IP_OPTIONS, 0 },
	{ "hop-by-hop", BASE_SYN6, { { 20, 1, 0 } }, 0, SL_V_IP_OPTIONS, 0 },
	{ "routing header", BASE_SYN6, { { 20, 1, 43 } }, 0, SL_V_IP_OPTIONS, 0 },
	{ "destination options", BASE_SYN6, { { 20, 1, 60 } }, 0, SL_V_IP_OPTIONS, 0 },
	{ "authentication header", BASE_SYN6, { { 20, 1, 51 } }, 0, SL_V_IP_OPTIONS, 0 },

	/* Sources no VM can have. */
	{ "from 0.0.0.0", BASE_SYN4, { { 26, 4, 0 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from 0.1.2.3", BASE_SYN4, { { 26, 4, 0x00010203 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from 127.0.0.1", BASE_SYN4, { { 26, 4, 0x7f000001 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from multicast", BASE_SYN4, { { 26, 4, 0xe0000001 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from broadcast", BASE_SYN4, { { 26, 4, 0xffffffff } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from itself", BASE_SYN4, { { 26, 4, 0xa9fea9fe } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from another link-local",
	  BASE_SYN4,
	  { { 26, 4, 0xa9fe0102 } },
	  0,
	  PASS,
	  SL_V_FAIL_PASS },
	{ "from a multicast MAC", BASE_SYN4, { { 6, 1, 3 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from ::", BASE_SYN6, { { 22, 2, 0 }, { 37, 1, 0 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from ::1", BASE_SYN6, { { 22, 2, 0 }, { 37, 1, 1 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from ::ffff:10.0.0.5",
	  BASE_SYN6,
	  { { 22, 2, 0 }, { 32, 6, 0xffff0a000005 } },
	  0,
	  SL_V_BAD_SOURCE,
	  0 },
	{ "from ff02::1", BASE_SYN6, { { 22, 2, 0xff02 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from itself v6", BASE_SYN6, { { 34, 4, 0xa9fea9fe } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "from a global address", BASE_SYN6, { { 22, 4, 0x20010db8 } }, 0, PASS, SL_V_FAIL_PASS },
	{ "ARP announces the address", BASE_ARP, { { 28, 4, 0xa9fea9fe } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "ARP from a multicast MAC", BASE_ARP, { { 22, 1, 1 } }, 0, SL_V_BAD_SOURCE, 0 },
	{ "DAD by unicast",
	  BASE_SOLICIT_UNICAST,
	  { { 22, 2, 0 }, { 37, 1, 0 } },
	  0,
	  SL_V_BAD_SOURCE,
	  0 },

	/* Protocols, ports, flags. */
	{ "UDP", BASE_UDP4, {}, 0, SL_V_BAD_PROTO, 0 },
	{ "SCTP", BASE_SYN4, { { 23, 1, 132 } }, 0, SL_V_BAD_PROTO, 0 },
	{ "UDP v6", BASE_SYN6, { { 20, 1, 17 } }, 0, SL_V_BAD_PROTO, 0 },
	{ "no next header", BASE_SYN6, { { 20, 1, 59 } }, 0, SL_V_BAD_PROTO, 0 },
	{ "ICMP redirect", BASE_ECHO4, { { 34, 1, 5 } }, 0, SL_V_BAD_PROTO, 0 },
	{ "ICMP timestamp", BASE_ECHO4, { { 34, 1, 13 } }, 0, SL_V_BAD_PROTO, 0 },
	{ "echo reply", BASE_ECHO4, { { 34, 1, 0 } }, 0, SL_V_BAD_PROTO, 0 },
	{ "router advertisement", BASE_ECHO6, { { 54, 1, 134 } }, 0, SL_V_BAD_PROTO, 0 },
	{ "echo, code 1", BASE_ECHO6, { { 55, 1, 1 } }, 0, SL_V_BAD_PROTO, 0 },
	{ "port 81", BASE_SYN4, { { 36, 2, 81 } }, 0, SL_V_BAD_PORT, 0 },
	{ "port 0", BASE_SYN4, { { 36, 2, 0 } }, 0, SL_V_BAD_PORT, 0 },
	{ "port 22 v6", BASE_SYN6, { { 56, 2, 22 } }, 0, SL_V_BAD_PORT, 0 },
	{ "no flags", BASE_ACK4, { { 47, 1, 0 } }, 0, SL_V_BAD_FLAGS, 0 },
	{ "FIN alone", BASE_ACK4, { { 47, 1, 0x01 } }, 0, SL_V_BAD_FLAGS, 0 },
	{ "SYN+FIN", BASE_ACK4, { { 47, 1, 0x03 } }, 0, SL_V_BAD_FLAGS, 0 },
	{ "SYN+RST", BASE_ACK4, { { 47, 1, 0x06 } }, 0, SL_V_BAD_FLAGS, 0 },
	{ "SYN+ACK", BASE_ACK4, { { 47, 1, 0x12 } }, 0, SL_V_BAD_FLAGS, 0 },
	{ "RST+FIN", BASE_ACK4, { { 47, 1, 0x05 } }, 0, SL_V_BAD_FLAGS, 0 },
	{ "christmas tree", BASE_ACK4, { { 47, 1, 0x29 } }, 0, SL_V_BAD_FLAGS, 0 },
	{ "all flags", BASE_ACK4, { { 47, 1, 0xff } }, 0, SL_V_BAD_FLAGS, 0 },
	{ "SYN+FIN v6", BASE_SYN6, { { 67, 1, 0x03 } }, 0, SL_V_BAD_FLAGS, 0 },
};

static void build(struct frame *frame, size_t i)
{
	frame_make(frame, cases[i].base);
	for (size_t p = 0; p < 4 && cases[i].patches[p].size; p++)
		frame_patch(frame, cases[i].patches[p].at, cases[i].patches[p].size,
			    cases[i].patches[p].value);
	if (cases[i].cut)
		frame->len = cases[i].cut;
}

/* One hook's guard: right answer, right counter, nothing else. */
static void check_guard(size_t i, const struct frame *frame, enum sl_guard_at at)
{
	const bool xdp = at == SL_GUARD_AT_XDP;
	const bool drop = cases[i].guard >= 0;
	struct sl_iface iface = prog_iface();
	struct sl_verdicts before, after;
	struct outcome outcome;
	uint32_t expected;
	int verdict;

	iface.guard_at = at;
	prog_iface_put(&iface);
	before = prog_verdicts();
	if (!prog_run(xdp ? "sl_guard_xdp" : "sl_guard_tc", frame, 1, &outcome))
		return;
	verdict = prog_verdict_since(&before);
	after = prog_verdicts();
	expected = xdp ? (drop ? XDP_DROP : XDP_PASS) : (drop ? TC_SHOT : TC_UNSPEC);
	prog_check(outcome.retval == expected && verdict == (drop ? cases[i].guard : -1) &&
			   after.xdp_dropped - before.xdp_dropped == (xdp && drop) &&
			   after.bytes - before.bytes == (drop ? frame->len : 0),
		   "%s: guard in %s %s (returned %d, verdict %d)", cases[i].name,
		   xdp ? "XDP" : "TC",
		   drop			    ? gate_load_verdict_name(cases[i].guard)
		   : cases[i].guard == PASS ? "passes"
					    : "does not see it",
		   (int)outcome.retval, verdict);
	if (!drop)
		prog_check(outcome.frame.len == frame->len &&
				   memcmp(outcome.frame.data, frame->data, frame->len) == 0,
			   "%s: left as it was", cases[i].name);
}

static void check_steer(size_t i, const struct frame *frame)
{
	const int expected = cases[i].guard == PASS ? cases[i].steer : -1;
	const bool reply = expected == SL_V_ARP_REPLY || expected == SL_V_ND_REPLY ||
			   expected == SL_V_ECHO_REPLY;
	struct sl_verdicts before = prog_verdicts();
	struct outcome outcome;
	struct frame wanted;
	int verdict;

	if (!prog_run("sl_steer", frame, 1, &outcome))
		return;
	verdict = prog_verdict_since(&before);
	prog_check(outcome.retval == (reply ? TC_REDIRECT : TC_UNSPEC) && verdict == expected,
		   "%s: steer %s (returned %d, verdict %d)", cases[i].name,
		   expected >= 0 ? gate_load_verdict_name(expected) : "does not see it",
		   (int)outcome.retval, verdict);
	if (reply)
		frame_make_reply(&wanted, cases[i].base);
	else
		wanted = *frame;
	prog_check(outcome.frame.len == wanted.len &&
			   memcmp(outcome.frame.data, wanted.data, wanted.len) == 0,
		   "%s: %s", cases[i].name, reply ? "reply as specified" : "left as it was");
}

static void check_unknown(size_t i, const struct frame *frame)
{
	struct outcome tc, xdp, steer;

	if (!prog_run("sl_guard_xdp", frame, 1, &xdp) || !prog_run("sl_guard_tc", frame, 1, &tc) ||
	    !prog_run("sl_steer", frame, 1, &steer))
		return;
	prog_check(tc.retval == TC_UNSPEC && xdp.retval == XDP_PASS && steer.retval == TC_UNSPEC,
		   "%s: passes on an unknown interface", cases[i].name);
}

/* Without a listener a new connection follows the tenant's policy. */
static void check_fail_policy(void)
{
	struct sl_iface iface = prog_iface();
	struct sl_verdicts before;
	struct outcome outcome;
	struct frame frame;

	iface.fail_policy = SL_FAIL_DROP;
	prog_iface_put(&iface);
	frame_make(&frame, BASE_SYN4);
	before = prog_verdicts();
	prog_run("sl_steer", &frame, 1, &outcome);
	prog_check(outcome.retval == TC_SHOT && prog_verdict_since(&before) == SL_V_FAIL_DROP,
		   "SYN without a listener, fail: drop");
	iface.nports = 0;
	prog_iface_put(&iface);
	before = prog_verdicts();
	prog_run("sl_guard_tc", &frame, 1, &outcome);
	prog_check(outcome.retval == TC_SHOT && prog_verdict_since(&before) == SL_V_BAD_PORT,
		   "no port is open");
}

int main(void)
{
	struct sl_verdicts gone;
	struct frame frame;

	prog_begin("frames");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&frame, i);
		check_guard(i, &frame, SL_GUARD_AT_TC);
		check_guard(i, &frame, SL_GUARD_AT_XDP);
		check_steer(i, &frame);
	}
	check_fail_policy();
	gate_load_iface_del(prog_load, &prog_key);
	prog_check(gate_load_verdicts_get(prog_load, &prog_key, &gone) < 0,
		   "an interface takes its counters along");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&frame, i);
		check_unknown(i, &frame);
	}
	return prog_end();
}
