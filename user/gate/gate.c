/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attach and detach of one gate. The TC filters come last and go first: until the listeners,
 * entries and routes stand, packets take the way they took before.
 */
#include "gate_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "listen.h"
#include "netns.h"

struct sl_listener_key gate_listener_key(const struct gate *gate,
					 const struct gate_listener *listener)
{
	return (struct sl_listener_key){
		.netns_cookie = gate->key.netns_cookie,
		.l3_ifindex = gate->l3_ifindex,
		.port = htons(listener->port),
		.family = listener->family,
		.worker = listener->worker,
	};
}

struct listen_spec gate_listen_spec(const struct gate *gate, struct gate_load *load,
				    const struct gate_spec *spec,
				    const struct gate_listener *listener)
{
	return (struct listen_spec){
		.family = listener->family == 6 ? AF_INET6 : AF_INET,
		.port = listener->port,
		.device = gate->l3_interface,
		.ifindex = gate->l3_ifindex,
		.hop_limit = spec->hop_limit,
		.congestion = spec->congestion,
		.save_syn = spec->bound,
		/* A group takes 2 KiB; gate_resize() makes one of a single listener. */
		.group = gate_load_features(load)->reuseport_assign && spec->nworkers > 1,
		.owner = spec->owner,
		.mark = gate->notrack.needed ? SL_MARK : 0,
	};
}

int gate_open_one(const struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
		  struct gate_listener *listener, bool claim)
{
	struct listen_spec listen = gate_listen_spec(gate, load, spec, listener);
	int fd = listen_open(&listen, claim);

	if (fd < 0)
		return fd;
	listener->fd = fd;
	return 0;
}

static int open_or_say(const struct gate *gate, struct gate_load *load,
		       const struct gate_spec *spec, struct gate_listener *listener, bool claim,
		       char *why)
{
	int family = listener->family == 6 ? AF_INET6 : AF_INET;
	int err = gate_open_one(gate, load, spec, listener, claim);

	if (err && (err != -EADDRINUSE ||
		    !listen_holder(family, listener->port, spec->blame, why, GATE_WHY_MAX)))
		snprintf(why, GATE_WHY_MAX, "cannot listen on port %u of %s: %s", listener->port,
			 gate->l3_interface, strerror(-err));
	return err;
}

int gate_try_claim(const struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
		   uint8_t family, char *why)
{
	int err = 0;

	for (unsigned i = 0; !err && i < spec->nports; i++) {
		struct gate_listener listener = { -1, family, 0, spec->ports[i], 0 };

		err = open_or_say(gate, load, spec, &listener, true, why);
		gate_close_listener(&listener);
	}
	return err;
}

static int open_listeners(struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
			  char *why)
{
	unsigned families = gate->ipv6 ? 2 : 1;

	gate->listeners =
		calloc((size_t)families * spec->nports * spec->nworkers, sizeof(*gate->listeners));
	if (!gate->listeners)
		return -ENOMEM;
	for (unsigned i = 0; i < families * spec->nports * spec->nworkers; i++) {
		struct gate_listener listener = {
			.family = i / (spec->nports * spec->nworkers) ? 6 : 4,
			.worker = (uint8_t)(i % spec->nworkers),
			.port = spec->ports[i / spec->nworkers % spec->nports],
		};
		int err = open_or_say(gate, load, spec, &listener, listener.worker == 0, why);

		if (err)
			return err;
		gate->listeners[gate->nlisteners++] = listener;
	}
	return 0;
}

/* The coarse clock may stand still for 10 ms: a burst has to last longer than that. */
static bool is_brief(uint32_t rate, uint32_t burst)
{
	return burst < rate / 20;
}

