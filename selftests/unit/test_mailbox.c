/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages that a socket does not take: they wait in order, promises take no descriptor and have
 * no limit, what the kernel has no memory for is said later, and who lets too much pile up is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../user/lib/msg.h"
#include "../../user/sluiced/mailbox.h"
#include "unit.h"

#define TYPE	    7
#define MANY	    300000u /* more than may wait beside promises */
#define DESCRIPTORS 64

static int no_memory; /* so many sendmsg() fail with this error */
static int error;
static unsigned skipped; /* a key that need not be said any more */

/* In the place of libc's. */
ssize_t sendmsg(int sock, const struct msghdr *message, int flags)
{
	if (no_memory > 0) {
		no_memory--;
		errno = error;
		return -1;
	}
	return syscall(SYS_sendmsg, sock, message, flags);
}

static int make(struct mailbox *box, uint16_t type, const void *key, void *body, int *ret_fd)
{
	CHECK(box && type == TYPE);
	memcpy(body, key, sizeof(uint32_t));
	*ret_fd = STDIN_FILENO;
	return memcmp(body, &skipped, sizeof(uint32_t)) ? (int)sizeof(uint32_t) : -1;
}

static void open_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		abort();
}

/* The number in the next message, and whether a descriptor came; -1: there is none. */
static int64_t receive(int sock, bool *ret_fd)
{
	static const struct msg_rule rule = { TYPE, 0, 1, 4, 4 };
	static struct msg msg;
	uint32_t number;

	if (msg_recv(sock, &rule, 1, &msg) != 1)
		return -1;
	memcpy(&number, msg.body, sizeof(number));
	*ret_fd = msg.head.nfds == 1;
	msg_close_fds(&msg);
	return number;
}

/* With few descriptors to be had. */
static void test_promises(void)
{
	struct mailbox box = { .make = make };
	struct rlimit was, few;
	uint32_t number = 0, next = 0;
	int pair[2], result = 1;
	bool fd;

	unit_case = "more listeners than a worker may have messages";
	getrlimit(RLIMIT_NOFILE, &was);
	few = was;
	few.rlim_cur = DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &few);
	open_pair(pair);
	skipped = 12345;
	for (; number < MANY; number++)
		CHECK(mailbox_send_made(&box, pair[0], TYPE, &number, sizeof(number)) >= 0);
	/* What is no promise keeps its place among them. */
	CHECK(mailbox_send(&box, pair[0], TYPE, 0, &number, sizeof(number), NULL, 0) == 1);
	CHECK(box.promises == box.count - 1);
	while (result == 1) {
		result = mailbox_flush(&box, pair[0]);
		CHECK(result >= 0);
		for (int64_t got; (got = receive(pair[1], &fd)) >= 0; next = (uint32_t)got + 1)
			if (got != next + (next == skipped) || fd != (got < MANY)) {
				CHECK(got == next + (next == skipped));
				CHECK(fd == (got < MANY));
			}
	}
	CHECK(next == MANY + 1 && !box.count && !box.promises);
	setrlimit(RLIMIT_NOFILE, &was);
	close(pair[0]);
	close(pair[1]);
}

static void test_memory(void)
{
	static const int errors[] = { ENOBUFS, ENOMEM, ETOOMANYREFS };
	struct mailbox box = { .make = make };
	uint32_t number = 5;
	int pair[2];
	bool fd;

	skipped = UINT32_MAX;
	open_pair(pair);
	for (unsigned i = 0; i < 3; i++) {
		unit_case = strerror(errors[i]);
		error = errors[i];
		no_memory = 3;
		CHECK(mailbox_send(&box, pair[0], TYPE, 0, &number, sizeof(number), NULL, 0) == 1);
		CHECK(box.starved);
		CHECK(mailbox_send_made(&box, pair[0], TYPE, &number, sizeof(number)) == 1);
		CHECK(mailbox_flush(&box, pair[0]) == 1 && box.starved && box.count == 2);
		no_memory = 0;
		CHECK(mailbox_flush(&box, pair[0]) == 0 && !box.starved && !box.count);
		CHECK(receive(pair[1], &fd) == 5 && !fd);
		CHECK(receive(pair[1], &fd) == 5 && fd);
	}
	close(pair[0]);
	close(pair[1]);
}

static void test_descriptors(void)
{
	struct mailbox box = { .make = make };
	struct rlimit was, none;
	uint32_t number = 0;
	int pair[2], result, in = STDIN_FILENO;

	unit_case = "no descriptor for a copy";
	open_pair(pair);
	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = (rlim_t)(pair[0] > pair[1] ? pair[0] : pair[1]) + 1;
	setrlimit(RLIMIT_NOFILE, &none);
	do {
		result = mailbox_send(&box, pair[0], TYPE, 0, &number, sizeof(number), &in, 1);
	} while (!result);
	CHECK(result == -EMFILE && !box.count);
	setrlimit(RLIMIT_NOFILE, &was);
	CHECK(mailbox_send(&box, pair[0], TYPE, 0, &number, sizeof(number), &in, 1) == 1);
	close(pair[1]);
	result = mailbox_flush(&box, pair[0]);
	CHECK(result == -EPIPE || result == -ECONNRESET);
	mailbox_clear(&box);
	CHECK(!box.first && !box.last && !box.count);
	close(pair[0]);
}

static void test_limit(void)
{
	struct mailbox box = { .make = make }, other = { 0 };
	uint32_t number = 0;
	int pair[2], result;

	unit_case = "nobody reads";
	open_pair(pair);
	do {
		result = mailbox_send(&box, pair[0], TYPE, 0, &number, sizeof(number), NULL, 0);
	} while (result >= 0 && ++number < 10 * MANY);
	CHECK(result == -EOVERFLOW);
	mailbox_clear(&box);

	unit_case = "joined";
	CHECK(mailbox_promise(&other, TYPE, &number, sizeof(number)) == 1);
	CHECK(other.count == 1 && other.promises == 1);
	mailbox_join(&box, &other);
	mailbox_join(&box, &other);
	CHECK(box.count == 1 && box.promises == 1 && box.first == box.last);
	CHECK(!other.count && !other.promises && !other.first && !other.last);
	mailbox_clear(&box);
	CHECK(!box.count && !box.promises);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	test_promises();
	test_memory();
	test_descriptors();
	test_limit();
	return unit_end();
}
