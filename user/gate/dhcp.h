/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DHCP for a gateway that sluice built: dnsmasq, told by a file what to serve, running in the
 * tenant's namespace. Everything goes through option 121 (RFC 3442), because a client that
 * knows it ignores the router of option 3: the metadata address, and the default route if any.
 */
#ifndef SLUICE_GATE_DHCP_H
#define SLUICE_GATE_DHCP_H

#include <sys/types.h>

#include "../lib/subnet.h"

#define DHCP_DNS_MAX 4

struct dhcp_spec {
	const char *netns, *interface;
	const char *dir;       /* exists; configuration, leases and pid are kept there */
	struct subnet gateway; /* our address with the subnet's prefix; IPv4 */
	struct subnet router;  /* of the default route; family 0: none */
	struct subnet dns[DHCP_DNS_MAX];
	unsigned ndns;
};

/* Writes the file. 0 or -errno. */
int dhcp_configure(const struct dhcp_spec *spec);
/*
 * Starts dnsmasq on it. It gives up root by itself and keeps what it needs to answer. 0 and a
 * pidfd, or -errno: -ENOENT when it is not installed.
 */
int dhcp_start(const struct dhcp_spec *spec, pid_t *ret_pid, int *ret_pidfd);
/* Ends one that an earlier daemon started in dir, if that still runs. */
void dhcp_end_stale(const char *dir);
/* Removes the files. */
void dhcp_forget(const char *dir);

#endif
