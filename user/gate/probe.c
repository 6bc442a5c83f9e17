/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Building the stand-in, asking, and taking it away. A listener is bound to the L3 interface and so
 * are its connections: their answers leave there whatever the routes say, hence the egress filter.
 */
#include "probe.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../bpf/abi.h"
#include "../lib/clock.h"
#include "link.h"
#include "netlink.h"
#include "netns.h"
#include "probe_left.h"

#define OUTSIDE	     "slprobe"
#define INSIDE	     "eth0"
#define ADDRESS	     0xc0000008u /* 192.0.0.8 */
#define ROUTE_PROTO  169
#define FILTER_PRIO  169
#define DADDR_OFFSET (ETH_HLEN + 16) /* of IPv4 */
#define ANSWER_MAX   4096

static const uint8_t own_mac[ETH_ALEN] = { 0x02, 0x73, 0x6c, 0x00, 0x00, 0x08 };
static const uint8_t own_address[4] = { 192, 0, 0, 8 };
static const uint8_t meta_address[4] = SL_META_IP4;

static int fail(char *why, int err, const char *what)
{
	if (!why[0])
		snprintf(why, PROBE_WHY_MAX, "%s: %s", what, strerror(-err));
	return err;
}

/* ---- the two redirections -------------------------------------------------------------------- */

/* IPv4, and to one address when that is not 0: into another interface; all else goes on. */
static int load_redirect(uint32_t to_address, uint32_t ifindex, uint64_t flags)
{
	const struct bpf_insn program[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0 },
		{ BPF_LDX | BPF_MEM | BPF_W, 2, 6, offsetof(struct __sk_buff, protocol), 0 },
		{ BPF_JMP | BPF_JNE | BPF_K, 2, 0, 6, htons(ETH_P_IP) },
		{ BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, to_address ? DADDR_OFFSET : 0 },
		{ BPF_JMP32 | (to_address ? BPF_JNE : BPF_JSET) | BPF_K, 0, 0, to_address ? 4 : 0,
		  (int)to_address },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, (int)ifindex },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, (int)flags },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, TC_ACT_UNSPEC },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "sl_probe", "BSD", program,
			     sizeof(program) / sizeof(program[0]), NULL);
}

static struct bpf_tc_hook hook_of(uint32_t ifindex, enum bpf_tc_attach_point point)
{
	return (struct bpf_tc_hook){ .sz = sizeof(struct bpf_tc_hook),
				     .ifindex = (int)ifindex,
				     .attach_point = point };
}

static int make_qdisc(uint32_t ifindex, enum bpf_tc_attach_point point, bool *ret_made)
{
	struct bpf_tc_hook hook = hook_of(ifindex, point);
	int err = bpf_tc_hook_create(&hook);

	*ret_made = !err;
	return err == -EEXIST ? 0 : err;
}

static int redirect(uint32_t from, enum bpf_tc_attach_point point, uint32_t to_address,
		    uint32_t to_ifindex, uint64_t flags)
{
	struct bpf_tc_hook hook = hook_of(from, point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = FILTER_PRIO,
		    .flags = BPF_TC_F_REPLACE);
	int fd = load_redirect(to_address, to_ifindex, flags), err;

	if (fd < 0)
		return fd;
	opts.prog_fd = fd;
	err = bpf_tc_attach(&hook, &opts);
	close(fd);
	return err;
}

/* ---- addresses, routes, neighbours ------------------------------------------------------------
 */

static int add_address(struct nl_sock *sock, uint32_t ifindex)
{
	struct nl_addr *local = nl_addr_build(AF_INET, own_address, sizeof(own_address));
	struct rtnl_addr *address = rtnl_addr_alloc();
	int err = -ENOMEM;

	if (local && address) {
		rtnl_addr_set_ifindex(address, (int)ifindex);
		rtnl_addr_set_local(address, local);
		rtnl_addr_set_prefixlen(address, 32);
		err = netlink_errno(rtnl_addr_add(sock, address, 0));
	}
	if (address)
		rtnl_addr_put(address);
	if (local)
		nl_addr_put(local);
	return err;
}

