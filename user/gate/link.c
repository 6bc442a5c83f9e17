/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interface look-up and the local routes of the metadata address. Every call opens its
 * own netlink socket: a socket belongs to the namespace it was made in and would pin it.
 */
#include "link.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/route.h>
#include <string.h>
#include <sys/socket.h>

#include "../../bpf/abi.h"
#include "netlink.h"

/* Marks our routes: "proto 169" in ip route. */
#define ROUTE_PROTO 169

/*
 * From the answer, not from /proc/sys/net: its entries of one name, a gateway's "qr-…" or "lo" in
 * thousands of namespaces, are one chain of the kernel's table of names, walked at each open.
 */
static bool ipv6_disabled(struct nlattr *families)
{
	struct nlattr *inet6 =
		families ? nla_find(nla_data(families), nla_len(families), AF_INET6) : NULL;
	struct nlattr *conf =
		inet6 ? nla_find(nla_data(inet6), nla_len(inet6), IFLA_INET6_CONF) : NULL;
	int32_t disabled;

	/* No IPv6 in this kernel, or none on this interface. */
	if (!conf || nla_len(conf) < (int)((DEVCONF_DISABLE_IPV6 + 1) * sizeof(disabled)))
		return true;
	memcpy(&disabled, (char *)nla_data(conf) + DEVCONF_DISABLE_IPV6 * sizeof(disabled),
	       sizeof(disabled));
	return disabled;
}

static int on_link(struct nl_msg *message, void *arg)
{
	struct nlmsghdr *head = nlmsg_hdr(message);
	struct nlattr *attributes[IFLA_MAX + 1], *kind;
	struct link_info *info = arg;
	const struct ifinfomsg *link;

	if (head->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse(head, sizeof(*link), attributes, IFLA_MAX, NULL) ||
	    !attributes[IFLA_IFNAME])
		return NL_SKIP;
	link = nlmsg_data(head);
	nla_strlcpy(info->name, attributes[IFLA_IFNAME], sizeof(info->name));
	kind = attributes[IFLA_LINKINFO]
		       ? nla_find(nla_data(attributes[IFLA_LINKINFO]),
				  nla_len(attributes[IFLA_LINKINFO]), IFLA_INFO_KIND)
		       : NULL;
	if (kind)
		nla_strlcpy(info->kind, kind, sizeof(info->kind));
	info->ifindex = (uint32_t)link->ifi_index;
	if (attributes[IFLA_MASTER])
		info->master = nla_get_u32(attributes[IFLA_MASTER]);
	info->up = link->ifi_flags & IFF_UP;
	info->running = link->ifi_flags & IFF_RUNNING;
	if (attributes[IFLA_ADDRESS] && nla_len(attributes[IFLA_ADDRESS]) == sizeof(info->mac))
		memcpy(info->mac, nla_data(attributes[IFLA_ADDRESS]), sizeof(info->mac));
	info->no_ipv6 = ipv6_disabled(attributes[IFLA_AF_SPEC]);
	return NL_OK;
}

static int ask(struct nl_sock *sock, int ifindex, const char *name)
{
	struct ifinfomsg link = { .ifi_index = ifindex };
	struct nl_msg *message = nlmsg_alloc_simple(RTM_GETLINK, 0);
	int err = message ? 0 : -NLE_NOMEM;

	if (!err)
		err = nlmsg_append(message, &link, sizeof(link), NLMSG_ALIGNTO);
	if (!err && name)
		err = nla_put_string(message, IFLA_IFNAME, name);
	if (!err)
		err = nla_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (!err)
		err = nl_send_auto(sock, message);
	nlmsg_free(message);
	return err < 0 ? err : 0;
}

static int find(int ifindex, const char *name, struct link_info *ret_link)
{
	struct link_info info = { 0 };
	struct nl_sock *sock = netlink_open();
	int err;

	if (!sock)
		return -errno;
	nl_socket_disable_auto_ack(sock); /* the link or an error, one answer */
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_link, &info);
	err = ask(sock, ifindex, name);
	if (!err)
		err = nl_recvmsgs_default(sock);
	nl_socket_free(sock);
	if (err < 0)
		return netlink_errno(err);
	if (!info.ifindex)
		return -EIO;
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
