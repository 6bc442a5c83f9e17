/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In a tenant's namespace: interfaces, filters, XDP, routes, listeners, map entries, and what of
 * the namespace's own settings may stand in the way.
 */
#include "doctor_gate.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../gate/link.h"
#include "../gate/netlink.h"
#include "../gate/listen.h"
#include "../gate/notrack.h"
#include "doctor.h"

static const char *reload(const struct doctor *doctor)
{
	return doctor_text("sluice --instance %s reload", doctor_word(doctor->instance));
}

static bool look_at_link(struct doctor *doctor, const struct doctor_gate *gate, uint32_t ifindex,
			 struct link_info *ret_link)
{
	int err = link_find_index(ifindex, ret_link);

	if (err && err != -ENODEV) {
		doctor_say(doctor, gate->name, "interface", DOCTOR_SKIPPED, NULL, NULL,
			   "interface number %u cannot be looked at: %s", ifindex, strerror(-err));
		return false;
	}
	if (err) {
		doctor_say(doctor, gate->name, "interface", DOCTOR_FAIL,
			   "the tenant's network is no longer here; sluiced lets it go at its next "
			   "look",
			   doctor_text("%sip link", doctor_inside(gate->netns)),
			   "interface number %u: %s", ifindex, strerror(-err));
		return false;
	}
	if (ret_link->up)
		return true;
	doctor_say(doctor, gate->name, "interface", DOCTOR_FAIL, "no packet comes in",
		   doctor_text("%sip link set dev %s up", doctor_inside(gate->netns),
			       doctor_word(ret_link->name)),
		   "%s is down", ret_link->name);
	return false;
}

static bool look_at_links(struct doctor *doctor, const struct doctor_gate *gate,
			  struct link_info *ret_port, struct link_info *ret_l3)
{
	struct link_info lo;
	bool whole = look_at_link(doctor, gate, gate->key.ifindex, ret_port);

	if (!whole)
		return false;
	*ret_l3 = *ret_port;
	if (gate->l3_ifindex != gate->key.ifindex)
		whole = look_at_link(doctor, gate, gate->l3_ifindex, ret_l3);
	if (whole && !link_find("lo", &lo) && !lo.up) {
		doctor_say(doctor, gate->name, "interface", DOCTOR_FAIL,
			   "the metadata address is routed to it",
			   doctor_text("%sip link set lo up", doctor_inside(gate->netns)),
			   "lo is down");
		whole = false;
	}
	if (whole)
		doctor_say(doctor, gate->name, "interface", DOCTOR_OK, NULL, NULL, "%s is up%s%s",
			   ret_port->name,
			   ret_l3 != ret_port && ret_l3->ifindex != ret_port->ifindex
				   ? ", the address is on "
				   : "",
			   ret_l3->ifindex != ret_port->ifindex ? ret_l3->name : "");
	return whole;
}

static bool look_at_filters(struct doctor *doctor, const struct doctor_gate *gate,
			    const struct link_info *port)
{
	int there = gate_load_attached_tc(doctor->load, gate->key.ifindex);
	struct sl_iface iface;

	if (there < 0) {
		doctor_say(doctor, gate->name, "filters", DOCTOR_SKIPPED, NULL, NULL,
			   "the filters on %s cannot be looked at: %s", port->name,
			   strerror(-there));
		return false;
	}
	if (!there) {
		doctor_say(doctor, gate->name, "filters", DOCTOR_FAIL,
			   "nobody polices or steers packets for the metadata address; sluiced "
			   "puts the filters back at its next look",
			   reload(doctor), "the filters on %s (clsact, ingress) are not in place",
			   port->name);
		return false;
	}
	if (gate_load_iface_get(doctor->load, &gate->key, &iface)) {
		doctor_say(doctor, gate->name, "maps", DOCTOR_FAIL,
			   "the filters take the interface for a stranger's and pass everything on",
			   doctor_text("sluice --instance %s tenant detach %s   # and attach again",
				       doctor_word(doctor->instance), doctor_word(gate->name)),
			   "map ifaces has no entry for %s", port->name);
		return false;
	}
	doctor_say(doctor, gate->name, "filters", DOCTOR_OK, NULL, NULL,
		   "guard and steer are on %s, ingress", port->name);
	return true;
}

