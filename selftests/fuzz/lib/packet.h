/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet with descriptors along, as no sender of ours would make it. */
#ifndef SELFTESTS_FUZZ_PACKET_H
#define SELFTESTS_FUZZ_PACKET_H

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PACKET_FDS_MAX 80

/* fd goes along nfds times. False: the socket is full, or the other side has hung up. */
static inline bool packet_send(int sock, const void *bytes, size_t len, int fd, unsigned nfds)
{
	char control[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec part = { (void *)bytes, len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *cmsg = (struct cmsghdr *)control;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (unsigned i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(fd));
	}
	return sendmsg(sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

#endif
