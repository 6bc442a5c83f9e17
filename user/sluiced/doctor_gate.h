/* SPDX-License-Identifier: BSD-2-Clause */
/* What a gate must look like, and the comparison with what is there (doctor_gate.c). */
#ifndef SLUICE_SLUICED_DOCTOR_GATE_H
#define SLUICE_SLUICED_DOCTOR_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/abi.h"

struct doctor;

struct doctor_gate {
	const char *name, *netns;
	struct sl_iface_key key;
	uint32_t l3_ifindex;
	uint16_t ports[SL_PORTS_MAX]; /* host order */
	unsigned nports;
	bool ipv6;
};

/* In the tenant's namespace, with pins. True when nothing of it is broken. */
bool doctor_gate(struct doctor *doctor, const struct doctor_gate *gate);

#endif
