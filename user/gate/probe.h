/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stand-in for a VM, to see whether a gate serves: a namespace of its own with the address
 * 192.0.0.8 (RFC 7600's dummy), whose packets enter the tenant's interface where a VM's would,
 * before the filters, and whose answers are caught where they leave it.
 *
 *	probe's namespace         tenant gateway
 *	eth0 192.0.0.8 ── veth ── slprobe ─(tc ingress: redirect into)─▶ IF: guard, steer, listener
 *	     ▲                                                               │
 *	     └──────── slprobe ◀─(tc egress of the L3 interface: redirect)───┘
 *
 * For as long as it stands, the gateway has the interface slprobe, a host route, a neighbour entry
 * and one egress filter that looks at the destination alone; probe_left.h has what becomes of them
 * when its process is killed. XDP is behind the place of entry.
 */
#ifndef SLUICE_GATE_PROBE_H
#define SLUICE_GATE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_WHY_MAX 256

struct probe {
	int tenant_ns, ns; /* -1: not open */
	uint32_t ifindex, l3_ifindex, slprobe;
	bool made_qdisc;   /* on the L3 interface */
	int record;	   /* -1: none */
	char *record_path; /* NULL: none */
};

/* Which tenant interface, and where a record of the probe is kept while it stands. */
struct probe_spec {
	const char *netns; /* as netns_open() takes it */
	int tenant_ns;	   /* is duplicated */
	uint32_t ifindex, l3_ifindex;
	const char *record;
};

/* 0, or -errno with why and nothing left: -EBUSY when another probe is at work there. */
int probe_open(struct probe *probe, const struct probe_spec *spec, char why[PROBE_WHY_MAX]);
/* Takes everything away. */
void probe_close(struct probe *probe);
/* In the tenant's namespace: takes away what is there of it. */
void probe_remove(struct probe *probe);

/*
 * GET http://169.254.169.254:PORT/PATH. 0 with the status of the answer, or -errno: -ETIMEDOUT
 * with *ret_connected false when nothing came at all, true when nobody read the request.
 */
int probe_get(struct probe *probe, uint16_t port, const char *path, unsigned timeout_ms,
	      int *ret_status, bool *ret_connected);

#endif