static bool look_at_xdp(struct doctor *doctor, const struct doctor_gate *gate,
			const struct link_info *port)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	enum gate_load_xdp mode;
	struct sl_iface iface;
	int ours = gate_load_attached_xdp(doctor->load, &gate->key, &mode);

	if (bpf_xdp_query((int)gate->key.ifindex, 0, &query))
		query.prog_id = query.skb_prog_id = query.drv_prog_id = 0;
	if (gate_load_iface_get(doctor->load, &gate->key, &iface))
		return false;
	if (ours < 0) {
		doctor_say(doctor, gate->name, "xdp", DOCTOR_SKIPPED, NULL, NULL,
			   "XDP on %s cannot be looked at: %s", port->name, strerror(-ours));
		return false;
	}
	if (iface.guard_at == SL_GUARD_AT_XDP && !ours) {
		doctor_say(doctor, gate->name, "xdp", DOCTOR_FAIL,
			   "TC leaves the budgets to XDP, which is not there: floods come through",
			   doctor_text("sluice --instance %s tenant detach %s   # and attach again",
				       doctor_word(doctor->instance), doctor_word(gate->name)),
			   "XDP polices %s, and is not attached", port->name);
		return false;
	}
	if (ours == 1)
		doctor_say(doctor, gate->name, "xdp", DOCTOR_OK, NULL, NULL,
			   "raised on %s (%s): it is under fire, or guard says so", port->name,
			   mode == GATE_LOAD_XDP_NATIVE ? "native" : "generic");
	else if (query.prog_id || query.skb_prog_id || query.drv_prog_id)
		doctor_say(doctor, gate->name, "xdp", DOCTOR_WARN,
			   "XDP cannot be raised against a flood; TC polices on, at a higher price",
			   /* Without its mode, the driver's is meant where there is one. */
			   doctor_text("%sip link set dev %s %s off   # if nobody needs it",
				       doctor_inside(gate->netns), doctor_word(port->name),
				       query.skb_prog_id ? "xdpgeneric" : "xdp"),
			   "another program's XDP (id %u) is on %s",
			   query.prog_id       ? query.prog_id
			   : query.drv_prog_id ? query.drv_prog_id
					       : query.skb_prog_id,
			   port->name);
	else
		doctor_say(doctor, gate->name, "xdp", DOCTOR_OK, NULL, NULL, "lowered, TC polices");
	return true;
}

/* What the namespace does with packets for 169.254.169.254; -1 when it knows no route. */
static int route4_type(void)
{
	static const uint8_t ip4[4] = SL_META_IP4;
	struct nl_addr *to = nl_addr_build(AF_INET, ip4, sizeof(ip4));
	struct nl_sock *sock = netlink_open();
	struct rtnl_route *route = NULL;
	int type = -1;

	if (sock && to && rtnl_route_lookup(sock, to, &route) >= 0 && route)
		type = rtnl_route_get_type(route);
	if (route)
		rtnl_route_put(route);
	if (sock)
		nl_socket_free(sock);
	if (to)
		nl_addr_put(to);
	return type;
}

/* Is fe80::a9fe:a9fe this interface's own? Lines end with the flags and the interface's name. */
static bool has_route6(const char *device)
{
	static const char wanted[] = "fe8000000000000000000000a9fea9fe 80 ";
	FILE *file = fopen("/proc/thread-self/net/ipv6_route", "re");
	char line[256], name[32];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, wanted, sizeof(wanted) - 1) &&
			sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %31s", name) == 1 &&
			!strcmp(name, device);
	if (file)
		fclose(file);
	return found;
}

