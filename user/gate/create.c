/* SPDX-License-Identifier: BSD-2-Clause */
/* Links, addresses and routes by libnl; the namespace itself is netns.h's. */
#include "create.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/link/vlan.h>
#include <netlink/route/route.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"
#include "netns.h"

/* Remembers the first thing that went wrong. */
__attribute__((format(printf, 3, 4))) static int complain(char *why, int err, const char *format,
							  ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, CREATE_WHY_MAX, format, args);
	va_end(args);
	return err;
}

void create_interface(const struct create_spec *spec, char *ret)
{
	const char *inner = spec->move ? spec->move : spec->inner;

	if (spec->vlan)
		snprintf(ret, IFNAMSIZ, "%.10s.%u", inner, spec->vlan & 0xfffu);
	else
		snprintf(ret, IFNAMSIZ, "%s", inner);
}

/* ---- links ----------------------------------------------------------------------------------- */

/* In the namespace of the outer end. */
static int add_veth(struct nl_sock *sock, const struct create_spec *spec, int ns, char *why)
{
	struct rtnl_link *outer = rtnl_link_veth_alloc(), *inner, *bridge = NULL;
	int err = 0;

	if (!outer)
		return -ENOMEM;
	inner = rtnl_link_veth_get_peer(outer); /* a reference of its own */
	rtnl_link_set_name(outer, spec->outer);
	rtnl_link_set_flags(outer, IFF_UP);
	rtnl_link_set_name(inner, spec->inner);
	rtnl_link_set_ns_fd(inner, ns);
	if (spec->bridge) {
		err = netlink_errno(rtnl_link_get_kernel(sock, 0, spec->bridge, &bridge));
		if (err) {
			complain(why, err, "no bridge %s here", spec->bridge);
			goto out;
		}
		rtnl_link_set_master(outer, rtnl_link_get_ifindex(bridge));
	}
	err = netlink_errno(rtnl_link_add(sock, outer, NLM_F_CREATE | NLM_F_EXCL));
	if (err == -EEXIST)
		complain(why, err, "an interface %s exists already", spec->outer);
	else if (err)
		complain(why, err, "cannot make the veth pair %s%s%s: %s", spec->outer,
			 spec->bridge ? " on bridge " : "", spec->bridge ? spec->bridge : "",
			 strerror(-err));
out:
	if (bridge)
		rtnl_link_put(bridge);
	rtnl_link_put(inner);
	rtnl_link_put(outer);
	return err;
}

/* Puts an interface of the current namespace into another one. */
static int move_link(const char *name, int ns)
{
	struct nl_sock *sock = netlink_open();
	struct rtnl_link *link, *change;
	int err;

	if (!sock)
		return -errno;
	err = netlink_errno(rtnl_link_get_kernel(sock, 0, name, &link));
	if (err) {
		nl_socket_free(sock);
		return err;
	}
	change = rtnl_link_alloc();
	if (change) {
		rtnl_link_set_ns_fd(change, ns);
		err = netlink_errno(rtnl_link_change(sock, link, change, 0));
		rtnl_link_put(change);
	} else {
		err = -ENOMEM;
	}
	rtnl_link_put(link);
	nl_socket_free(sock);
	return err;
}

/* Runs fn(arg) in the namespace spec names; NULL: here. */
static int inside(const char *netns, int (*fn)(const struct create_spec *spec, void *arg),
		  const struct create_spec *spec, void *arg)
{
	struct netns_visit visit;
	int err;

	if (!netns)
		return fn(spec, arg);
	err = netns_visit(&visit, netns);
	if (err)
		return err;
	err = fn(spec, arg);
	netns_leave(&visit);
	return err;
}

struct building {
	int ns;	     /* the new namespace */
	bool linked; /* the link into it is made */
	char *why;
};

static int link_up_outside(const struct create_spec *spec, void *arg)
{
	struct building *building = arg;
	struct nl_sock *sock;
	int err;

	if (spec->move) {
		err = move_link(spec->move, building->ns);
		if (err)
			complain(building->why, err, "cannot move interface %s: %s", spec->move,
				 strerror(-err));
		building->linked = !err;
		return err;
	}
	sock = netlink_open();
	if (!sock)
		return -errno;
	err = add_veth(sock, spec, building->ns, building->why);
	building->linked = !err;
	nl_socket_free(sock);
	return err;
}

