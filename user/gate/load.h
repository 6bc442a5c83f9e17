/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF half of a gate as user space sees it: programs and maps of one
 * instance, loaded once, pinned under /sys/fs/bpf/sluice/INSTANCE/ and attached
 * to many interfaces. load.c alone sees the skeleton; everybody else goes
 * through here, with the structs of bpf/abi.h.
 *
 * Pins:  maps/NAME  progs/NAME  links/xdp-{native,generic}-COOKIE-IFINDEX
 *
 * Unless said otherwise a function returns 0 or -errno and leaves its outputs
 * alone on failure. Nothing here logs. One struct gate_load is used by one thread.
 */
#ifndef SLUICE_GATE_LOAD_H
#define SLUICE_GATE_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi.h"

struct gate_load;

/* 0 takes the default in brackets. Sizes are ignored where a pinned map is re-used. */
struct gate_load_settings {
	uint32_t interfaces; /* tenant interfaces at most [4096] */
	uint32_t listeners;  /* per interface: ports x families x workers [32] */
	uint32_t sources;    /* source addresses with a budget at a time [65536] */
	uint32_t bindings;   /* addresses and MACs of port bindings [65536] */
};

/* What the kernel offers. X(field, text) */
#define GATE_LOAD_FEATURES(X)                                                                      \
	X(kernel_floor, "kernel 6.1 or newer")                                                     \
	X(reuseport_assign, "one listener per worker (bpf_sk_assign to SO_REUSEPORT, 6.6)")        \
	X(xdp_frags, "XDP guard accepts multi-buffer packets")                                     \
	X(xdp_links, "XDP attached by pinned links")                                               \
	X(map_batch, "counters of all interfaces read in one call")

struct gate_load_features {
	unsigned kernel_major, kernel_minor;
#define X(field, text) bool field;
	GATE_LOAD_FEATURES(X)
#undef X
};

/*
 * Mounts bpffs at /sys/fs/bpf if nothing is mounted there, loads the programs and pins them.
 * Maps an earlier daemon of this instance left are re-used, with their content; programs are
 * always this binary's: gate_load_attach_*() swaps them in where older ones are attached.
 * Pinned maps of another layout are refused (-EPROTO), a kernel below the floor too (-ENOSYS).
 * On failure *ret_why is a malloc'd sentence for the operator; it may be NULL when memory is out.
 * instance: letters, digits, '-' and '_', at most 32 (bpffs takes no dots).
 * settings may be NULL. Needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON (and CAP_SYS_ADMIN to mount).
 */
int gate_load_open(const char *instance, const struct gate_load_settings *settings,
		   struct gate_load **ret, char **ret_why);
/*
 * For somebody who only looks: opens the pins of an instance and changes nothing. The functions
 * that read maps and look at interfaces work, others do not. -ENOENT: there are no pins; -EPROTO:
 * their layout is another one.
 */
int gate_load_inspect(const char *instance, struct gate_load **ret, char **ret_why);
bool gate_load_bpffs_mounted(void);
/* Lets go of everything in this process; pins and what is attached stay. NULL is fine. */
void gate_load_close(struct gate_load *load);
/*
 * Removes all pins of the instance: XDP links are detached by that. TC filters are not: call
 * gate_load_detach_tc() in each namespace first. The struct stays to be closed.
 */
int gate_load_unpin(struct gate_load *load);

const struct gate_load_features *gate_load_features(const struct gate_load *load);
/* "/sys/fs/bpf/sluice/INSTANCE"; lives as long as load. */
const char *gate_load_pin_dir(const struct gate_load *load);

/*
 * Map "ifaces", with the verdict entry that belongs to an interface: put creates it if it is
 * missing, keeps what was counted and charged, and works out what follows from rates and number
 * of ports; del removes them together.
 */
int gate_load_iface_put(struct gate_load *load, const struct sl_iface_key *key,
			const struct sl_iface *iface);
int gate_load_iface_get(struct gate_load *load, const struct sl_iface_key *key,
			struct sl_iface *ret);
/* Not there is no error. */
int gate_load_iface_del(struct gate_load *load, const struct sl_iface_key *key);
/* Changes who polices (enum sl_guard_at) and nothing else. -ENOENT: no such interface. */
int gate_load_iface_set_guard_at(struct gate_load *load, const struct sl_iface_key *key,
				 enum sl_guard_at guard_at);
/* Whether sources must be in map "bindings"; changes nothing else. -ENOENT: no such interface. */
int gate_load_iface_set_bound(struct gate_load *load, const struct sl_iface_key *key, bool bound);
/* Calls fn for every interface until it returns non-zero, which is returned. */
int gate_load_iface_each(struct gate_load *load,
			 int (*fn)(const struct sl_iface_key *key, const struct sl_iface *iface,
				   void *arg),
			 void *arg);

/* Map "bindings". -E2BIG: it is full. Deleting what is not there is no error. */
int gate_load_binding_put(struct gate_load *load, const struct sl_binding_key *key,
			  const struct sl_binding *binding);
int gate_load_binding_get(struct gate_load *load, const struct sl_binding_key *key,
			  struct sl_binding *ret);
int gate_load_binding_del(struct gate_load *load, const struct sl_binding_key *key);
/* Removes every entry for which keep() says no; returns how many, or -errno. */
int gate_load_binding_sweep(struct gate_load *load,
			    bool (*keep)(const struct sl_binding_key *key,
					 const struct sl_binding *binding, void *arg),
			    void *arg);