void gate_set_policy(struct sl_iface *iface, const struct gate_spec *spec)
{
	iface->fail_policy = (uint8_t)spec->fail;
	iface->iface_rate = spec->iface_rate;
	iface->iface_burst = spec->iface_burst;
	iface->iface_syn_rate = spec->iface_syn_rate;
	iface->iface_syn_burst = spec->iface_syn_burst;
	iface->source_rate = spec->source_rate;
	iface->source_burst = spec->source_burst;
	iface->syn_rate = spec->syn_rate;
	iface->syn_burst = spec->syn_burst;
	iface->fine_clock = is_brief(spec->iface_rate, spec->iface_burst) ||
			    is_brief(spec->iface_syn_rate, spec->iface_syn_burst) ||
			    is_brief(spec->source_rate, spec->source_burst) ||
			    is_brief(spec->syn_rate, spec->syn_burst);
}

bool gate_is_lone(const struct gate *gate)
{
	for (unsigned i = 0; i < gate->nlisteners; i++)
		if (gate->listeners[i].worker)
			return false;
	return gate->key.ifindex == gate->l3_ifindex;
}

int gate_put_listener(const struct gate *gate, struct gate_load *load,
		      struct gate_listener *listener, bool lone)
{
	struct sl_listener_key key = gate_listener_key(gate, listener);
	struct sl_listener_info info = { .tenant = gate->tenant };
	socklen_t len = sizeof(listener->cookie);

	if (getsockopt(listener->fd, SOL_SOCKET, SO_COOKIE, &listener->cookie, &len))
		return -errno;
	info.socket_cookie = listener->cookie;
	return gate_load_listener_put(load, &key, listener->fd, &info, lone);
}

static int put_maps(struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
		    const struct link_info *l3)
{
	struct sl_tenant tenant = {
		.netns_cookie = gate->key.netns_cookie,
		.ifindex = gate->key.ifindex,
		.l3_ifindex = gate->l3_ifindex,
	};
	struct sl_iface iface = {
		.tenant = spec->tenant,
		.l3_ifindex = gate->l3_ifindex,
		.nports = (uint8_t)spec->nports,
		.nworkers = (uint8_t)spec->nworkers,
		.guard_at = SL_GUARD_AT_TC,
		.bound = spec->bound,
	};
	bool lone = gate_is_lone(gate);
	int err;

	gate_set_policy(&iface, spec);
	snprintf(tenant.name, sizeof(tenant.name), "%s", spec->name);
	memcpy(iface.mac, l3->mac, sizeof(iface.mac));
	for (unsigned i = 0; i < spec->nports; i++)
		iface.ports[i] = htons(spec->ports[i]);
	err = gate_load_tenant_put(load, spec->tenant, &tenant);
	for (unsigned i = 0; !err && i < gate->nlisteners; i++)
		err = gate_put_listener(gate, load, &gate->listeners[i], lone);
	return err ? err : gate_load_iface_put(load, &gate->key, &iface);
}

static void del_maps(struct gate *gate, struct gate_load *load)
{
	gate_load_iface_del(load, &gate->key);
	for (unsigned i = 0; i < gate->nlisteners; i++) {
		struct sl_listener_key key = gate_listener_key(gate, &gate->listeners[i]);

		gate_load_listener_del(load, &key);
	}
	gate_load_tenant_del(load, gate->tenant);
}

/* The kernel takes no route over an interface that is down; an event tells when it comes up. */
static int add_routes(struct gate *gate, const struct link_info *l3, char *why)
{
	struct link_info lo;
	int err = link_route_add(AF_INET, gate->l3_ifindex, &gate->route4);

	if (!err && gate->ipv6 && l3->up)
		err = link_route_add(AF_INET6, gate->l3_ifindex, &gate->route6);
	else if (!err && gate->ipv6)
		gate->route6 = true; /* mend() adds it */
	if (err && !link_find("lo", &lo) && !lo.up)
		snprintf(why, GATE_WHY_MAX, "lo is down in the namespace; set it up");
	else if (err)
		snprintf(why, GATE_WHY_MAX,
			 "cannot add the local route of the metadata address: %s", strerror(-err));
	return err;
}