/* ---- inside -------------------------------------------------------------------------------------
 */

/* /proc/sys/net is that of the namespace the thread is in. A new one copies ours, forwarding too.
 */
static int set_forwarding(bool on)
{
	static const char *const files[] = { "/proc/sys/net/ipv4/ip_forward",
					     "/proc/sys/net/ipv6/conf/all/forwarding" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = open(files[i], O_WRONLY | O_CLOEXEC);
		ssize_t n;

		if (fd < 0 && errno == ENOENT)
			continue; /* no IPv6 in this kernel */
		if (fd < 0)
			return -errno;
		n = write(fd, on ? "1" : "0", 1);
		close(fd);
		if (n != 1)
			return -EIO;
	}
	return 0;
}

static int set_up(struct nl_sock *sock, const char *name, struct rtnl_link **ret_link)
{
	struct rtnl_link *link, *change = rtnl_link_alloc();
	int err;

	if (!change)
		return -ENOMEM;
	err = netlink_errno(rtnl_link_get_kernel(sock, 0, name, &link));
	if (!err) {
		rtnl_link_set_flags(change, IFF_UP);
		err = netlink_errno(rtnl_link_change(sock, link, change, 0));
		if (!err && ret_link)
			*ret_link = link;
		else
			rtnl_link_put(link);
	}
	rtnl_link_put(change);
	return err;
}

static int add_vlan(struct nl_sock *sock, const struct create_spec *spec, struct rtnl_link *below,
		    const char *name)
{
	struct rtnl_link *vlan = rtnl_link_vlan_alloc();
	int err;

	if (!vlan)
		return -ENOMEM;
	rtnl_link_set_link(vlan, rtnl_link_get_ifindex(below));
	rtnl_link_set_name(vlan, name);
	err = netlink_errno(rtnl_link_vlan_set_id(vlan, spec->vlan));
	if (!err)
		err = netlink_errno(rtnl_link_add(sock, vlan, NLM_F_CREATE | NLM_F_EXCL));
	rtnl_link_put(vlan);
	return err;
}

static struct nl_addr *to_nl(const struct subnet *subnet)
{
	struct nl_addr *address =
		nl_addr_build(subnet->family, subnet->ip, subnet->family == AF_INET ? 4 : 16);

	if (address)
		nl_addr_set_prefixlen(address, (int)subnet->prefix);
	return address;
}

static int add_address(struct nl_sock *sock, int ifindex, const struct subnet *subnet)
{
	struct rtnl_addr *address = rtnl_addr_alloc();
	struct nl_addr *local = to_nl(subnet);
	int err = -ENOMEM;

	if (address && local) {
		rtnl_addr_set_ifindex(address, ifindex);
		err = netlink_errno(rtnl_addr_set_local(address, local));
		/* Alone in a new namespace, nobody can have it: serve at once. */
		if (!err && subnet->family == AF_INET6)
			rtnl_addr_set_flags(address, IFA_F_NODAD);
		if (!err)
			err = netlink_errno(rtnl_addr_add(sock, address, NLM_F_EXCL));
	}
	if (local)
		nl_addr_put(local);
	if (address)
		rtnl_addr_put(address);
	return err;
}

static int add_route(struct nl_sock *sock, int ifindex, const struct create_route *about)
{
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *to = to_nl(&about->to), *via = to_nl(&about->via);
	int err = -ENOMEM;

	if (route && hop && to && via) {
		rtnl_route_set_family(route, (uint8_t)about->to.family);
		err = netlink_errno(rtnl_route_set_dst(route, to));
		rtnl_route_nh_set_ifindex(hop, ifindex);
		rtnl_route_nh_set_gateway(hop, via);
		rtnl_route_add_nexthop(route, hop);
		hop = NULL; /* the route owns it */
		if (!err)
			err = netlink_errno(rtnl_route_add(sock, route, NLM_F_EXCL));
	}
	if (hop)
		rtnl_route_nh_free(hop);
	if (to)
		nl_addr_put(to);
	if (via)
		nl_addr_put(via);
	if (route)
		rtnl_route_put(route);
	return err;
}

