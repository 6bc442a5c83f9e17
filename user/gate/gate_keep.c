/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A gate that stands: checked and mended, taken over from an earlier daemon, resized, bound.
 */
#include "gate_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "listen.h"
#include "netns.h"

/* What ARP and neighbour replies say must be what the interface takes for its own. */
static int follow_mac(struct gate *gate, struct gate_load *load, const struct link_info *l3)
{
	struct sl_iface iface;
	int err = gate_load_iface_get(load, &gate->key, &iface);

	if (err || !memcmp(iface.mac, l3->mac, sizeof(iface.mac)))
		return err;
	memcpy(iface.mac, l3->mac, sizeof(iface.mac));
	return gate_load_iface_put(load, &gate->key, &iface);
}

/* One that somebody else's address had brought goes with that address, and is ours from then on. */
static void keep_route(const struct gate *gate, int family, bool *ours)
{
	bool added;

	if (!link_route_add(family, gate->l3_ifindex, &added) && added)
		*ours = true;
}

/* In the tenant's namespace: are they where they were? *now is how it would be attached. */
static int follow_links(const struct gate *gate, const struct gate_spec *spec, struct gate *now,
			struct link_info *ret_l3, char *why)
{
	int err = gate_find_links(now, spec, ret_l3, why);

	if (err == -EILSEQ || (!err && now->key.ifindex != gate->key.ifindex)) {
		if (!err)
			snprintf(why, GATE_WHY_MAX, "another interface is called %s now",
				 gate->interface);
		return -ENODEV;
	}
	/* What could not be seen is not gone: netlink tells EIO of whatever it has no word for. */
	if (err)
		return err == -ENODEV ? err : -EAGAIN;
	/* Listeners on the one that it left reach nobody: there is nothing to be kept. */
	if (now->l3_ifindex != gate->l3_ifindex || strcmp(now->l3_interface, gate->l3_interface)) {
		snprintf(why, GATE_WHY_MAX, "its address belongs on %s now, not on %s",
			 now->l3_interface, gate->l3_interface);
		return -ESTALE;
	}
	return 0;
}

/*
 * In the tenant's namespace: IPv6 takes a gate attached anew. What stands is not let go for an
 * address that could not be had.
 */
static int follow_ipv6(const struct gate *gate, const struct gate *now, struct gate_load *load,
		       const struct gate_spec *spec, char *why)
{
	char claim_why[GATE_WHY_MAX] = "";
	int err;

	if (!now->ipv6 || gate->ipv6)
		return 0;
	err = gate_try_claim(now, load, spec, 6, claim_why);
	if (err)
		snprintf(why, GATE_WHY_MAX, GATE_NO_IPV6 "%.240s", claim_why);
	else
		snprintf(why, GATE_WHY_MAX, "%s has IPv6 now", gate->l3_interface);
	/* The interface went meanwhile: the next look tells. */
	return !err ? -ESTALE : err == -ENODEV ? -EAGAIN : err;
}

static int put_filters_back(const struct gate *gate, struct gate_load *load, char *why)
{
	char *tc_why = NULL;
	int err = gate_load_attached_tc(load, gate->key.ifindex);

	if (err < 0)
		snprintf(why, GATE_WHY_MAX, "its filters cannot be looked at: %s", strerror(-err));
	if (err)
		return err < 0 ? err : 0;
	err = gate_load_attach_tc(load, gate->key.ifindex, NULL, &tc_why);
	if (err)
		snprintf(why, GATE_WHY_MAX, "%s", tc_why ? tc_why : strerror(-err));
	free(tc_why);
	return err;
}

/* In the tenant's namespace: puts back what others took away. */
static int mend(struct gate *gate, struct gate_load *load, const struct gate_spec *spec, char *why)
{
	char rules_why[GATE_WHY_MAX] = "";
	struct gate now = { 0 };
	struct link_info l3;
	int rules_err, err = follow_links(gate, spec, &now, &l3, why);

	if (!err)
		err = follow_mac(gate, load, &l3);
	if (err)
		return err;
	rules_err = gate_fit_filter(gate, load, rules_why);
	keep_route(gate, AF_INET, &gate->route4);
	if (gate->ipv6)
		keep_route(gate, AF_INET6, &gate->route6);
	err = put_filters_back(gate, load, why);
	if (err)
		return err;
	/* Without its rules or filters none can be attached anew; without owned rules it can. */
	if (!rules_err || rules_err == -EACCES)
		err = follow_ipv6(gate, &now, load, spec, why);
	/* Such rules may cut VMs off; want of IPv6 does not. */
	if (!rules_err || err == -ESTALE)
		return err;
	memcpy(why, rules_why, sizeof(rules_why));
	return rules_err;
}