/* A host route and who the neighbour is. */
static int know(struct nl_sock *sock, uint32_t ifindex, const uint8_t *to, const uint8_t *mac,
		bool add)
{
	struct nl_addr *dst = nl_addr_build(AF_INET, to, 4);
	struct nl_addr *lladdr = nl_addr_build(AF_LLC, mac, ETH_ALEN);
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct rtnl_neigh *neighbour = rtnl_neigh_alloc();
	int err = -ENOMEM;

	if (!dst || !lladdr || !route || !hop || !neighbour)
		goto out;
	rtnl_route_set_family(route, AF_INET);
	rtnl_route_set_dst(route, dst);
	rtnl_route_set_scope(route, RT_SCOPE_LINK);
	rtnl_route_set_protocol(route, ROUTE_PROTO);
	rtnl_route_nh_set_ifindex(hop, (int)ifindex);
	rtnl_route_add_nexthop(route, hop);
	hop = NULL; /* the route's */
	rtnl_neigh_set_ifindex(neighbour, (int)ifindex);
	rtnl_neigh_set_dst(neighbour, dst);
	rtnl_neigh_set_lladdr(neighbour, lladdr);
	rtnl_neigh_set_state(neighbour, NUD_PERMANENT);
	if (add) {
		err = netlink_errno(rtnl_neigh_add(sock, neighbour, NLM_F_CREATE | NLM_F_REPLACE));
		if (!err)
			err = netlink_errno(rtnl_route_add(sock, route, NLM_F_REPLACE));
	} else {
		err = netlink_errno(rtnl_route_delete(sock, route, 0));
		rtnl_neigh_delete(sock, neighbour, 0);
	}
out:
	if (neighbour)
		rtnl_neigh_put(neighbour);
	if (hop)
		rtnl_route_nh_free(hop);
	if (route)
		rtnl_route_put(route);
	if (lladdr)
		nl_addr_put(lladdr);
	if (dst)
		nl_addr_put(dst);
	return err;
}

static int set_up(struct nl_sock *sock, uint32_t ifindex)
{
	struct rtnl_link *link = rtnl_link_alloc(), *change = rtnl_link_alloc();
	int err = -ENOMEM;

	if (link && change) {
		rtnl_link_set_ifindex(link, (int)ifindex);
		rtnl_link_set_flags(change, IFF_UP);
		err = netlink_errno(rtnl_link_change(sock, link, change, 0));
	}
	if (link)
		rtnl_link_put(link);
	if (change)
		rtnl_link_put(change);
	return err;
}

static int add_pair(struct nl_sock *sock, int tenant_ns)
{
	struct nl_addr *mac = nl_addr_build(AF_LLC, own_mac, sizeof(own_mac));
	struct rtnl_link *link = rtnl_link_veth_alloc(), *peer;
	int err = -ENOMEM;

	if (link && mac) {
		peer = rtnl_link_veth_get_peer(link);
		rtnl_link_set_name(link, INSIDE);
		rtnl_link_set_addr(link, mac);
		rtnl_link_set_name(peer, OUTSIDE);
		rtnl_link_set_ns_fd(peer, tenant_ns);
		err = netlink_errno(rtnl_link_add(sock, link, NLM_F_CREATE | NLM_F_EXCL));
		rtnl_link_put(peer);
	}
	if (link)
		rtnl_link_put(link);
	if (mac)
		nl_addr_put(mac);
	return err;
}

/* ---- building ---------------------------------------------------------------------------------
 */

