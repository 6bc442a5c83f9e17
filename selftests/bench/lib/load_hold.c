/* SPDX-License-Identifier: BSD-2-Clause */
/* Idle connections, both ends; see load_hold.h. */
#include "load_hold.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE	   32	 /* connections whose answer is awaited */
#define WAIT_MS	   20000 /* for one of them */
#define ANSWER_MAX 8192

/* One whole answer: its head says how long its body is. */
static void answer_read(int fd)
{
	char text[ANSWER_MAX + 1];
	size_t have = 0, want = 0;
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	while (!want || have < want) {
		const char *end, *length;
		ssize_t n;

		if (poll(&wait, 1, WAIT_MS) != 1)
			errx(1, "no answer within %d s", WAIT_MS / 1000);
		n = recv(fd, text + have, ANSWER_MAX - have, 0);
		if (n <= 0)
			errx(1, "connection %s before its answer was whole",
			     n ? strerror(errno) : "closed");
		have += (size_t)n;
		text[have] = '\0';
		end = strstr(text, "\r\n\r\n");
		if (!end)
			continue;
		if (strncmp(text, "HTTP/1.1 200 ", 13))
			errx(1, "answer is '%.*s'", (int)strcspn(text, "\r"), text);
		length = strcasestr(text, "\r\nContent-Length:");
		if (!length || length > end)
			errx(1, "an answer without Content-Length");
		want = (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10);
		if (want > ANSWER_MAX || have > want)
			errx(1, "an answer of %zu bytes, %zu came", want, have);
	}
}

static int connect_and_ask(const struct hold_plan *plan)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char request[512];
	int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
			   plan->path, plan->host);

	if (fd < 0)
		err(1, "socket");
	if (connect(fd, (const struct sockaddr *)&plan->to, sizeof(plan->to)))
		err(1, "connect");
	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		err(1, "request not taken");
	return fd;
}

static unsigned count_closed(const int *fds, unsigned count)
{
	unsigned closed = 0;
	char byte;

	for (unsigned i = 0; i < count; i++)
		closed += recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
	return closed;
}

void load_hold(const struct hold_plan *plan)
{
	int *fds = calloc(plan->connections, sizeof(*fds));
	char ignored[256];
	unsigned closed;

	if (!fds)
		err(1, "%u connections", plan->connections);
	for (unsigned i = 0, batch; i < plan->connections; i += batch) {
		batch = plan->connections - i < AT_ONCE ? plan->connections - i : AT_ONCE;
		for (unsigned j = i; j < i + batch; j++)
			fds[j] = connect_and_ask(plan);
		for (unsigned j = i; j < i + batch; j++)
			answer_read(fds[j]);
	}
	printf("{\"held\": %u}\n", plan->connections);
	fflush(stdout);
	while (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0)
		;
	closed = count_closed(fds, plan->connections);
	if (closed)
		errx(1, "%u of %u connections were closed", closed, plan->connections);
	free(fds);
}

/* False: not whole yet. */
static bool answer_one(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n";
	char answer[sizeof(head) - 1 + 1024], request[4096];
	ssize_t n = recv(fd, request, sizeof(request), MSG_PEEK);

	if (n <= 0)
		return true; /* it has left, or was reset: nothing to wait for */
	if (!memmem(request, (size_t)n, "\r\n\r\n", 4))
		return false;
	recv(fd, request, (size_t)n, 0);
	memset(answer, 'x', sizeof(answer));
	memcpy(answer, head, sizeof(head) - 1);
	if (send(fd, answer, sizeof(answer), MSG_NOSIGNAL) != (ssize_t)sizeof(answer))
		warn("answer not taken");
	return true;
}

static int listen_at(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)at, sizeof(*at)) || listen(fd, 4096))
		err(1, "listen");
	return fd;
}

void load_keep(const struct sockaddr_in *at)
{
	int listener = listen_at(at), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
		err(1, "epoll");
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd;

		if (epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR)
			err(1, "epoll_wait");
		fd = event.data.fd;
		if (fd != listener) {
			/* Nothing but the socket stays. */
			if (answer_one(fd))
				epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
			continue;
		}
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			err(1, "accept");
		event = (struct epoll_event){ .events = EPOLLIN, .data.fd = fd };
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			err(1, "epoll_ctl");
	}
}