int gate_check(struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
	       char why[GATE_WHY_MAX])
{
	int err, ns = netns_open(spec->netns);
	struct netns_visit visit;
	uint64_t inode;

	why[0] = '\0';
	/* A daemon short of descriptors or memory sees nothing, and nothing is gone. */
	if (ns == -EMFILE || ns == -ENFILE || ns == -ENOMEM)
		return ns;
	inode = ns < 0 ? 0 : netns_inode_of(ns);
	if (ns >= 0)
		close(ns);
	if (!inode || inode != gate->netns_inode) {
		snprintf(why, GATE_WHY_MAX, "its namespace is gone");
		return -ENOENT;
	}
	err = gate_enter(gate, &visit);
	if (!err) {
		err = mend(gate, load, spec, why);
		netns_leave(&visit);
	}
	if (err && !why[0])
		snprintf(why, GATE_WHY_MAX, "%s", strerror(-err));
	return err;
}

/*
 * In the tenant's namespace. Listeners of a daemon that opened them as root's, or for workers of
 * another user, let strangers of that user join: they become ours.
 */
static int own_listeners(struct gate *gate, struct gate_load *load, const struct gate_spec *spec)
{
	bool changed = false;
	int err = 0;

	for (unsigned i = 0; !err && i < gate->nlisteners; i++) {
		struct gate_listener *listener = &gate->listeners[i];

		if (listener->fd < 0 || listen_is_owned(listener->fd, spec->owner))
			continue;
		err = listen_own(listener->fd, spec->owner);
		changed = true;
	}
	for (unsigned i = 0; !err && changed && i < gate->nlisteners; i++) {
		struct gate_listener *listener = &gate->listeners[i];

		/* Where there is a second one, there is a group. */
		if (listener->worker == 1) {
			struct listen_spec listen = gate_listen_spec(gate, load, spec, listener);

			err = listen_renew(&listen);
		}
	}
	return err;
}

/* In the tenant's namespace. The group's first member claimed the address; others join it. */
static int fill_listeners(struct gate *gate, struct gate_load *load, const struct gate_spec *spec)
{
	bool lone = gate_is_lone(gate);
	int err = 0;

	for (unsigned i = 0; !err && i < gate->nlisteners; i++) {
		struct gate_listener *listener = &gate->listeners[i];

		if (listener->fd < 0)
			err = gate_open_one(gate, load, spec, listener, false);
		if (!err)
			err = gate_put_listener(gate, load, listener, lone);
	}
	return err;
}

/* In the tenant's namespace, whose defaults count. */
static int set_options(const struct gate *gate, const struct gate_spec *spec)
{
	char standard[LISTEN_CONGESTION_MAX];
	const char *congestion = spec->congestion;
	int err = 0;

	if (!congestion && listen_default_congestion(standard))
		congestion = standard;
	for (unsigned i = 0; !err && i < gate->nlisteners; i++) {
		const struct gate_listener *listener = &gate->listeners[i];

		if (congestion)
			listen_set_congestion(listener->fd, congestion);
		err = listen_set_hop_limit(listener->fd, listener->family == 6 ? AF_INET6 : AF_INET,
					   spec->hop_limit);
	}
	return err;
}

/* Applies what may change while attached: fail policy, budgets, hop limit, congestion control. */
static int update(struct gate *gate, struct gate_load *load, const struct gate_spec *spec)
{
	struct netns_visit visit;
	struct sl_iface iface;
	int err = gate_load_iface_get(load, &gate->key, &iface);

	if (err)
		return err;
	gate_set_policy(&iface, spec);
	iface.nworkers = (uint8_t)spec->nworkers;
	err = gate_load_iface_put(load, &gate->key, &iface);
	if (!err)
		err = gate_enter(gate, &visit);
	if (err)
		return err;
	err = set_options(gate, spec);
	netns_leave(&visit);
	return err;
}

int gate_adopt(struct gate *gate, struct gate_load *load, const struct gate_spec *spec)
{
	struct netns_visit visit;
	struct sl_iface iface;
	uint64_t cookie;
	int err = gate_load_iface_get(load, &gate->key, &iface);

	if (!err)
		err = gate_enter(gate, &visit);
	if (err)
		return err;
	gate->notrack.needed = iface.mark; /* what is opened now is as what there is */
	err = netns_cookie(&cookie);
	if (!err && cookie != gate->key.netns_cookie)
		err = -ESTALE;
	if (!err)
		err = own_listeners(gate, load, spec);
	if (!err)
		err = fill_listeners(gate, load, spec);
	if (!err)
		err = gate_load_attach_tc(load, gate->key.ifindex, NULL, NULL);
	netns_leave(&visit);
	return err ? err : update(gate, load, spec);
}

