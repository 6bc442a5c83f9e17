/* SPDX-License-Identifier: BSD-2-Clause */
#include "piece_listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "subnet.h"

#define UNSENT_MOST (64 * 1024) /* bytes */

int piece_listen(const char *address, uint16_t port, int backlog)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct subnet subnet;
	int fd, one = 1, unsent = UNSENT_MOST, err;
	bool is_six;

	if (subnet_parse(address, &subnet))
		return -EINVAL;
	is_six = subnet.family == AF_INET6;
	memcpy(&six.sin6_addr, subnet.ip, 16);
	memcpy(&four.sin_addr, subnet.ip, 4);
	fd = socket(subnet.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Connections inherit it. A piece that waits in a socket would count as sent. */
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	if (bind(fd, is_six ? (void *)&six : (void *)&four, is_six ? sizeof(six) : sizeof(four)) ||
	    listen(fd, backlog)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}
