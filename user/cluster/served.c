/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether "sluice-cluster serve" runs, for the commands that wait for agents: without it none of
 * them is ever heard, and that is what should be said.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster.h"

#define ANSWER_MS 1000

static socklen_t make_address(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

/* 0 when the connection stands. */
static int connect_soon(int sock, const struct sockaddr_storage *address, socklen_t len)
{
	struct pollfd wait = { .fd = sock, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int err = 0;

	if (!connect(sock, (const struct sockaddr *)address, len))
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&wait, 1, ANSWER_MS) != 1)
		return -ETIMEDOUT;
	return getsockopt(sock, SOL_SOCKET, SO_ERROR, &err, &size) ? -errno : -err;
}

bool cluster_served(const struct config *config)
{
	static int known = -1;
	struct sockaddr_storage address;
	socklen_t len;
	int sock;

	if (known >= 0)
		return known;
	known = true; /* what cannot be told is not said */
	len = make_address(config->control.address, config->control.port, &address);
	sock = len ? socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
	if (sock < 0)
		return known;
	known = connect_soon(sock, &address, len) != -ECONNREFUSED;
	close(sock);
	return known;
}
