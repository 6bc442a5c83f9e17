/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tags of 802.1Q and 802.1ad, as only real frames on a veth have them: the kernel takes the outer
 * one off before TC looks, and XDP looks at none. What is in a VLAN is a bystander, what has a
 * priority alone is for us, and nobody hides from the guard or its budgets behind tags. There is
 * no listener: a SYN that the guard lets pass is counted as such.
 */
#include "lib/prog.h"

#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int gateway_ns, vm_ns;

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0) {
		perror("setns");
		exit(1);
	}
}

static void run(const char *command)
{
	if (system(command) != 0) {
		printf("failed: %s\n", command);
		exit(77);
	}
}

static void make_namespaces(void)
{
	char command[160];

	gateway_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET) < 0)
		exit(77);
	vm_ns = open("/proc/thread-self/ns/net", O_RDONLY); /* inherited by ip(8) below */
	enter(gateway_ns);
	run("ip link add gw0 type veth peer name vm0");
	snprintf(command, sizeof(command), "ip link set vm0 netns /proc/self/fd/%d", vm_ns);
	run(command);
	run("ip link set gw0 up");
	enter(vm_ns);
	run("ip link set vm0 up");
	enter(gateway_ns);
}

static uint64_t rose(const struct sl_verdicts *before, size_t offset)
{
	struct sl_verdicts after = prog_verdicts();

	return *(__u64 *)((char *)&after + offset) -
	       *(const __u64 *)((const char *)before + offset);
}
#define ROSE(before, field) rose(before, offsetof(struct sl_verdicts, field))

/* A broadcast frame with these tags, outermost first, 0 behind the last. */
static struct frame tagged(enum frame_base base, uint32_t outer, uint32_t inner, uint32_t innermost)
{
	const uint32_t tags[] = { outer, inner, innermost };
	struct frame plain, frame;
	size_t at = 12;

	frame_make(&plain, base);
	frame_patch(&plain, 0, 6, 0xffffffffffff);
	memcpy(frame.data, plain.data, at);
	for (size_t i = 0; i < 3 && tags[i]; i++, at += 4)
		frame_patch(&frame, at, 4, tags[i]);
	memcpy(frame.data + at, plain.data + 12, plain.len - 12);
	frame.len = at + plain.len - 12;
	return frame;
}

static void send_frame(const struct frame *frame)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	int fd;

	enter(vm_ns);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	to.sll_ifindex = if_nametoindex("vm0");
	if (sendto(fd, frame->data, frame->len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		printf("sendto: %m\n");
	close(fd);
	enter(gateway_ns);
}

/* Waits for a counter: what was sent on a veth is there at once, or after a softirq. */
static uint64_t await_rise(const struct sl_verdicts *before, size_t offset, uint64_t wanted)
{
	for (int tries = 0; tries < 100 && rose(before, offset) < wanted; tries++)
		usleep(20000);
	return rose(before, offset);
}
#define AWAIT(before, field, wanted) await_rise(before, offsetof(struct sl_verdicts, field), wanted)

#define TAG(id)	    (0x81000000 | (id))
#define PRIORITY    TAG(0xe000) /* a priority, and in no VLAN */
#define PRIORITY_AD 0x88a80000

/* The kernel moves a tag of the frame into metadata before TC sees it. */
static void test_tags(void)
{
	static const struct {
		const char *name;
		uint32_t tags[3];
		bool dropped;
	} hidden[] = {
		{ "a SYN in two priority tags", { PRIORITY, PRIORITY, 0 }, true },
		{ "a SYN in two others", { PRIORITY_AD, TAG(0), 0 }, true },
		{ "a SYN in three", { TAG(0), TAG(0), TAG(0) }, true },
		{ "one in VLAN 5 behind a priority", { TAG(0), TAG(5), 0 }, false },
		{ "one in VLAN 5", { TAG(5), 0, 0 }, false },
		{ "one in VLAN 5 of VLAN 6", { PRIORITY_AD | 6, TAG(5), 0 }, false },
	};
	struct sl_verdicts before;
	struct frame frame;

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		frame = tagged(BASE_SYN4, hidden[i].tags[0], hidden[i].tags[1], hidden[i].tags[2]);
		before = prog_verdicts();
		send_frame(&frame);
		if (!hidden[i].dropped)
			usleep(50000);
		prog_check(AWAIT(&before, malformed, hidden[i].dropped) == hidden[i].dropped &&
				   ROSE(&before, fail_pass) == 0,
			   "%s is %s", hidden[i].name,
			   hidden[i].dropped ? "dropped" : "a bystander");
	}
	frame = tagged(BASE_SYN4, TAG(0), TAG(0), 0);
	frame_patch(&frame, 38, 4, 0x0a000001);
	before = prog_verdicts();
	send_frame(&frame);
	usleep(50000);
	prog_check(ROSE(&before, bytes) == 0, "in two tags to another address: a bystander");
	for (int priority = 0; priority < 2; priority++) {
		frame = tagged(BASE_SYN4, priority ? PRIORITY : 0, 0, 0);
		before = prog_verdicts();
		send_frame(&frame);
		prog_check(AWAIT(&before, fail_pass, 1) == 1, "a SYN %s tag is for us",
			   priority ? "in a priority" : "without a");
	}
}

/* XDP does not look behind a tag: what it cannot see, TC charges. */
static void test_budget(enum gate_load_xdp mode)
{
	const char *name = mode == GATE_LOAD_XDP_NATIVE ? "native" : "generic";
	const struct frame frame = tagged(BASE_SYN4, PRIORITY, 0, 0);
	struct sl_iface iface;
	struct sl_verdicts before;

	gate_load_iface_get(prog_load, &prog_key, &iface);
	iface.iface_syn_rate = 1, iface.iface_syn_burst = 3;
	iface.guard_at = SL_GUARD_AT_XDP;
	prog_iface_put(&iface);
	if (!prog_check(!gate_load_attach_xdp(prog_load, &prog_key, mode, NULL), "%s XDP: raised",
			name))
		return;
	before = prog_verdicts();
	for (int i = 0; i < 20; i++)
		send_frame(&frame);
	prog_check(AWAIT(&before, iface_budget, 10) >= 10, "%s XDP: a priority evades no budget",
		   name);
	gate_load_detach_xdp(prog_load, &prog_key);
}

int main(void)
{
	struct sl_iface iface = prog_iface();

	prog_begin("tags");
	make_namespaces();
	prog_key.ifindex = if_nametoindex("gw0");
	iface.l3_ifindex = prog_key.ifindex;
	prog_iface_put(&iface);
	if (gate_load_attach_tc(prog_load, prog_key.ifindex, NULL, NULL)) {
		printf("cannot attach\n");
		return 1;
	}
	test_tags();
	test_budget(GATE_LOAD_XDP_GENERIC);
	test_budget(GATE_LOAD_XDP_NATIVE);
	gate_load_detach_tc(prog_load, prog_key.ifindex);
	return prog_end();
}
