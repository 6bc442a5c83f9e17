/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPv4 and IPv6 addresses with a prefix length, as people write them. Pure.
 */
#ifndef SLUICE_SUBNET_H
#define SLUICE_SUBNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUBNET_TEXT_MAX 64

struct subnet {
	int family;	/* AF_INET or AF_INET6 */
	uint8_t ip[16]; /* the address as written, host part included; 4 bytes for AF_INET */
	unsigned prefix;
};

/* "10.0.0.1/24", "fd00::1/64"; without a prefix, all bits. 0 or -EINVAL. */
int subnet_parse(const char *text, struct subnet *ret);
/* Whether all bits behind the prefix are 0. */
bool subnet_is_network(const struct subnet *subnet);
/* Whether host (its prefix does not matter) is in net. */
bool subnet_has(const struct subnet *net, const struct subnet *host);
/* The address alone, or with its prefix. ret is large enough with SUBNET_TEXT_MAX. */
void subnet_address(const struct subnet *subnet, char *ret);
void subnet_text(const struct subnet *subnet, char *ret);
/* IPv4: the n-th address counted from the network's (0) or back from the broadcast's (-1). */
struct subnet subnet_nth(const struct subnet *net, int64_t n);

#endif
