/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port bindings in the guard, a frame at a time: on a bound interface a source speaks under the
 * addresses of its MAC alone, and what others send costs the owner nothing. Interfaces that are
 * not bound let everybody through, whatever the map holds.
 */
#include "lib/prog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TC_UNSPEC UINT32_MAX
#define TC_SHOT	  2
#define XDP_DROP  1
#define XDP_PASS  2

#define L3 77

#define OTHER_MAC                                                                                  \
	{                                                                                          \
		6, 6, 0x020000000006                                                               \
	}
#define NO_MAC                                                                                     \
	{                                                                                          \
		6, 6, 0x020000000007                                                               \
	}

/* 02:..:05 has 10.0.0.5 and 2001:db8::5, 02:..:06 has 10.0.0.6 and 2001:db8::6. */
static const struct {
	uint8_t mac;
	uint8_t address[16];
} bound[] = {
	{ 5, { 0 } },
	{ 5, { [10] = 0xff, 0xff, 10, 0, 0, 5 } },
	{ 5, { 0x20, 1, 0xd, 0xb8, [15] = 5 } },
	{ 6, { 0 } },
	{ 6, { [10] = 0xff, 0xff, 10, 0, 0, 6 } },
	{ 6, { 0x20, 1, 0xd, 0xb8, [15] = 6 } },
};

static const struct {
	const char *name;
	enum frame_base base;
	struct {
		uint16_t at;
		uint8_t size;
		uint64_t value;
	} patches[3];
	bool good;
} cases[] = {
	{ "the owner's SYN", BASE_SYN4, {}, true },
	{ "the owner's data", BASE_ACK4, {}, true },
	{ "the owner's echo", BASE_ECHO4, {}, true },
	{ "another VM's SYN under the address", BASE_SYN4, { OTHER_MAC }, false },
	{ "another VM's data under the address", BASE_ACK4, { OTHER_MAC }, false },
	{ "another VM's echo under the address", BASE_ECHO4, { OTHER_MAC }, false },
	{ "the owner under another VM's address", BASE_SYN4, { { 29, 1, 6 } }, false },
	{ "the other VM under its own", BASE_SYN4, { OTHER_MAC, { 29, 1, 6 } }, true },
	{ "the owner under an address of nobody", BASE_SYN4, { { 29, 1, 7 } }, false },
	{ "a stranger's SYN", BASE_SYN4, { NO_MAC, { 29, 1, 7 } }, false },

	{ "link-local v6", BASE_SYN6, {}, true },
	{ "any other link-local v6", BASE_SYN6, { { 30, 8, 0x1234567890abcdef } }, true },
	{ "link-local v6 in fe90::", BASE_SYN6, { { 22, 2, 0xfe90 } }, true },
	{ "link-local v6 of a stranger", BASE_SYN6, { NO_MAC }, false },
	{ "fec0:: is not link-local", BASE_SYN6, { { 22, 2, 0xfec0 } }, false },
	{ "global v6", BASE_SYN6, { { 22, 8, 0x20010db800000000 } }, true },
	{ "global v6 of another VM",
	  BASE_SYN6,
	  { { 22, 8, 0x20010db800000000 }, { 37, 1, 6 } },
	  false },
	{ "global v6 under another MAC",
	  BASE_SYN6,
	  { OTHER_MAC, { 22, 8, 0x20010db800000000 } },
	  false },
	{ "::5 is not ::", BASE_SYN6, { { 22, 2, 0 } }, false },
	{ "echo v6", BASE_ECHO6, {}, true },
	{ "echo v6 of a stranger", BASE_ECHO6, { NO_MAC }, false },

	{ "ARP", BASE_ARP, {}, true },
	{ "ARP under another's address", BASE_ARP, { { 31, 1, 6 } }, false },
	{ "ARP of another VM under the address", BASE_ARP, { OTHER_MAC }, false },
	{ "ARP of a stranger", BASE_ARP, { NO_MAC }, false },
	{ "ARP probe from 0.0.0.0", BASE_ARP, { { 28, 4, 0 } }, true },
	{ "ARP probe from 0.0.0.0 of a stranger", BASE_ARP, { NO_MAC, { 28, 4, 0 } }, false },
	{ "gratuitous ARP for the metadata address", BASE_ARP, { { 28, 4, 0xa9fea9fe } }, false },
	{ "solicitation", BASE_SOLICIT, {}, true },
	{ "solicitation of a stranger", BASE_SOLICIT, { NO_MAC }, false },
	{ "solicitation under a global address of another",
	  BASE_SOLICIT_UNICAST,
	  { { 22, 8, 0x20010db800000000 }, { 37, 1, 6 } },
	  false },
	{ "duplicate address detection", BASE_SOLICIT_DAD, {}, true },
	{ "duplicate address detection of a stranger", BASE_SOLICIT_DAD, { NO_MAC }, false },

	/* For the namespace's own stack. */
	{ "fragmentation needed, from a router",
	  BASE_ECHO4,
	  { NO_MAC, { 29, 1, 1 }, { 34, 2, 0x0304 } },
	  true },
	{ "neighbour advertisement", BASE_SOLICIT_UNICAST, { NO_MAC, { 54, 1, 136 } }, true },
};