static void remove_routes(struct gate *gate)
{
	if (gate->route4)
		link_route_remove(AF_INET, gate->l3_ifindex);
	if (gate->route6)
		link_route_remove(AF_INET6, gate->l3_ifindex);
	gate->route4 = gate->route6 = false;
}

void gate_close_listener(struct gate_listener *listener)
{
	if (listener->fd < 0)
		return;
	/* A worker may hold a copy; after shutdown it keeps nobody from listening here. */
	shutdown(listener->fd, SHUT_RDWR);
	close(listener->fd);
}

static void close_listeners(struct gate *gate)
{
	for (unsigned i = 0; i < gate->nlisteners; i++)
		gate_close_listener(&gate->listeners[i]);
	free(gate->listeners);
	gate->listeners = NULL;
	gate->nlisteners = 0;
}

int gate_fit_filter(struct gate *gate, struct gate_load *load, char *why)
{
	struct sl_iface iface;
	int err = notrack_update(&gate->notrack, gate->key.ifindex, why), closed = 0;
	bool needed = gate->notrack.needed;

	/* What could be done is done. */
	if (err == -EACCES) {
		closed = err;
		err = 0;
	}
	if (!err)
		err = gate_load_iface_get(load, &gate->key, &iface);
	if (err || iface.mark == needed)
		return err ? err : closed;
	for (unsigned i = 0; !err && i < gate->nlisteners; i++)
		if (gate->listeners[i].fd >= 0)
			err = listen_set_mark(gate->listeners[i].fd, needed ? SL_MARK : 0);
	iface.mark = needed;
	if (!err)
		err = gate_load_iface_put(load, &gate->key, &iface);
	return err ? err : closed;
}

struct tenant_search {
	uint32_t id;
	struct sl_tenant tenant;
};

static int find_tenant(uint32_t id, const struct sl_tenant *tenant, void *arg)
{
	struct tenant_search *search = arg;

	if (id == search->id)
		search->tenant = *tenant;
	return 0;
}

/* One address is one tenant's: another port of the same bridge would have to share its listeners.
 */
static bool has_neighbour(const struct gate *gate, struct gate_load *load,
			  const struct gate_spec *spec, char *why)
{
	struct gate_listener listener = { .family = 4 };
	struct tenant_search search = { 0 };
	struct sl_listener_info info;
	struct sl_listener_key key;
	struct sl_iface_key other;
	struct sl_iface iface;

	for (unsigned i = 0; i < spec->nports && !search.id; i++) {
		listener.port = spec->ports[i];
		key = gate_listener_key(gate, &listener);
		if (!gate_load_listener_get(load, &key, &info))
			search.id = info.tenant;
	}
	if (!search.id || gate_load_tenant_each(load, find_tenant, &search))
		return false;
	other.netns_cookie = search.tenant.netns_cookie;
	other.ifindex = search.tenant.ifindex;
	/* Entries that a crash left are nobody's. */
	if (gate_load_iface_get(load, &other, &iface) || iface.tenant != search.id)
		return false;
	snprintf(why, GATE_WHY_MAX,
		 "%s has the address of tenant %.*s already; to serve more than one of its ports, "
		 "detach that tenant and attach %s itself",
		 gate->l3_interface, (int)sizeof(search.tenant.name) - 1, search.tenant.name,
		 gate->l3_interface);
	return true;
}

