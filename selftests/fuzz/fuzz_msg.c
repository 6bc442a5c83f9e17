/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AF_UNIX messages. The first byte of the input says how many descriptors travel along,
 * the rest is the packet. Accepted is only what a rule allows, and no descriptor is
 * ever left open.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../user/lib/msg.h"
#include "fuzz.h"
#include "lib/packet.h"

static const struct msg_rule rules[] = {
	{ 1, 0, 0, 0, 16 },
	{ 2, 1, MSG_FDS_MAX, 8, 8 },
	{ 3, 0, 2, 0, MSG_BODY_MAX },
};

static void check_accepted(const struct msg *msg, const uint8_t *data, size_t size, unsigned nfds)
{
	const struct msg_rule *rule = &rules[msg->head.type - 1];

	assert(msg->head.type >= 1 && msg->head.type <= 3);
	assert(msg->head.nfds == nfds && nfds >= rule->fds_min && nfds <= rule->fds_max);
	assert(msg->head.len == size - sizeof(msg->head));
	assert(msg->head.len >= rule->len_min && msg->head.len <= rule->len_max);
	assert(!memcmp(msg->body, data + sizeof(msg->head), msg->head.len));
	for (unsigned i = 0; i < MSG_FDS_MAX; i++)
		assert((msg->fds[i] >= 0) == (i < nfds));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int pair[2] = { -1, -1 };
	static struct msg msg;
	unsigned nfds;
	int lowest, n;

	if (pair[0] < 0)
		assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
	if (size < 2 || size > MSG_BODY_MAX + 64)
		return 0;
	nfds = data[0] % 80;
	lowest = dup(pair[0]);
	close(lowest);

	memset(&msg, 0x55, sizeof(msg));
	assert(packet_send(pair[0], data + 1, size - 1, pair[0], nfds));
	n = msg_recv(pair[1], rules, sizeof(rules) / sizeof(rules[0]), &msg);
	assert(n == 1 || n == -EBADMSG);
	/* -EMFILE never: there are enough, and more than a message may have are refused. */
	if (n == 1) {
		check_accepted(&msg, data + 1, size - 1, nfds);
		msg_close_fds(&msg);
	}
	for (unsigned i = 0; i < MSG_FDS_MAX; i++)
		assert(msg.fds[i] == -1);
	/* The lowest free descriptor is what it was: nothing was left open. */
	n = dup(pair[0]);
	assert(n == lowest);
	close(n);
	return 0;
}