/* A listener that was alone is the first of a group since another one joined; it serves on. */
static int put_first(const struct gate *gate, struct gate_load *load,
		     const struct gate_listener *listener)
{
	struct sl_listener_key key = gate_listener_key(gate, listener);
	struct sl_listener_info info;
	int err = gate_load_listener_get(load, &key, &info);

	return err ? err : gate_load_listener_put(load, &key, listener->fd, &info, false);
}

static int grow(struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
		unsigned had)
{
	unsigned groups = gate->nlisteners / had, count = gate->nlisteners;
	struct gate_listener *grown =
		reallocarray(gate->listeners, (size_t)groups * spec->nworkers, sizeof(*grown));
	struct netns_visit visit;
	int err;

	if (!grown)
		return -ENOMEM;
	gate->listeners = grown;
	err = gate_enter(gate, &visit);
	if (err)
		return err;
	/* A reload may bring other workers' user along. */
	err = own_listeners(gate, load, spec);
	for (unsigned i = 0; !err && i < count; i++) {
		if (grown[i].worker != 0)
			continue;
		if (had == 1)
			err = listen_share(grown[i].fd);
		for (unsigned w = had; !err && w < spec->nworkers; w++) {
			struct gate_listener listener = {
				.family = grown[i].family,
				.worker = (uint8_t)w,
				.port = grown[i].port,
			};

			err = gate_open_one(gate, load, spec, &listener, false);
			if (err)
				break;
			if (w == 1)
				err = put_first(gate, load, &grown[i]);
			grown[gate->nlisteners++] = listener;
			if (!err)
				err = gate_put_listener(gate, load, &grown[gate->nlisteners - 1],
							false);
		}
	}
	netns_leave(&visit);
	return err;
}

static void shrink(struct gate *gate, struct gate_load *load, unsigned nworkers)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < gate->nlisteners; i++) {
		struct gate_listener *listener = &gate->listeners[i];
		struct sl_listener_key key = gate_listener_key(gate, listener);

		if (listener->worker < nworkers) {
			gate->listeners[kept++] = *listener;
			continue;
		}
		gate_load_listener_del(load, &key);
		gate_close_listener(listener);
	}
	gate->nlisteners = kept;
}

int gate_resize(struct gate *gate, struct gate_load *load, const struct gate_spec *spec)
{
	unsigned had = 0;
	int err = 0;

	for (unsigned i = 0; i < gate->nlisteners; i++)
		if (gate->listeners[i].worker >= had)
			had = gate->listeners[i].worker + 1u;
	if (spec->nworkers > had)
		err = grow(gate, load, spec, had);
	/* Also what a growth that failed has made: all groups have the same members. */
	if (err || spec->nworkers < had)
		shrink(gate, load, err ? had : spec->nworkers);
	return err ? err : update(gate, load, spec);
}

int gate_raise_xdp(struct gate *gate, struct gate_load *load, enum gate_load_xdp mode,
		   char **ret_why)
{
	struct netns_visit visit;
	int err = gate_enter(gate, &visit);

	if (err)
		return err;
	err = gate_load_attach_xdp(load, &gate->key, mode, ret_why);
	netns_leave(&visit);
	return err;
}

void gate_publish_worker(const struct gate *gate, struct gate_load *load, unsigned worker,
			 uint32_t pid)
{
	for (unsigned i = 0; i < gate->nlisteners; i++) {
		const struct gate_listener *listener = &gate->listeners[i];
		struct sl_listener_key key = gate_listener_key(gate, listener);
		struct sl_listener_info info = {
			.socket_cookie = listener->cookie,
			.tenant = gate->tenant,
			.worker_pid = pid,
		};

		if (listener->worker == worker)
			gate_load_listener_put(load, &key, -1, &info, false);
	}
}

int gate_bind(struct gate *gate, struct gate_load *load, bool bound)
{
	int err = bound ? 0 : gate_load_iface_set_bound(load, &gate->key, false);

	for (unsigned i = 0; !err && i < gate->nlisteners; i++)
		if (gate->listeners[i].fd >= 0)
			err = listen_save_syn(gate->listeners[i].fd, bound);
	return err || !bound ? err : gate_load_iface_set_bound(load, &gate->key, true);
}