/* In the tenant's namespace. */
static int build(struct gate *gate, struct gate_load *load, const struct gate_spec *spec, char *why)
{
	struct link_info l3;
	struct sl_iface taken;
	char *tc_why = NULL;
	uint64_t cookie;
	int err = netns_cookie(&cookie);

	if (err)
		return err;
	if (spec->cookie && cookie != spec->cookie) {
		snprintf(why, GATE_WHY_MAX, "%s is another process than it was", spec->netns);
		return -ESRCH;
	}
	gate->key.netns_cookie = cookie;
	err = gate_find_links(gate, spec, &l3, why);
	if (err)
		return err;
	if (!gate_load_iface_get(load, &gate->key, &taken)) {
		snprintf(why, GATE_WHY_MAX,
			 "interface %s is attached already, for tenant number %u", gate->interface,
			 taken.tenant);
		return -EBUSY;
	}
	if (has_neighbour(gate, load, spec, why))
		return -EBUSY;
	err = open_listeners(gate, load, spec, why);
	if (err)
		goto undo_listeners;
	err = put_maps(gate, load, spec, &l3);
	if (err) {
		snprintf(why, GATE_WHY_MAX, "cannot write the BPF maps: %s", strerror(-err));
		goto undo_maps;
	}
	err = gate_fit_filter(gate, load, why);
	/* Looks tell of it from then on. */
	if (!err || err == -EACCES)
		err = add_routes(gate, &l3, why);
	if (err)
		goto undo_routes;
	err = gate_load_attach_tc(load, gate->key.ifindex, NULL, &tc_why);
	if (!err)
		return 0;
	snprintf(why, GATE_WHY_MAX, "%s", tc_why ? tc_why : strerror(-err));
	free(tc_why);
undo_routes:
	remove_routes(gate);
	if (gate->notrack.needed)
		notrack_remove(&gate->notrack, gate->key.ifindex);
undo_maps:
	del_maps(gate, load);
undo_listeners:
	close_listeners(gate);
	return err;
}

int gate_attach(struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
		char why[GATE_WHY_MAX])
{
	struct gate new = { .tenant = spec->tenant };
	struct netns_visit visit;
	int ns = netns_open(spec->netns);
	int err;

	why[0] = '\0';
	if (ns < 0) {
		snprintf(why, GATE_WHY_MAX,
			 ns == -ENOENT ? "there is no namespace %s" : "namespace %s: %s",
			 spec->netns, ns == -EINVAL ? "not a network namespace" : strerror(-ns));
		return ns;
	}
	new.netns_inode = netns_inode_of(ns);
	err = netns_enter(&visit, ns);
	close(ns);
	if (err) {
		snprintf(why, GATE_WHY_MAX, "cannot enter namespace %s: %s", spec->netns,
			 strerror(-err));
		return err;
	}
	err = build(&new, load, spec, why);
	netns_leave(&visit);
	if (err) {
		if (!why[0])
			snprintf(why, GATE_WHY_MAX, "%s", strerror(-err));
		return err;
	}
	new.attached = true;
	*gate = new;
	return 0;
}

int gate_enter(const struct gate *gate, struct netns_visit *visit)
{
	int sock = -1, ns, err;

	for (unsigned i = 0; sock < 0 && i < gate->nlisteners; i++)
		sock = gate->listeners[i].fd;
	if (sock < 0)
		return -ENOENT;
	ns = netns_open_of_socket(sock);
	if (ns < 0)
		return ns;
	err = netns_enter(visit, ns);
	close(ns);
	return err;
}

void gate_detach(struct gate *gate, struct gate_load *load, struct gate *heir4, struct gate *heir6)
{
	struct netns_visit visit;

	if (!gate->attached)
		return;
	gate_load_detach_xdp(load, &gate->key);
	if (heir4 && gate->route4) {
		heir4->route4 = true;
		gate->route4 = false;
	}
	if (heir6 && gate->route6) {
		heir6->route6 = true;
		gate->route6 = false;
	}
	if (!gate_enter(gate, &visit)) {
		gate_load_detach_tc(load, gate->key.ifindex);
		remove_routes(gate);
		if (gate->notrack.needed)
			notrack_remove(&gate->notrack, gate->key.ifindex);
		netns_leave(&visit);
	}
	del_maps(gate, load);
	close_listeners(gate);
	gate->attached = false;
}