/* In the probe's namespace. */
static int build_inside(struct probe *probe, const uint8_t *l3_mac, char *why)
{
	struct nl_sock *sock = netlink_open();
	struct link_info link;
	int err;

	if (!sock)
		return fail(why, -errno, "netlink");
	err = add_pair(sock, probe->tenant_ns);
	if (err == -EEXIST)
		snprintf(why, PROBE_WHY_MAX,
			 "there is an interface " OUTSIDE " already: another "
			 "probe is at work");
	if (!err)
		err = link_find(INSIDE, &link);
	if (!err)
		err = add_address(sock, link.ifindex);
	if (!err)
		err = set_up(sock, link.ifindex);
	if (!err)
		err = know(sock, link.ifindex, meta_address, l3_mac, true);
	nl_socket_free(sock);
	return err ? fail(why, err, "building the probe's own side") : 0;
}

/* In the tenant's. */
static int build_outside(struct probe *probe, const struct probe_spec *spec, char *why)
{
	struct nl_sock *sock = netlink_open();
	struct link_info link;
	bool made;
	int err;

	if (!sock)
		return fail(why, -errno, "netlink");
	err = link_find(OUTSIDE, &link);
	if (!err) {
		probe->slprobe = link.ifindex;
		err = make_qdisc(probe->slprobe, BPF_TC_INGRESS, &made);
	}
	if (!err)
		err = redirect(probe->slprobe, BPF_TC_INGRESS, 0, probe->ifindex, BPF_F_INGRESS);
	if (!err)
		err = make_qdisc(probe->l3_ifindex, BPF_TC_EGRESS, &probe->made_qdisc);
	if (!err)
		err = probe_left_write(probe, spec->record, spec->netns);
	if (err == -EBUSY)
		snprintf(why, PROBE_WHY_MAX, "another doctor's probe is at work");
	if (!err)
		err = redirect(probe->l3_ifindex, BPF_TC_EGRESS, ADDRESS, probe->slprobe, 0);
	if (!err)
		err = know(sock, probe->l3_ifindex, own_address, own_mac, true);
	if (!err)
		err = set_up(sock, probe->slprobe);
	nl_socket_free(sock);
	return err ? fail(why, err, "building the probe in the tenant's gateway") : 0;
}

/*
 * The kernel looks at carriers once a second when there are many, and until then the interface
 * sends nothing. One that never does shows in the answers.
 */
static void await_running(const char *name)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct link_info link = { 0 };

	for (int tries = 0; tries < 400 && !link.running; tries++) {
		if (tries)
			nanosleep(&pause, NULL);
		if (link_find(name, &link))
			return;
	}
}

static int build(struct probe *probe, const struct probe_spec *spec, char *why)
{
	struct link_info l3;
	int err = link_find_index(probe->l3_ifindex, &l3);

	if (err)
		return fail(why, err, "the interface with the address");
	if (unshare(CLONE_NEWNET))
		return fail(why, -errno, "a namespace for the probe");
	probe->ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	err = probe->ns < 0 ? -errno : build_inside(probe, l3.mac, why);
	if (!err && setns(probe->tenant_ns, CLONE_NEWNET))
		err = fail(why, -errno, "entering the tenant's namespace");
	if (!err)
		err = build_outside(probe, spec, why);
	if (!err)
		await_running(OUTSIDE);
	if (!err && setns(probe->ns, CLONE_NEWNET))
		err = fail(why, -errno, "entering the probe's namespace");
	if (!err)
		await_running(INSIDE);
	return err;
}

int probe_open(struct probe *probe, const struct probe_spec *spec, char why[PROBE_WHY_MAX])
{
	struct netns_visit visit;
	int err;

	*probe = (struct probe){
		.ifindex = spec->ifindex, .l3_ifindex = spec->l3_ifindex, .ns = -1, .record = -1
	};
	why[0] = '\0';
	probe->tenant_ns = fcntl(spec->tenant_ns, F_DUPFD_CLOEXEC, 3);
	if (probe->tenant_ns < 0)
		return fail(why, -errno, "the tenant's namespace");
	err = netns_enter(&visit, probe->tenant_ns);
	if (!err) {
		err = build(probe, spec, why);
		netns_leave(&visit);
	}
	if (err) {
		fail(why, err, "the probe");
		probe_close(probe);
	}
	return err;
}

