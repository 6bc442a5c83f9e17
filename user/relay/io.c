/* SPDX-License-Identifier: BSD-2-Clause */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/tcp.h> /* libc's has an older struct tcp_info, and the states */
#include <netinet/in.h>

#include "sandbox.h"

SANDBOX_ALLOW(recvfrom);
/*
 * MSG_FASTOPEN connects: also a listener, once shutdown(2) has made a plain socket of it, to any
 * machine of its tenant.
 */
SANDBOX_ALLOW_WITHOUT(sendmsg, 2, MSG_FASTOPEN);
SANDBOX_ALLOW(splice);
SANDBOX_ALLOW(shutdown);
SANDBOX_ALLOW(getpeername);
/* No address fits into these two bytes: all that this connects to is AF_UNSPEC, nothing. */
SANDBOX_ALLOW_IF(connect, 2, sizeof(sa_family_t));
SANDBOX_ALLOW_OPTION(setsockopt, IPPROTO_TCP, TCP_NODELAY);
SANDBOX_ALLOW_OPTION(setsockopt, IPPROTO_TCP, TCP_QUICKACK);
SANDBOX_ALLOW_OPTION(getsockopt, SOL_SOCKET, SO_DOMAIN);
SANDBOX_ALLOW_OPTION(getsockopt, IPPROTO_TCP, TCP_SAVED_SYN);
SANDBOX_ALLOW_OPTION(getsockopt, IPPROTO_TCP, TCP_INFO);

ssize_t io_recv(int fd, void *data, size_t len)
{
	ssize_t n;

	do
		n = recv(fd, data, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t io_peek(int fd)
{
	char byte;
	ssize_t n;

	do
		n = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_PEEK);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t io_send(int fd, const struct iovec *parts, size_t count, bool more)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = count,
	};
	ssize_t n;

	do
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t io_splice(int from, int to, size_t len)
{
	ssize_t n;

	/*
	 * Never SPLICE_F_MORE: at a response's tail it delays the last segment by
	 * 200 to 400 ms.
	 */
	do
		n = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

void io_shutdown(int fd)
{
	shutdown(fd, SHUT_WR);
}

/*
 * SO_LINGER 0 would do the same at close(2). But seccomp cannot see its value, and a socket with
 * another one, sent to the parent, would hold whoever closes it last (net/ipv4/tcp.c, tcp_close).
 */
void io_reset(int fd)
{
	static const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	connect(fd, &nowhere, sizeof(nowhere.sa_family));
}

void io_nodelay(int fd)
{
	static const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void io_quickack(int fd)
{
	static const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

int io_peer_address(int fd, struct sockaddr_storage *ret_address)
{
	socklen_t len = sizeof(*ret_address);

	return getpeername(fd, (struct sockaddr *)ret_address, &len) < 0 ? -errno : 0;
}

bool io_is_tcp(int fd)
{
	socklen_t len = sizeof(int);
	int domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return false;
	return domain == AF_INET || domain == AF_INET6;
}

ssize_t io_saved_syn(int fd, void *data, size_t len)
{
	socklen_t n = (socklen_t)len;

	return getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, data, &n) < 0 ? -errno : (ssize_t)n;
}

static int tcp_info(int fd, struct tcp_info *ret)
{
	socklen_t len = sizeof(*ret);

	*ret = (struct tcp_info){ 0 };
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len) < 0 ? -errno : 0;
}

bool io_is_settled(int fd)
{
	struct tcp_info info;

	return !tcp_info(fd, &info) && info.tcpi_state == BPF_TCP_ESTABLISHED &&
	       !info.tcpi_unacked && !info.tcpi_notsent_bytes;
}

int io_accept_queue(int fd)
{
	struct tcp_info info;
	int rc = tcp_info(fd, &info);

	if (rc < 0)
		return rc;
	return info.tcpi_state == BPF_TCP_LISTEN ? (int)info.tcpi_unacked : -EINVAL;
}