static bool look_at_routes(struct doctor *doctor, const struct doctor_gate *gate,
			   const struct link_info *l3)
{
	const char *means = "packets that steer assigned are forwarded or dropped instead of "
			    "delivered; sluiced puts the route back at its next look";
	bool whole = route4_type() == RTN_LOCAL, wants6 = gate->ipv6 && !l3->no_ipv6;

	if (!whole)
		doctor_say(doctor, gate->name, "route", DOCTOR_FAIL, means,
			   doctor_text("%sip route add local 169.254.169.254 dev lo proto 169",
				       doctor_inside(gate->netns)),
			   "169.254.169.254 is not local in the namespace");
	if (wants6 && !has_route6(l3->name)) {
		doctor_say(doctor, gate->name, "route", DOCTOR_FAIL, means,
			   doctor_text("%sip -6 route add local fe80::a9fe:a9fe dev %s table local "
				       "proto 169",
				       doctor_inside(gate->netns), doctor_word(l3->name)),
			   "fe80::a9fe:a9fe is not local on %s", l3->name);
		whole = false;
	}
	if (whole)
		doctor_say(doctor, gate->name, "route", DOCTOR_OK, NULL, NULL,
			   "169.254.169.254%s local", wants6 ? " and fe80::a9fe:a9fe are" : " is");
	return whole;
}

/* Worker slots that take connections of one family and port, and those there are. */
static unsigned open_slots(struct doctor *doctor, const struct doctor_gate *gate, uint8_t family,
			   uint16_t port, unsigned *ret_slots)
{
	struct sl_listener_key key = { .netns_cookie = gate->key.netns_cookie,
				       .l3_ifindex = gate->l3_ifindex,
				       .port = htons(port),
				       .family = family };
	struct sl_listener_info info;
	unsigned open = 0, slots = 0;

	for (unsigned worker = 0; worker < SL_WORKERS_MAX; worker++) {
		key.worker = (uint8_t)worker;
		if (gate_load_listener_get(doctor->load, &key, &info))
			continue;
		slots++;
		open += info.worker_pid != 0;
	}
	*ret_slots = slots;
	return open;
}

static bool look_at_listener(struct doctor *doctor, const struct doctor_gate *gate, uint8_t family,
			     uint16_t port)
{
	const char *address = family == 6 ? "[fe80::a9fe:a9fe]" : "169.254.169.254";
	unsigned slots, open = open_slots(doctor, gate, family, port, &slots);
	char holder[256];

	if (!slots ||
	    !listen_holder(family == 6 ? AF_INET6 : AF_INET, port, false, holder, sizeof(holder))) {
		doctor_say(doctor, gate->name, "listener", DOCTOR_FAIL,
			   "VMs get what \"fail\" says: the namespace's own answer, or none",
			   doctor_text("sluice --instance %s tenant detach %s   # and attach again",
				       doctor_word(doctor->instance), doctor_word(gate->name)),
			   "nobody listens on %s:%u", address, port);
		return false;
	}
	if (!open) {
		doctor_say(doctor, gate->name, "slots", DOCTOR_FAIL,
			   "new connections are steered nowhere until a worker serves",
			   doctor_text("sluice --instance %s status   # and sluiced's log: why do "
				       "workers not start?",
				       doctor_word(doctor->instance)),
			   "no worker takes connections of %s:%u", address, port);
		return false;
	}
	if (open < slots)
		doctor_say(doctor, gate->name, "slots", DOCTOR_WARN,
			   "the others take its share; a worker is starting, or keeps dying", NULL,
			   "%u of %u workers take connections of %s:%u", open, slots, address,
			   port);
	return true;
}

static bool look_at_listeners(struct doctor *doctor, const struct doctor_gate *gate, bool ipv6)
{
	bool whole = true;

	for (unsigned i = 0; i < gate->nports; i++) {
		whole &= look_at_listener(doctor, gate, 4, gate->ports[i]);
		if (ipv6)
			whole &= look_at_listener(doctor, gate, 6, gate->ports[i]);
	}
	if (whole)
		doctor_say(doctor, gate->name, "listener", DOCTOR_OK, NULL, NULL,
			   "%u port%s, with workers behind", gate->nports,
			   gate->nports == 1 ? "" : "s");
	return whole;
}

static int read_setting(const char *device, const char *name)
{
	char path[128];
	FILE *file;
	int value = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", device, name);
	file = fopen(path, "re");
	if (file && fscanf(file, "%d", &value) != 1)
		value = 0;
	if (file)
		fclose(file);
	return value;
}