void probe_remove(struct probe *probe)
{
	struct bpf_tc_hook hook = hook_of(probe->l3_ifindex, BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = FILTER_PRIO);
	struct nl_sock *sock = netlink_open();
	struct rtnl_link *link = rtnl_link_alloc();

	bpf_tc_detach(&hook, &opts);
	if (probe->made_qdisc) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		bpf_tc_hook_destroy(&hook);
	}
	if (sock && link) {
		know(sock, probe->l3_ifindex, own_address, own_mac, false);
		rtnl_link_set_name(link, OUTSIDE);
		rtnl_link_delete(sock, link);
	}
	if (link)
		rtnl_link_put(link);
	if (sock)
		nl_socket_free(sock);
}

void probe_close(struct probe *probe)
{
	struct netns_visit visit;

	if (probe->slprobe && !netns_enter(&visit, probe->tenant_ns)) {
		probe_remove(probe);
		netns_leave(&visit);
	}
	probe_left_remove(probe);
	if (probe->tenant_ns >= 0)
		close(probe->tenant_ns);
	/* What is left of the pair goes with its namespace. */
	if (probe->ns >= 0)
		close(probe->ns);
	probe->tenant_ns = probe->ns = -1;
	probe->slprobe = 0;
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static int await(int sock, short events, int64_t deadline)
{
	struct pollfd wait = { .fd = sock, .events = events };
	int64_t left = deadline - clock_ms(CLOCK_MONOTONIC);
	int n = left > 0 ? poll(&wait, 1, (int)left) : 0;

	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

static int begin(uint16_t port, int64_t deadline, int *ret_sock)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	/* Or a connection that waits for its end would keep the probe's namespace for minutes. */
	const struct linger reset = { .l_onoff = 1 };
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
	socklen_t len = sizeof(error);
	int err = 0;

	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	memcpy(&to.sin_addr, meta_address, sizeof(meta_address));
	if (connect(sock, (struct sockaddr *)&to, sizeof(to)))
		err = errno == EINPROGRESS ? await(sock, POLLOUT, deadline) : -errno;
	if (!err && !getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &len))
		err = -error;
	if (err)
		close(sock);
	else
		*ret_sock = sock;
	return err;
}

static int exchange(int sock, uint16_t port, const char *path, int64_t deadline, int *ret_status)
{
	char text[ANSWER_MAX];
	size_t len = 0;
	int n = snprintf(text, sizeof(text),
			 "GET %s HTTP/1.1\r\nHost: 169.254.169.254:%u\r\n"
			 "User-Agent: sluice-doctor\r\nConnection: close\r\n\r\n",
			 path, port);

	if (n < 0 || n >= (int)sizeof(text))
		return -ENAMETOOLONG;
	if (send(sock, text, (size_t)n, MSG_NOSIGNAL) != n)
		return -EPIPE;
	for (;;) {
		int err = await(sock, POLLIN, deadline);
		ssize_t got = err ? 0 : recv(sock, text + len, sizeof(text) - 1 - len, 0);

		if (err)
			return err;
		if (got <= 0)
			return got < 0 ? -errno : -ECONNRESET;
		len += (size_t)got;
		text[len] = '\0';
		if (sscanf(text, "HTTP/1.%*d %d ", ret_status) == 1 && strchr(text, '\n'))
			return 0;
		if (len == sizeof(text) - 1)
			return -EPROTO;
	}
}

int probe_get(struct probe *probe, uint16_t port, const char *path, unsigned timeout_ms,
	      int *ret_status, bool *ret_connected)
{
	int64_t deadline = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	struct netns_visit visit;
	int sock = -1, err = netns_enter(&visit, probe->ns);

	*ret_connected = false;
	if (err)
		return err;
	err = begin(port, deadline, &sock);
	if (!err) {
		*ret_connected = true;
		err = exchange(sock, port, path, deadline, ret_status);
		close(sock);
	}
	netns_leave(&visit);
	return err;
}
