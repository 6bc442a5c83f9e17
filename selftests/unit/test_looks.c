/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at a namespace that could not be finished: nothing may follow from them, or gates that
 * serve would be taken down. And which namespaces are a process's.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../../user/gate/discover.h"
#include "../../user/gate/gate.h"
#include "../../user/gate/netns.h"
#include "unit.h"

static bool torn;

/* In libc's place: as the kernel marks a dump under which interfaces came or went. */
ssize_t recv(int fd, void *data, size_t len, int flags)
{
	ssize_t n = syscall(SYS_recvfrom, fd, data, len, flags, NULL, NULL);

	if (n >= (ssize_t)sizeof(struct nlmsghdr) && torn)
		((struct nlmsghdr *)data)->nlmsg_flags |= NLM_F_DUMP_INTR;
	return n;
}

static void count(const char *name, void *arg)
{
	++*(unsigned *)arg;
}

static void test_links(void)
{
	unsigned links = 0;

	unit_case = "interfaces";
	CHECK(discover_each_link(count, &links) == 0 && links > 0);
	torn = true;
	CHECK(discover_each_link(count, &links) == -EAGAIN);
	torn = false;
}

static void test_descriptors(void)
{
	static const char here[] = "/proc/self/ns/net";
	struct gate gate = { .netns_inode = netns_inode(here) };
	struct gate_spec spec = { .netns = here }, gone = { .netns = "/proc/self/ns/none" };
	char why[GATE_WHY_MAX];
	struct rlimit limit, none;

	unit_case = "descriptors";
	CHECK(gate.netns_inode != 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ 0, limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	CHECK(gate_check(&gate, NULL, &spec, why) == -EMFILE);
	setrlimit(RLIMIT_NOFILE, &limit);
	CHECK(gate_check(&gate, NULL, &gone, why) == -ENOENT);
	gate.netns_inode++;
	CHECK(gate_check(&gate, NULL, &spec, why) == -ENOENT);
}

static void test_processes(void)
{
	unit_case = "processes";
	CHECK(netns_of_process("pid:100"));
	CHECK(netns_of_process("/proc/100/ns/net"));
	CHECK(!netns_of_process("/proc/self/ns/net"));
	CHECK(!netns_of_process("/run/netns/100"));
	CHECK(!netns_of_process("100"));
}

int main(void)
{
	test_links();
	test_descriptors();
	test_processes();
	return unit_end();
}
