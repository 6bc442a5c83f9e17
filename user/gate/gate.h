/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One gate: sluice's presence in a tenant gateway's namespace. Attaching makes the
 * listeners, map entries, routes and TC filters of one tenant interface in an order in
 * which no packet meets half of it; detaching takes away exactly what was added.
 * Built from netns, link, listen and load; who is served and when is sluiced's business.
 */
#ifndef SLUICE_GATE_GATE_H
#define SLUICE_GATE_GATE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/abi.h"
#include "load.h"
#include "notrack.h"
#include "relics.h"

#define GATE_WHY_MAX 256
#define GATE_NO_IPV6 "no IPv6: " /* begins the reason of a gate that stands for IPv4 alone */

struct gate_spec {
	const char *name;  /* the tenant's */
	uint32_t tenant;   /* its id */
	const char *netns; /* as netns_open() takes it */
	uint64_t cookie;   /* the only namespace that netns may mean; 0: any */
	const char *interface;
	const char *l3_interface; /* NULL: the bridge of a bridge port, else interface itself */
	uint16_t ports[SL_PORTS_MAX];
	unsigned nports;
	bool ipv6;
	uint32_t hop_limit;
	const char *congestion; /* used while listeners are opened; NULL: the system's */
	unsigned nworkers;	/* listeners per family and port */
	uid_t owner;		/* of the listeners: who may join their groups */
	bool blame;		/* name the process that holds the address, which takes time */
	bool bound;		/* port bindings: only who is in map "bindings" gets in */
	enum sl_fail_policy fail;
	uint32_t iface_rate, iface_burst, iface_syn_rate, iface_syn_burst;
	uint32_t source_rate, source_burst, syn_rate, syn_burst;
};

struct gate_listener {
	int fd;
	uint8_t family; /* 4 or 6 */
	uint8_t worker;
	uint16_t port; /* host order */
	uint64_t cookie;
};

struct gate {
	bool attached;
	uint32_t tenant;
	struct sl_iface_key key;
	uint32_t l3_ifindex;
	uint64_t netns_inode;
	char interface[IFNAMSIZ], l3_interface[IFNAMSIZ];
	char kind[IFNAMSIZ]; /* of interface, as netlink names it */
	bool ipv6;
	bool route4, route6; /* added by us */
	struct notrack notrack;
	struct gate_listener *listeners;
	unsigned nlisteners;
};

/*
 * Attaches. On failure everything is undone, *gate stays as it was, why says what is in
 * the way, and the result is
 *   -EADDRINUSE  somebody else serves the address (state "conflict")
 *   -EBUSY       TC or the interface is taken by somebody else, or another gate has its address
 *   -ENODEV      no such interface;  -ENOENT, -EINVAL, -ESRCH  no such namespace, or another
 * or another -errno. *gate must be zeroed or detached before.
 */
int gate_attach(struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
		char why[GATE_WHY_MAX]);
/*
 * Detaches; what is gone already (interface, namespace) is no error. Routes are shared: another
 * attached gate of the namespace (heir4) or of the L3 interface (heir6), NULL for none, takes
 * over the duty to remove one. The listeners stop listening at once, whoever else holds them.
 */
void gate_detach(struct gate *gate, struct gate_load *load, struct gate *heir4, struct gate *heir6);
/*
 * Takes over a gate that another daemon attached, of which *gate says all but some listeners:
 * those with fd -1 were lost with their holders and are made anew. Programs and maps become this
 * program's. On failure -errno, and the caller detaches it.
 */
int gate_adopt(struct gate *gate, struct gate_load *load, const struct gate_spec *spec);
/*
 * Brings the number of listeners per family and port to nworkers: new ones can take connections
 * at once; surplus ones must have been taken out of their slots before, as what waits in their
 * accept queues is reset. Also applies what else may change while attached: fail policy, budgets,
 * hop limit. 0 or -errno.
 */
int gate_resize(struct gate *gate, struct gate_load *load, const struct gate_spec *spec);
/*
 * Turns enforcement of port bindings on or off, and with it that listeners keep the MAC of who
 * connects. Which bindings there are is the caller's (gate_load_binding_put()): on an interface
 * that is bound, without any nobody gets in.
 */
int gate_bind(struct gate *gate, struct gate_load *load, bool bound);
/* Notes in the readable map which process serves a worker slot; 0 for none. */
void gate_publish_worker(const struct gate *gate, struct gate_load *load, unsigned worker,
			 uint32_t pid);

/*
 * Looks whether the gate still stands as spec wants it. Puts back routes that an interface going
 * down took away, filters whose qdisc somebody replaced, and follows a changed MAC. 0, or with why
 *   -ENOENT  the namespace has no longer the name it had: let it go
 *   -ENODEV  the interface is gone, or another one has its name: let it go
 *   -EBUSY   somebody else's filters are in the place of ours, and nobody polices: let it go
 *   -ESTALE  its address belongs on another interface now, or IPv6 came and its address can be
 *            had: attach it anew
 *   -EADDRINUSE  IPv6 came, and somebody else serves its address: it stands without
 *   -EAGAIN, -EMFILE, -ENFILE, -ENOMEM  nothing could be seen
 * or another -errno: it stands, and something that it needs could not be put back.
 */
int gate_check(struct gate *gate, struct gate_load *load, const struct gate_spec *spec,
	       char why[GATE_WHY_MAX]);

/* XDP for the gate's interface; as gate_load_attach_xdp(), but from any namespace. */
int gate_raise_xdp(struct gate *gate, struct gate_load *load, enum gate_load_xdp mode,
		   char **ret_why);

/*
 * Removes what an earlier daemon of this instance left in the maps and in every namespace
 * that can be found by name or by process: filters, routes, XDP links, entries. Interfaces for
 * which keep() says so stay. relics are interfaces of which the maps do not tell. Returns how many
 * interfaces were cleaned, or -errno.
 */
int gate_clean_stale(struct gate_load *load, const struct relics *relics,
		     bool (*keep)(const struct sl_iface_key *key, void *arg), void *arg);

#endif
