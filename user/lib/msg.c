/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages with descriptors over SOCK_SEQPACKET. The other side may be a compromised
 * worker: what is received is taken whole or not at all, and no descriptor is left
 * open when a message is refused.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "msg.h"

_Static_assert(sizeof(struct msg_head) == 16, "msg_head");

union fd_control {
	char space[CMSG_SPACE(MSG_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

int msg_send(int sock, uint16_t type, uint64_t id, const void *body, size_t len, const int *fds,
	     size_t nfds)
{
	struct msg_head head = { .type = type, .nfds = nfds, .len = len, .id = id };
	struct iovec parts[] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)body, .iov_len = len },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = len ? 2 : 1 };
	union fd_control control;
	ssize_t sent;

	if (nfds > MSG_FDS_MAX || len > MSG_BODY_MAX)
		return -EINVAL;
	if (nfds) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&message);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	do {
		sent = sendmsg(sock, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/*
 * Moves the descriptors of all control messages to msg and returns how many came, or
 * -EBADMSG when there is anything else among them. What came is in msg either way.
 */
static int take_fds(struct msghdr *message, struct msg *msg)
{
	struct cmsghdr *cmsg;
	bool foreign = false;
	int nfds = 0;

	for (cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
			foreign = true;
			continue;
		}
		/* The control buffer holds no more than MSG_FDS_MAX. */
		memcpy(msg->fds + nfds, CMSG_DATA(cmsg), n * sizeof(int));
		nfds += n;
	}
	return foreign ? -EBADMSG : nfds;
}

static bool is_allowed(const struct msg_head *head, const struct msg_rule *rules, size_t nrules)
{
	for (size_t i = 0; i < nrules; i++)
		if (rules[i].type == head->type)
			return head->nfds >= rules[i].fds_min && head->nfds <= rules[i].fds_max &&
			       head->len >= rules[i].len_min && head->len <= rules[i].len_max;
	return false;
}

int msg_recv(int sock, const struct msg_rule *rules, size_t nrules, struct msg *ret_msg)
{
	union fd_control control;
	struct iovec parts[] = {
		{ .iov_base = &ret_msg->head, .iov_len = sizeof(ret_msg->head) },
		{ .iov_base = ret_msg->body, .iov_len = sizeof(ret_msg->body) },
	};
	struct msghdr message = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t got;
	bool cut;
	int nfds;

	memset(&control, 0, sizeof(control));
	memset(ret_msg->fds, 0xff, sizeof(ret_msg->fds));
	do {
		got = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	nfds = take_fds(&message, ret_msg);
	/* An empty packet reads like the end of the stream; no honest peer sends one. */
	if (!got && !nfds)
		return 0;
	/* Some have not come: the limit of open files, or more than a message may have. */
	cut = message.msg_flags & MSG_CTRUNC;
	if (nfds < 0 || (message.msg_flags & MSG_TRUNC) || (size_t)got < sizeof(ret_msg->head) ||
	    (cut ? ret_msg->head.nfds <= nfds : ret_msg->head.nfds != nfds) ||
	    ret_msg->head.len != (size_t)got - sizeof(ret_msg->head) ||
	    !is_allowed(&ret_msg->head, rules, nrules)) {
		msg_close_fds(ret_msg);
		return -EBADMSG;
	}
	if (cut)
		msg_close_fds(ret_msg);
	return cut ? -EMFILE : 1;
}

void msg_close_fds(struct msg *msg)
{
	for (size_t i = 0; i < MSG_FDS_MAX; i++) {
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
		msg->fds[i] = -1;
	}
}
