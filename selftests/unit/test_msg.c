/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages over SOCK_SEQPACKET: what the rule table lets through, and that no
 * descriptor is left open by what it does not.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../../user/lib/msg.h"
#include "unit.h"

enum { PING = 1, PIPES = 2, BIG = 3 };

static const struct msg_rule rules[] = {
	{ PING, 0, 0, 4, 8 },
	{ PIPES, 2, MSG_FDS_MAX, 0, 0 },
	{ BIG, 0, 1, 0, MSG_BODY_MAX },
};
#define NRULES (sizeof(rules) / sizeof(rules[0]))

static int pair[2];

static unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Sends head, body and fds as they are, whatever they claim. */
static void send_raw(const struct msg_head *head, size_t head_len, const void *body,
		     size_t body_len, unsigned nfds)
{
	char control[CMSG_SPACE(100 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec parts[] = { { (void *)head, head_len }, { (void *)body, body_len } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	if (nfds) {
		struct cmsghdr *cmsg = (struct cmsghdr *)control;
		int fd = STDOUT_FILENO;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (unsigned i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(fd));
	}
	CHECK(sendmsg(pair[0], &message, 0) >= 0);
}

static const struct raw_case {
	const char *name;
	struct msg_head head;
	size_t head_len, body_len;
	unsigned nfds;
	int result;
} raw_cases[] = {
	{ "as the rule says", { PING, 0, 4, 7 }, 16, 4, 0, 1 },
	{ "the longest body the rule allows", { PING, 0, 8, 7 }, 16, 8, 0, 1 },
	{ "body too short", { PING, 0, 3, 7 }, 16, 3, 0, -EBADMSG },
	{ "body too long", { PING, 0, 9, 7 }, 16, 9, 0, -EBADMSG },
	{ "length says more than came", { PING, 0, 8, 7 }, 16, 4, 0, -EBADMSG },
	{ "length says less than came", { PING, 0, 4, 7 }, 16, 8, 0, -EBADMSG },
	{ "length near 2^32", { PING, 0, UINT32_MAX - 11, 7 }, 16, 4, 0, -EBADMSG },
	{ "unknown type", { 9, 0, 4, 7 }, 16, 4, 0, -EBADMSG },
	{ "type 0", { 0, 0, 0, 0 }, 16, 0, 0, -EBADMSG },
	{ "half a header", { PING, 0, 4, 7 }, 8, 0, 0, -EBADMSG },
	{ "half a header with descriptors", { PIPES, 2, 0, 7 }, 8, 0, 2, -EBADMSG },
	{ "one byte", { PING, 0, 4, 7 }, 1, 0, 0, -EBADMSG },
	{ "descriptors", { PIPES, 2, 0, 7 }, 16, 0, 2, 1 },
	{ "as many as fit", { PIPES, MSG_FDS_MAX, 0, 7 }, 16, 0, MSG_FDS_MAX, 1 },
	{ "more than fit", { PIPES, MSG_FDS_MAX + 1, 0, 7 }, 16, 0, MSG_FDS_MAX + 1, -EBADMSG },
	{ "more than fit, told as less", { PIPES, MSG_FDS_MAX, 0, 7 }, 16, 0, 100, -EBADMSG },
	{ "fewer than the rule wants", { PIPES, 1, 0, 7 }, 16, 0, 1, -EBADMSG },
	{ "fewer than told", { PIPES, 3, 0, 7 }, 16, 0, 2, -EBADMSG },
	{ "more than told", { PIPES, 2, 0, 7 }, 16, 0, 3, -EBADMSG },
	{ "descriptors where none belong", { PING, 1, 4, 7 }, 16, 4, 1, -EBADMSG },
	{ "descriptors not told", { PING, 0, 4, 7 }, 16, 4, 1, -EBADMSG },
	{ "the longest body", { BIG, 0, MSG_BODY_MAX, 7 }, 16, MSG_BODY_MAX, 0, 1 },
	{ "one byte more", { BIG, 0, MSG_BODY_MAX, 7 }, 16, MSG_BODY_MAX + 1, 0, -EBADMSG },
	{ "one byte more, told",
	  { BIG, 1, MSG_BODY_MAX + 1, 7 },
	  16,
	  MSG_BODY_MAX + 1,
	  1,
	  -EBADMSG },
};

static void test_raw(const struct raw_case *c)
{
	static const char body[MSG_BODY_MAX + 16] = "0123456789abcdef";
	unsigned before = open_fds();
	static struct msg msg;
	int n;

	unit_case = c->name;
	memset(&msg, 0x55, sizeof(msg));
	send_raw(&c->head, c->head_len, body, c->body_len, c->nfds);
	n = msg_recv(pair[1], rules, NRULES, &msg);
	CHECK_THAT(n == c->result, "%d", n);
	if (n == 1) {
		CHECK(!memcmp(&msg.head, &c->head, sizeof(msg.head)));
		CHECK(!memcmp(msg.body, body, c->body_len));
		for (unsigned i = 0; i < MSG_FDS_MAX; i++) {
			CHECK((msg.fds[i] >= 0) == (i < c->nfds));
			CHECK(i >= c->nfds || fcntl(msg.fds[i], F_GETFD) == FD_CLOEXEC);
		}
		CHECK(open_fds() == before + c->nfds);
		msg_close_fds(&msg);
	}
	for (unsigned i = 0; i < MSG_FDS_MAX; i++)
		CHECK(msg.fds[i] == -1);
	CHECK_THAT(open_fds() == before, "%u descriptors left", open_fds() - before);
}

static void test_both_ends(void)
{
	static struct msg msg;
	int fds[MSG_FDS_MAX + 1];

	unit_case = "send and receive";
	for (unsigned i = 0; i <= MSG_FDS_MAX; i++)
		fds[i] = STDIN_FILENO;
	CHECK(msg_recv(pair[1], rules, NRULES, &msg) == -EAGAIN);
	CHECK(msg_send(pair[0], PING, 42, "ping", 4, NULL, 0) == 0);
	CHECK(msg_send(pair[0], PIPES, 0, NULL, 0, fds, MSG_FDS_MAX) == 0);
	CHECK(msg_send(pair[0], PIPES, 0, NULL, 0, fds, MSG_FDS_MAX + 1) == -EINVAL);
	CHECK(msg_send(pair[0], BIG, 0, fds, MSG_BODY_MAX + 1, NULL, 0) == -EINVAL);
	CHECK(msg_recv(pair[1], rules, NRULES, &msg) == 1);
	CHECK(msg.head.type == PING && msg.head.id == 42 && msg.head.len == 4 && !msg.head.nfds);
	CHECK(!memcmp(msg.body, "ping", 4));
	CHECK(msg_recv(pair[1], rules, NRULES, &msg) == 1);
	CHECK(msg.head.type == PIPES && msg.head.nfds == MSG_FDS_MAX);
	msg_close_fds(&msg);

	unit_case = "a full socket";
	for (unsigned i = 0; i < 100000; i++)
		if (msg_send(pair[0], BIG, 0, &msg, MSG_BODY_MAX, NULL, 0) == -EAGAIN)
			break;
	CHECK(msg_send(pair[0], BIG, 0, &msg, MSG_BODY_MAX, NULL, 0) == -EAGAIN);
	while (msg_recv(pair[1], rules, NRULES, &msg) == 1)
		;

	unit_case = "the end";
	close(pair[0]);
	CHECK(msg_recv(pair[1], rules, NRULES, &msg) == 0);
	CHECK(msg_send(pair[1], PING, 0, "ping", 4, NULL, 0) == -EPIPE);
	close(pair[1]);
	CHECK(msg_recv(pair[1], rules, NRULES, &msg) == -EBADF);
}

/* Only room of them come; the message is known for what it was, and nothing stays open. */
static void test_no_descriptors(unsigned room)
{
	static const int fds[2] = { STDIN_FILENO, STDIN_FILENO };
	unsigned before = open_fds();
	int lowest = dup(STDIN_FILENO);
	struct rlimit was, limit;
	static struct msg msg;

	unit_case = "no descriptor to be had";
	close(lowest);
	CHECK(msg_send(pair[0], PIPES, 42, NULL, 0, fds, 2) == 0);
	getrlimit(RLIMIT_NOFILE, &was);
	limit = (struct rlimit){ (rlim_t)lowest + room, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &limit);
	CHECK(msg_recv(pair[1], rules, NRULES, &msg) == -EMFILE);
	setrlimit(RLIMIT_NOFILE, &was);
	CHECK(msg.head.type == PIPES && msg.head.id == 42);
	for (unsigned i = 0; i < MSG_FDS_MAX; i++)
		CHECK(msg.fds[i] == -1);
	CHECK_THAT(open_fds() == before, "%u descriptors left", open_fds() - before);
}

int main(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
		perror("socketpair");
		return 1;
	}
	for (size_t i = 0; i < sizeof(raw_cases) / sizeof(raw_cases[0]); i++)
		test_raw(&raw_cases[i]);
	test_no_descriptors(0);
	test_no_descriptors(1);
	test_both_ends();
	return unit_end();
}
