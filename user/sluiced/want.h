/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an operator wants of a tenant, as a value: from the configuration or from the control
 * socket, compared and copied. Pure.
 */
#ifndef SLUICE_SLUICED_WANT_H
#define SLUICE_SLUICED_WANT_H

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/abi.h"
#include "../lib/conf.h"

/* Strings are owned. */
struct tenant_want {
	char *name;
	char *netns; /* as netns_open() takes it */
	char *interface;
	char *l3_interface; /* or NULL */
	char *network;	    /* where identity neutron finds the network's id, or NULL */
	enum conf_bridge bridge;
	enum conf_fail fail;
	enum conf_guard_mode guard;
	uint16_t ports[SL_PORTS_MAX]; /* ascending, each once */
	unsigned nports;
	bool ipv6;
};

/* 0 or -ENOMEM; *ret is complete or zeroed. */
int want_copy(struct tenant_want *ret, const struct tenant_want *from);
int want_from_conf(struct tenant_want *ret, const struct conf *conf,
		   const struct conf_tenant *from);
/*
 * What namespace and interface are by the first rule that matches them: false, or *ret, whose
 * strings are name and network, of size bytes each, and the arguments: copy it.
 */
bool want_discovered(struct tenant_want *ret, const struct conf *conf, char *netns, char *interface,
		     char *name, char *network, size_t size);
/* The name by which a namespace is known: the last part of a path; NULL for a process's. */
const char *want_network(const char *netns);
/* What a namespace is called wherever it stands: its name under /run/netns, else as it is written.
 */
const char *want_space(const char *netns);
/* Sorts ports into want and leaves doubles out. -E2BIG: too many, -EINVAL: port 0. */
int want_set_ports(struct tenant_want *want, const uint16_t *ports, unsigned count);
/* What takes another gate; NULL: nothing does, fail and guard are changed where they are. */
const char *want_change(const struct tenant_want *a, const struct tenant_want *b);
bool want_equal(const struct tenant_want *a, const struct tenant_want *b);
void want_free(struct tenant_want *want);
/* A name that can stand in a path, a map and a log line. */
bool want_name_valid(const char *name);

#endif
