/* SPDX-License-Identifier: BSD-2-Clause */
/* Plain TCP bulk, both ends; see load_bulk.h. */
#include "load_bulk.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCE_SIZE (1u << 20)
#define TURN	    (256u << 10) /* bytes per connection and event */
#define EVENTS	    64

struct bulk_conn {
	int fd;
	char mode; /* 'u', 'd', 0: not said yet */
	bool sends;
};

static char buffer[TURN];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A file in memory to send from, over and over. */
static int source_open(void)
{
	int fd = memfd_create("bulk", MFD_CLOEXEC);

	for (unsigned i = 0; i < sizeof(buffer); i++)
		buffer[i] = (char)(i * 2654435761u >> 24);
	if (fd < 0)
		err(1, "memfd_create");
	for (unsigned at = 0; at < SOURCE_SIZE; at += sizeof(buffer))
		if (pwrite(fd, buffer, sizeof(buffer), at) != (ssize_t)sizeof(buffer))
			err(1, "memfd");
	return fd;
}

static void watch(int epoll, int op, struct bulk_conn *conn, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = conn };

	if (epoll_ctl(epoll, op, conn->fd, &event))
		err(1, "epoll_ctl");
}

/* One turn of a connection; bytes moved, 0 when the peer has gone, -1 for not now. */
static ssize_t conn_turn(struct bulk_conn *conn, int source)
{
	off_t start = 0;
	ssize_t moved;

	moved = conn->sends ? sendfile(conn->fd, source, &start, TURN)
			    : recv(conn->fd, buffer, TURN, MSG_TRUNC);
	if (moved < 0)
		return errno == EAGAIN ? -1 : 0;
	return moved;
}

static void serve_accept(int epoll, int listener)
{
	struct bulk_conn *conn;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		err(1, "connection");
	conn->fd = fd;
	watch(epoll, EPOLL_CTL_ADD, conn, EPOLLIN);
}

static void serve_event(int epoll, struct bulk_conn *conn, int source)
{
	if (!conn->mode) {
		if (recv(conn->fd, &conn->mode, 1, 0) == 1 &&
		    (conn->mode == 'u' || conn->mode == 'd')) {
			conn->sends = conn->mode == 'd';
			watch(epoll, EPOLL_CTL_MOD, conn, conn->sends ? EPOLLOUT : EPOLLIN);
			return;
		}
	} else if (conn_turn(conn, source)) {
		return;
	}
	close(conn->fd);
	free(conn);
}

void load_bulk_serve(const struct sockaddr_in *address)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int epoll = epoll_create1(EPOLL_CLOEXEC), source = source_open(), one = 1, n;
	struct bulk_conn self = { .fd = listener };
	struct epoll_event events[EVENTS];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (epoll < 0 || bind(listener, (const struct sockaddr *)address, sizeof(*address)) ||
	    listen(listener, 64))
		err(1, "listen");
	watch(epoll, EPOLL_CTL_ADD, &self, EPOLLIN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &self)
				serve_accept(epoll, listener);
			else
				serve_event(epoll, events[i].data.ptr, source);
		}
	}
}

static void client_open(const struct bulk_plan *plan, struct bulk_conn *conn)
{
	conn->mode = plan->up ? 'u' : 'd';
	conn->sends = plan->up;
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (conn->fd < 0 || connect(conn->fd, (const struct sockaddr *)&plan->to, sizeof(plan->to)))
		err(1, "connect");
	if (send(conn->fd, &conn->mode, 1, MSG_NOSIGNAL) != 1)
		err(1, "send");
}

static uint64_t acked(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
	    len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
		err(1, "TCP_INFO");
	return info.tcpi_bytes_acked;
}

static uint64_t client_bytes(const struct bulk_plan *plan, const struct bulk_conn *conns,
			     uint64_t read)
{
	uint64_t sum = 0;

	if (!plan->up)
		return read;
	for (unsigned i = 0; i < plan->connections; i++)
		sum += acked(conns[i].fd);
	return sum;
}

static uint64_t client_until(int epoll, int source, uint64_t until)
{
	struct epoll_event events[EVENTS];
	uint64_t moved = 0, now = now_ns();
	ssize_t got;
	int n;

	while (now < until) {
		n = epoll_wait(epoll, events, EVENTS, (int)((until - now) / 1000000 + 1));
		for (int i = 0; i < n; i++) {
			got = conn_turn(events[i].data.ptr, source);
			if (!got)
				errx(1, "the other side went away");
			if (got > 0)
				moved += (uint64_t)got;
		}
		now = now_ns();
	}
	return moved;
}

double load_bulk_run(const struct bulk_plan *plan, struct cpu *cpu, uint64_t *ret_bytes)
{
	struct bulk_conn conns[BULK_CONNS_MAX];
	int epoll = epoll_create1(EPOLL_CLOEXEC), source = source_open();
	uint64_t begin, end, before, moved;

	if (epoll < 0)
		err(1, "epoll_create1");
	for (unsigned i = 0; i < plan->connections; i++) {
		client_open(plan, &conns[i]);
		if (fcntl(conns[i].fd, F_SETFL, O_NONBLOCK))
			err(1, "fcntl");
		watch(epoll, EPOLL_CTL_ADD, &conns[i], plan->up ? EPOLLOUT : EPOLLIN);
	}
	client_until(epoll, source, now_ns() + (uint64_t)(plan->warmup * 1e9));
	before = client_bytes(plan, conns, 0);
	cpu_begin(cpu);
	begin = now_ns();
	moved = client_until(epoll, source, begin + (uint64_t)(plan->seconds * 1e9));
	end = now_ns();
	*ret_bytes = client_bytes(plan, conns, moved) - before;
	cpu_end(cpu);
	if (!*ret_bytes)
		errx(1, "not a byte in the window");
	for (unsigned i = 0; i < plan->connections; i++)
		close(conns[i].fd);
	close(source);
	close(epoll);
	return (double)(end - begin) / 1e9;
}