static int add_addresses(struct nl_sock *sock, const struct create_spec *spec, int ifindex,
			 char *why)
{
	char text[SUBNET_TEXT_MAX];
	int err = add_address(sock, ifindex, &spec->address);

	subnet_text(&spec->address, text);
	if (err)
		return complain(why, err, "cannot add address %s: %s", text, strerror(-err));
	for (unsigned i = 0; i < spec->nroutes; i++) {
		err = add_route(sock, ifindex, &spec->routes[i]);
		subnet_text(&spec->routes[i].to, text);
		if (err)
			return complain(why, err, "cannot add the route to %s: %s", text,
					strerror(-err));
	}
	return 0;
}

static int furnish(const struct create_spec *spec, void *arg)
{
	const char *inner = spec->move ? spec->move : spec->inner;
	char *why = ((struct building *)arg)->why, name[IFNAMSIZ];
	struct rtnl_link *below = NULL, *link = NULL;
	struct nl_sock *sock = netlink_open();
	int err;

	if (!sock)
		return -errno;
	create_interface(spec, name);
	err = set_forwarding(spec->forward);
	if (!err)
		err = set_up(sock, "lo", NULL);
	if (!err)
		err = set_up(sock, inner, &below);
	if (!err && spec->vlan)
		err = add_vlan(sock, spec, below, name);
	if (!err)
		err = set_up(sock, name, &link);
	if (!err)
		err = add_addresses(sock, spec, rtnl_link_get_ifindex(link), why);
	if (err && !why[0])
		complain(why, err, "cannot set up %s in namespace %s: %s", name, spec->netns,
			 strerror(-err));
	if (below)
		rtnl_link_put(below);
	if (link)
		rtnl_link_put(link);
	nl_socket_free(sock);
	return err;
}

/* ---- both
 * ------------------------------------------------------------------------------------------ */

int create_build(const struct create_spec *spec, char why[CREATE_WHY_MAX])
{
	struct building building = { .ns = -1, .why = why };
	int err;

	why[0] = '\0';
	err = netns_make(spec->netns);
	if (err)
		return complain(why, err, "namespace %s: %s", spec->netns,
				err == -EEXIST ? "there is one of that name" : strerror(-err));
	building.ns = netns_open(spec->netns);
	err = building.ns < 0 ? building.ns : 0;
	if (!err)
		err = inside(spec->move ? NULL : spec->into, link_up_outside, spec, &building);
	if (!err)
		err = inside(spec->netns, furnish, spec, &building);
	if (building.ns >= 0)
		close(building.ns);
	if (err) {
		if (!why[0])
			complain(why, err, "%s", strerror(-err));
		/* An outer end of that name may be somebody else's. */
		if (building.linked)
			create_remove(spec);
		else
			netns_remove(spec->netns);
	}
	return err;
}

/* The inner end: the outer one goes with it, wherever it has been moved or renamed to. */
static int delete_veth(const struct create_spec *spec, void *arg)
{
	struct nl_sock *sock = netlink_open();
	struct rtnl_link *link;
	int err;

	if (!sock)
		return -errno;
	err = netlink_errno(rtnl_link_get_kernel(sock, 0, spec->inner, &link));
	if (!err) {
		err = netlink_errno(rtnl_link_delete(sock, link));
		rtnl_link_put(link);
	}
	nl_socket_free(sock);
	return err == -ENODEV ? 0 : err;
}

static int give_back(const struct create_spec *spec, void *arg)
{
	return move_link(spec->move, *(int *)arg);
}

int create_remove(const struct create_spec *spec)
{
	int err = 0, last;

	if (spec->move) {
		/* With the namespace it would die, unless it is hardware. */
		int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

		err = home < 0 ? -errno : inside(spec->netns, give_back, spec, &home);
		if (home >= 0)
			close(home);
		if (err == -ENODEV || err == -ENOENT)
			err = 0;
		if (err)
			return err;
	} else {
		/* Now, and not when the kernel has time for the namespace. */
		err = inside(spec->netns, delete_veth, spec, NULL);
	}
	last = netns_remove(spec->netns);
	return err == -ENOENT || !err ? last : err;
}