/*
 * Puts a listening socket into a slot (maps "listeners" and "listener_info"), replacing what is
 * there. The maps hold no reference that keeps the socket open: it leaves "listeners" by itself
 * when its last fd is closed. The slot takes new connections from then on (map "slots").
 * fd -1 leaves "listeners" alone: it renews the readable twin, and the slot takes new connections
 * when info->worker_pid is not 0 and none while it is (other slots get them).
 * Listening SO_REUSEPORT sockets also get the program that picks the slot, or the kernel would
 * choose within their group by itself. info->socket_cookie is filled in here when it is 0 and fd is
 * given.
 * lone: it is in no group, and bound to the interface that has the programs. Then the stack's own
 * look-up finds it, and "listeners" is spared: being in a SOCKHASH costs a socket 1 KiB.
 */
int gate_load_listener_put(struct gate_load *load, const struct sl_listener_key *key, int fd,
			   const struct sl_listener_info *info, bool lone);
int gate_load_listener_get(struct gate_load *load, const struct sl_listener_key *key,
			   struct sl_listener_info *ret);
/* Empties a slot in both maps; not there is no error. */
int gate_load_listener_del(struct gate_load *load, const struct sl_listener_key *key);
/* Empties every slot of a namespace and L3 interface; returns how many there were, or -errno. */
int gate_load_listener_del_all(struct gate_load *load, uint64_t netns_cookie, uint32_t l3_ifindex);

/* Map "tenants". */
int gate_load_tenant_put(struct gate_load *load, uint32_t id, const struct sl_tenant *tenant);
/* Removes the tenant's name and relay counters; not there is no error. */
int gate_load_tenant_del(struct gate_load *load, uint32_t id);
int gate_load_tenant_each(struct gate_load *load,
			  int (*fn)(uint32_t id, const struct sl_tenant *tenant, void *arg),
			  void *arg);

/* Map "relay": published counters of a tenant. */
int gate_load_relay_put(struct gate_load *load, uint32_t tenant, const struct sl_relay *relay);

/* Map "verdicts", summed over CPUs. -ENOENT: no such interface. */
int gate_load_verdicts_get(struct gate_load *load, const struct sl_iface_key *key,
			   struct sl_verdicts *ret);
/*
 * Every interface's verdicts in a few system calls: cheap enough for thousands of interfaces
 * ten times a second. fn returns non-zero to stop, which is returned.
 */
int gate_load_verdicts_each(struct gate_load *load,
			    int (*fn)(const struct sl_iface_key *key,
				      const struct sl_verdicts *verdicts, void *arg),
			    void *arg);
/* The sum of the counters that are drops. */
uint64_t gate_load_verdicts_drops(const struct sl_verdicts *verdicts);
/* Field name of a verdict; NULL when out of range. */
const char *gate_load_verdict_name(enum sl_verdict verdict);

/* Map "samples": hands every waiting one to fn; returns how many, or -errno. */
int gate_load_samples_consume(struct gate_load *load,
			      void (*fn)(const struct sl_sample *sample, void *arg), void *arg);

/*
 * Below here: interfaces of the CALLING THREAD's network namespace.
 *
 * TC: makes a clsact qdisc unless one is there, and adds two ingress filters, guard (priority
 * 16) and steer (17). Repeating changes nothing but swaps older programs of this instance for
 * the present ones. Whether the qdisc is ours is kept in the steer filter's handle, so that also
 * a successor knows. -EBUSY: the priorities are taken by a foreign filter or another instance;
 * *ret_why (may be NULL) then names it, as it does for other failures. ret_made_qdisc may be NULL.
 */
int gate_load_attach_tc(struct gate_load *load, uint32_t ifindex, bool *ret_made_qdisc,
			char **ret_why);
/*
 * Removes our two filters, and the qdisc when we made it and it is empty. Not attached, or no
 * such interface, is no error.
 */
int gate_load_detach_tc(struct gate_load *load, uint32_t ifindex);
/* 1: both our filters are in place, 0: not, or -errno. */
int gate_load_attached_tc(struct gate_load *load, uint32_t ifindex);

enum gate_load_xdp { GATE_LOAD_XDP_NATIVE, GATE_LOAD_XDP_GENERIC };

/*
 * Attaches the XDP guard to key->ifindex by a pinned link. Does not
 * touch guard_at: raise is attach, then set_guard_at(XDP); lower is set_guard_at(TC), then
 * detach. Repeating is fine (mode may change: the old link is then replaced). -EBUSY: another
 * XDP program is there; -EOPNOTSUPP: no native XDP in this driver.
 */
int gate_load_attach_xdp(struct gate_load *load, const struct sl_iface_key *key,
			 enum gate_load_xdp mode, char **ret_why);
/* From any namespace; not attached is no error. */
int gate_load_detach_xdp(struct gate_load *load, const struct sl_iface_key *key);
/* 1 and *ret_mode (may be NULL), 0: our link is not attached, or -errno. From any namespace. */
int gate_load_attached_xdp(struct gate_load *load, const struct sl_iface_key *key,
			   enum gate_load_xdp *ret_mode);

/*
 * Removes pinned links whose interface is gone (the kernel keeps them, with ifindex 0). From any
 * namespace. Returns how many, or -errno.
 */
int gate_load_collect_links(struct gate_load *load);

#endif
