/* SPDX-License-Identifier: BSD-2-Clause */
/* Text and bit arithmetic; IPv4 addresses are counted as 32-bit numbers. */
#include "subnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static unsigned bits_of(int family)
{
	return family == AF_INET ? 32 : 128;
}

/* A plain number of at most three digits. */
static int parse_prefix(const char *text, unsigned most, unsigned *ret)
{
	size_t len = strlen(text);
	unsigned value = 0;

	if (!len || len > 3 || strspn(text, "0123456789") != len || (text[0] == '0' && len > 1))
		return -EINVAL;
	for (; *text; text++)
		value = value * 10 + (unsigned)(*text - '0');
	if (value > most)
		return -EINVAL;
	*ret = value;
	return 0;
}

int subnet_parse(const char *text, struct subnet *ret)
{
	struct subnet new = { 0 };
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	new.family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(new.family, address, new.ip) != 1)
		return -EINVAL;
	new.prefix = bits_of(new.family);
	if (slash && parse_prefix(slash + 1, new.prefix, &new.prefix))
		return -EINVAL;
	*ret = new;
	return 0;
}

static bool bit(const uint8_t *ip, unsigned i)
{
	return ip[i / 8] & (0x80 >> i % 8);
}

bool subnet_is_network(const struct subnet *subnet)
{
	for (unsigned i = subnet->prefix; i < bits_of(subnet->family); i++)
		if (bit(subnet->ip, i))
			return false;
	return true;
}

bool subnet_has(const struct subnet *net, const struct subnet *host)
{
	if (net->family != host->family)
		return false;
	for (unsigned i = 0; i < net->prefix; i++)
		if (bit(net->ip, i) != bit(host->ip, i))
			return false;
	return true;
}

void subnet_address(const struct subnet *subnet, char *ret)
{
	inet_ntop(subnet->family, subnet->ip, ret, SUBNET_TEXT_MAX);
}

void subnet_text(const struct subnet *subnet, char *ret)
{
	size_t len;

	subnet_address(subnet, ret);
	len = strlen(ret);
	snprintf(ret + len, SUBNET_TEXT_MAX - len, "/%u", subnet->prefix);
}

struct subnet subnet_nth(const struct subnet *net, int64_t n)
{
	uint32_t mask = net->prefix ? ~0u << (32 - net->prefix) : 0;
	struct subnet host = *net;
	uint32_t address;

	memcpy(&address, net->ip, sizeof(address));
	address = ntohl(address) & mask;
	/* -1 is the broadcast address: one less than the next network's. */
	address = n < 0 ? (address | ~mask) + (uint32_t)(n + 1) : address + (uint32_t)n;
	address = htonl(address);
	memcpy(host.ip, &address, sizeof(address));
	return host;
}