/* Is any address of the interface's subnets told by a route over it? */
static bool has_route_over(uint32_t ifindex)
{
	struct nl_sock *sock = netlink_open();
	struct nl_cache *cache = NULL;
	struct nl_object *object;
	bool found = false;

	if (!sock || rtnl_route_alloc_cache(sock, AF_INET, 0, &cache) < 0)
		cache = NULL;
	for (object = cache ? nl_cache_get_first(cache) : NULL; object && !found;
	     object = nl_cache_get_next(object)) {
		struct rtnl_route *route = (struct rtnl_route *)object;
		struct rtnl_nexthop *hop = rtnl_route_nexthop_n(route, 0);

		found = rtnl_route_get_type(route) == RTN_UNICAST && hop &&
			rtnl_route_nh_get_ifindex(hop) == (int)ifindex;
	}
	if (cache)
		nl_cache_free(cache);
	if (sock)
		nl_socket_free(sock);
	return found;
}

/* Strict reverse path filtering drops VMs' packets when no route leads back to them. */
static bool look_at_rp_filter(struct doctor *doctor, const struct doctor_gate *gate,
			      const struct link_info *l3)
{
	int all = read_setting("all", "rp_filter"), own = read_setting(l3->name, "rp_filter");
	int strict = all > own ? all : own;

	if (strict != 1 || has_route_over(l3->ifindex)) {
		doctor_say(doctor, gate->name, "rp_filter", DOCTOR_OK, NULL, NULL, "%s",
			   strict == 1 ? "strict, and VMs are reached over the same interface"
				       : "not strict");
		return true;
	}
	doctor_say(doctor, gate->name, "rp_filter", DOCTOR_FAIL,
		   "the kernel drops packets of VMs, as no route leads back to them over this "
		   "interface",
		   /* With slashes: in a name, a dot would be one. */
		   doctor_text("%ssysctl -w net/ipv4/conf/%s/rp_filter=2%s",
			       doctor_inside(gate->netns), doctor_word(l3->name),
			       all == 1 ? " net/ipv4/conf/all/rp_filter=2" : ""),
		   "rp_filter is strict on %s, which has no route", l3->name);
	return false;
}

/* Where packets are marked, rules of ours keep tracking and dropping away from them. */
static bool look_at_nftables(struct doctor *doctor, const struct doctor_gate *gate)
{
	char missing[NOTRACK_WHY_MAX] = "";
	struct sl_iface iface;
	int whole;

	if (gate_load_iface_get(doctor->load, &gate->key, &iface) || !iface.mark)
		return true;
	whole = notrack_check(gate->key.ifindex, missing);
	if (whole == -EACCES)
		doctor_say(doctor, gate->name, "nftables", DOCTOR_FAIL,
			   doctor_text("VMs' packets are dropped, and whoever owns that table "
				       "alone can add the rule: meta mark 0x%x accept",
				       SL_MARK),
			   NULL, "not there: %s", missing);
	else if (whole < 0)
		doctor_say(doctor, gate->name, "nftables", DOCTOR_SKIPPED, NULL, NULL,
			   "the ruleset cannot be read: %s", strerror(-whole));
	else if (whole)
		doctor_say(doctor, gate->name, "nftables", DOCTOR_OK, NULL, NULL,
			   "the namespace filters packets; table sluice_%u excepts ours",
			   gate->key.ifindex);
	else
		doctor_say(doctor, gate->name, "nftables", DOCTOR_FAIL,
			   "rules that translate, track or drop meet VMs' packets; sluiced puts "
			   "back what is gone at its next look",
			   reload(doctor), "not there: %s", missing);
	return whole > 0;
}

bool doctor_gate(struct doctor *doctor, const struct doctor_gate *gate)
{
	struct link_info port, l3;
	bool whole = look_at_links(doctor, gate, &port, &l3);

	if (!whole)
		return false;
	whole &= look_at_filters(doctor, gate, &port);
	whole &= look_at_xdp(doctor, gate, &port);
	whole &= look_at_routes(doctor, gate, &l3);
	whole &= look_at_listeners(doctor, gate, gate->ipv6 && !l3.no_ipv6);
	whole &= look_at_rp_filter(doctor, gate, &l3);
	whole &= look_at_nftables(doctor, gate);
	return whole;
}
