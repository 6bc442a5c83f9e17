/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network by "ip", between cluster_network_ip.c, which looks and sets, and
 * cluster_network_record.c, which remembers:
 *
 *   {"links": {"eth1": {"was": {"mtu", "up", "addresses": […]}, "sets": [the document's link, …]}},
 *    "routes": [{"dst", "via", "dev", "metric"}, …]}
 *
 * An interface that was not there before has no "was". routes are those of before, of all. "kept"
 * is the boot in which it was written. Once it has been put back, a record has only what could not
 * be: links, routes as "missing", and the "boot" in which that was. A link's "sets" are empty by
 * then, but for one that could not be looked at; its routes are "missing" as long as that, and the
 * routes of before stay.
 */
#ifndef AGENT_CLUSTER_NETWORK_IP_H
#define AGENT_CLUSTER_NETWORK_IP_H

#include "cluster.h"

/* "" when there is none. */
const char *ip_text(const json_t *object, const char *key);
bool ip_listed(const json_t *list, const json_t *value);
/* The document's link of this interface, or NULL; has it a VLAN on top? */
const json_t *ip_find(const json_t *links, const char *interface);
bool ip_is_parent(const json_t *links, const char *interface);

/* How it is: a "was"; NULL: there is no such interface. */
json_t *ip_link(const char *interface);
/* Those over a router, of both families. */
json_t *ip_routes(void);
/* What the document says of links. 0 or -errno with outcome. */
int ip_set_links(const json_t *links, struct outcome *outcome);
/* What entry's links set, and was not there before, goes, but for what link wants as well. */
int ip_reduce(const char *interface, const json_t *entry, const json_t *routes, const json_t *link,
	      struct outcome *outcome);
/* An interface as it was, as far as it can be; the first failure. What is gone already is none.
 * Empties "sets" once what they say is removed. */
int ip_put_back(const char *interface, json_t *entry, const json_t *routes,
		struct outcome *outcome);
/* All of a record, as far as it can be; the first failure. What is put back leaves the record: what
 * others set from then on is theirs. */
int ip_put_all_back(json_t *record, struct outcome *outcome);

#endif
