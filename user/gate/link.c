/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interface look-up and the local routes of the metadata address. Every call opens its
 * own netlink socket: a socket belongs to the namespace it was made in and would pin it.
 */
#include "link.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../../bpf/abi.h"
#include "netlink.h"

/* Marks our routes: "proto 169" in ip route. */
#define ROUTE_PROTO 169

/* /proc/sys/net shows the namespace of the thread that opens it. */
static bool ipv6_disabled(const char *name)
{
	char path[64 + IFNAMSIZ];
	FILE *file;
	int disabled = 1;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	file = fopen(path, "re");
	if (!file)
		return true; /* no IPv6 in this kernel, or none on this interface */
	if (fscanf(file, "%d", &disabled) != 1)
		disabled = 1;
	fclose(file);
	return disabled;
}

static int find(int ifindex, const char *name, struct link_info *ret_link)
{
	struct link_info info = { 0 };
	struct nl_sock *sock = netlink_open();
	struct rtnl_link *link;
	struct nl_addr *mac;
	int err;

	if (!sock)
		return -errno;
	err = netlink_errno(rtnl_link_get_kernel(sock, ifindex, name, &link));
	nl_socket_free(sock);
	if (err)
		return err;
	snprintf(info.name, sizeof(info.name), "%s", rtnl_link_get_name(link));
	if (rtnl_link_get_type(link))
		snprintf(info.kind, sizeof(info.kind), "%s", rtnl_link_get_type(link));
	info.ifindex = (uint32_t)rtnl_link_get_ifindex(link);
	info.master = (uint32_t)rtnl_link_get_master(link);
	info.up = rtnl_link_get_flags(link) & IFF_UP;
	info.running = rtnl_link_get_flags(link) & IFF_RUNNING;
	mac = rtnl_link_get_addr(link);
	if (mac && nl_addr_get_len(mac) == sizeof(info.mac))
		memcpy(info.mac, nl_addr_get_binary_addr(mac), sizeof(info.mac));
	rtnl_link_put(link);
	info.no_ipv6 = ipv6_disabled(info.name);
	*ret_link = info;
	return 0;
}

int link_find(const char *name, struct link_info *ret_link)
{
	if (!name[0] || strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	return find(0, name, ret_link);
}

int link_find_index(uint32_t ifindex, struct link_info *ret_link)
{
	return find((int)ifindex, NULL, ret_link);
}

static int build_route(int family, uint32_t l3_ifindex, struct rtnl_route **ret_route)
{
	static const uint8_t ip4[4] = SL_META_IP4, ip6[16] = SL_META_IP6;
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *dst = family == AF_INET ? nl_addr_build(AF_INET, ip4, sizeof(ip4))
						: nl_addr_build(AF_INET6, ip6, sizeof(ip6));
	int err = -ENOMEM;

	if (!route || !hop || !dst)
		goto out;
	nl_addr_set_prefixlen(dst, family == AF_INET ? 32 : 128);
	err = netlink_errno(rtnl_route_set_family(route, (uint8_t)family));
	if (!err)
		err = netlink_errno(rtnl_route_set_dst(route, dst));
	if (!err)
		err = netlink_errno(rtnl_route_set_type(route, RTN_LOCAL));
	if (err)
		goto out;
	rtnl_route_set_table(route, RT_TABLE_LOCAL);
	rtnl_route_set_scope(route, RT_SCOPE_HOST);
	rtnl_route_set_protocol(route, ROUTE_PROTO);
	if (family == AF_INET6)
		rtnl_route_set_priority(route, 1024);
	rtnl_route_nh_set_ifindex(hop, family == AF_INET ? 1 /* lo */ : (int)l3_ifindex);
	rtnl_route_add_nexthop(route, hop);
	hop = NULL; /* the route owns it */
	*ret_route = route;
	route = NULL;
out:
	if (dst)
		nl_addr_put(dst);
	if (hop)
		rtnl_route_nh_free(hop);
	if (route)
		rtnl_route_put(route);
	return err;
}

static int change_route(int family, uint32_t l3_ifindex, bool add)
{
	struct rtnl_route *route;
	struct nl_sock *sock;
	int err = build_route(family, l3_ifindex, &route);

	if (err)
		return err;
	sock = netlink_open();
	if (!sock) {
		err = -errno;
	} else {
		/* IPv6 has one such route per interface; APPEND lets them stand side by side. */
		int flags = family == AF_INET ? NLM_F_EXCL : NLM_F_APPEND;

		err = netlink_errno(add ? rtnl_route_add(sock, route, flags)
					: rtnl_route_delete(sock, route, 0));
		nl_socket_free(sock);
	}
	rtnl_route_put(route);
	return err;
}

int link_route_add(int family, uint32_t l3_ifindex, bool *ret_added)
{
	int err = change_route(family, l3_ifindex, true);

	if (err && err != -EEXIST)
		return err;
	*ret_added = err == 0;
	return 0;
}

int link_route_remove(int family, uint32_t l3_ifindex)
{
	int err = change_route(family, l3_ifindex, false);

	/* ESRCH (no such route) reaches us as NLE_OBJ_NOTFOUND, a vanished interface as ENODEV. */
	return err == -ENODEV ? 0 : err;
}
