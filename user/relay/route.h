/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which service a request goes to. The table is built once from the configuration;
 * looking up allocates nothing. The longest prefix wins, compared on whole segments of
 * the normalised path (http_path.h).
 */
#ifndef SLUICE_RELAY_ROUTE_H
#define SLUICE_RELAY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/conf.h"
#include "../lib/http_head.h"

struct route_table;

struct route_verdict {
	uint16_t status;    /* 0: go on; else 403, 404 or 405, and reason says why */
	const char *reason; /* static or owned by the table */
	const char *allow;  /* with 405: the methods, "GET, HEAD"; owned by the table */
	unsigned route;	    /* index into conf.routes; valid when status is 0, 403 or 405 */
	unsigned service;   /* index into conf.services; likewise */
};

/*
 * Builds the table; conf must outlive it. Returns 0, -ENOMEM, or -EINVAL when a route
 * names a service that is not there or has no leading '/'.
 */
int route_table_new(const struct conf *conf, struct route_table **ret_table);
void route_table_free(struct route_table *table);

/*
 * Host's value must be a configured name, a configured address or a metadata address,
 * letter case aside. A trailing dot, an IPv6 zone ("%25eth0" or "%eth0") and a port are
 * accepted; the port must be local_port, the listener's, unless that is 0. False: 400.
 */
bool route_host_allowed(const struct route_table *table, const char *host, size_t len,
			uint16_t local_port);

/*
 * The route of a parsed request. path is the normalised target's path, or "*", which
 * only the route "/" matches. buf is what head was parsed from. A missing required
 * header is 403, also when it is there with an empty value.
 */
void route_find(const struct route_table *table, const struct http_head *head, const char *buf,
		const char *path, size_t path_len, struct route_verdict *ret_verdict);

#endif
