/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Origin addresses: "tcp:10.0.0.5:8081", "tcp:[fd00::5]:80", "unix:/path". Numeric only:
 * an origin must not move because a name server says so, and no name is ever looked up
 * while a VM waits.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "conf.h"

static int parse_port(const char *text, uint16_t *ret)
{
	unsigned value = 0;

	if (*text < '1' || *text > '9')
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > UINT16_MAX)
			return -EINVAL;
	}
	*ret = (uint16_t)value;
	return 0;
}

static int parse_tcp(const char *text, struct conf_address *address)
{
	char host[INET6_ADDRSTRLEN];
	const char *end;
	size_t len;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || end[1] != ':')
			return -EINVAL;
		address->family = AF_INET6;
	} else {
		end = strchr(text, ':');
		if (!end)
			return -EINVAL;
		address->family = AF_INET;
	}
	len = (size_t)(end - text);
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(address->family, host, address->ip) != 1)
		return -EINVAL;
	return parse_port(end + (address->family == AF_INET6 ? 2 : 1), &address->port);
}

static int parse_unix(const char *text, struct conf_address *address)
{
	if (text[0] != '/' || !text[1] || strlen(text) >= sizeof(address->path))
		return -EINVAL;
	address->family = AF_UNIX;
	strcpy(address->path, text);
	return 0;
}

int conf_address_parse(const char *text, struct conf_address *ret)
{
	struct conf_address address = { 0 };
	int err = -EINVAL;

	if (!strncmp(text, "tcp:", 4))
		err = parse_tcp(text + 4, &address);
	else if (!strncmp(text, "unix:", 5))
		err = parse_unix(text + 5, &address);
	if (err < 0)
		return err;
	*ret = address;
	return 0;
}