static struct sl_binding_key key_of(size_t i)
{
	struct sl_binding_key key = {
		.netns_cookie = prog_key.netns_cookie,
		.l3_ifindex = L3,
		.mac = { 2, 0, 0, 0, 0, bound[i].mac },
	};

	memcpy(key.address, bound[i].address, sizeof(key.address));
	return key;
}

static void bind_all(void)
{
	for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
		struct sl_binding_key key = key_of(i);
		struct sl_binding binding = { .project = "p" }, read = { 0 };

		snprintf(binding.instance, sizeof(binding.instance), "vm-%u", bound[i].mac);
		prog_check(!gate_load_binding_put(prog_load, &key, &binding) &&
				   !gate_load_binding_get(prog_load, &key, &read) &&
				   !memcmp(&binding, &read, sizeof(read)),
			   "entry %zu goes in and comes out", i);
	}
}

static void build(struct frame *frame, size_t i)
{
	frame_make(frame, cases[i].base);
	for (size_t p = 0; p < 3 && cases[i].patches[p].size; p++)
		frame_patch(frame, cases[i].patches[p].at, cases[i].patches[p].size,
			    cases[i].patches[p].value);
}

/* xdp: the program; at: who polices. The binding is looked at by both. */
static void check(size_t i, bool xdp, enum sl_guard_at at, bool enforce)
{
	struct sl_iface iface = prog_iface();
	const bool announces = !strncmp(cases[i].name, "gratuitous", 10);
	const bool good = (cases[i].good || !enforce) && !announces;
	const int expected = announces ? SL_V_BAD_SOURCE : SL_V_SPOOFED;
	struct sl_verdicts before;
	struct outcome outcome;
	struct frame frame;
	int verdict;

	iface.l3_ifindex = L3;
	iface.bound = enforce;
	iface.guard_at = at;
	prog_iface_put(&iface);
	build(&frame, i);
	before = prog_verdicts();
	prog_run(xdp ? "sl_guard_xdp" : "sl_guard_tc", &frame, 1, &outcome);
	verdict = prog_verdict_since(&before);
	prog_check(outcome.retval == (xdp ? (good ? XDP_PASS : XDP_DROP)
					  : (good ? TC_UNSPEC : TC_SHOT)) &&
			   verdict == (good ? -1 : expected),
		   "%s: %s in %s%s (returned %d, verdict %d)", cases[i].name,
		   good ? "passes" : "dropped", xdp ? "XDP" : "TC", enforce ? "" : ", not bound",
		   (int)outcome.retval, verdict);
}

/* 100 spoofed frames, then the owner's: its budget of one packet is whole. */
static void check_budget(void)
{
	struct sl_iface iface = prog_iface();
	struct outcome outcome;
	struct frame frame;

	iface.l3_ifindex = L3;
	iface.bound = 1;
	iface.source_rate = iface.source_burst = 1;
	iface.iface_rate = iface.iface_burst = 1;
	prog_iface_put(&iface);
	frame_make(&frame, BASE_ACK4);
	frame_patch(&frame, 6, 6, 0x020000000006);
	prog_run("sl_guard_tc", &frame, 100, &outcome);
	prog_check(outcome.retval == TC_SHOT, "spoofed frames are dropped");
	frame_make(&frame, BASE_ACK4);
	prog_run("sl_guard_tc", &frame, 1, &outcome);
	prog_check(outcome.retval == TC_UNSPEC, "they did not use up the owner's budget");
	prog_run("sl_guard_tc", &frame, 1, &outcome);
	prog_check(outcome.retval == TC_SHOT, "which there is");
}

static bool keep_five(const struct sl_binding_key *key, const struct sl_binding *binding, void *arg)
{
	return key->mac[5] == 5 && !strcmp(binding->instance, "vm-5");
}

static void check_sweep(void)
{
	struct sl_iface iface = prog_iface();
	struct sl_binding_key key = key_of(4);
	struct sl_binding binding;
	struct outcome outcome;
	struct frame frame;

	prog_check(gate_load_binding_sweep(prog_load, keep_five, NULL) == 3,
		   "a sweep takes what is not to be kept");
	prog_check(gate_load_binding_get(prog_load, &key, &binding) == -ENOENT, "it is gone");
	prog_check(!gate_load_binding_del(prog_load, &key), "deleting it again is no error");
	iface.l3_ifindex = L3;
	prog_iface_put(&iface);
	prog_check(!gate_load_iface_set_bound(prog_load, &prog_key, true) &&
			   !gate_load_iface_get(prog_load, &prog_key, &iface) && iface.bound == 1 &&
			   iface.l3_ifindex == L3,
		   "an interface is bound, and nothing else of it changes");
	frame_make(&frame, BASE_SYN4);
	prog_run("sl_guard_tc", &frame, 1, &outcome);
	prog_check(outcome.retval == TC_UNSPEC, "what was kept still passes");
}

int main(void)
{
	prog_begin("bindings");
	bind_all();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(i, false, SL_GUARD_AT_TC, true);
		check(i, false, SL_GUARD_AT_XDP, true);
		check(i, true, SL_GUARD_AT_XDP, true);
		check(i, true, SL_GUARD_AT_TC, true);
		check(i, false, SL_GUARD_AT_TC, false);
		check(i, true, SL_GUARD_AT_XDP, false);
	}
	check_budget();
	check_sweep();
	return prog_end();
}
