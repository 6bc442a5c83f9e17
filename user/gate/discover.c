/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inotify and rtnetlink, read as they are: libnl drops the control message that carries the
 * namespace's id, and has no call for ids.
 */
#include "discover.h"

#include <dirent.h>
#include <errno.h>
#include <linux/net_namespace.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns.h"

#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
/* A thousand namespaces made in one go are some 10,000 messages of a kilobyte. */
#define RECEIVE_BUFFER (16 << 20)
#define MESSAGE_MAX    32768

/* ---- names ------------------------------------------------------------------------------ */

int discover_watch_names(int fd)
{
	/* As ip-netns(8) makes it, which then mounts it onto itself: the inode stays. */
	if (mkdir(NETNS_DIR, 0755) && errno != EEXIST)
		return -errno;
	return inotify_add_watch(fd, NETNS_DIR, NAMES | IN_ONLYDIR) < 0 ? -errno : 0;
}

int discover_open_names(void)
{
	int err, fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return -errno;
	err = discover_watch_names(fd);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int discover_read_names(int fd,
			void (*fn)(enum discover_name_event event, const char *name, void *arg),
			void *arg)
{
	char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));

	for (;;) {
		ssize_t len = read(fd, buffer, sizeof(buffer));

		if (len < 0)
			return errno == EAGAIN ? 0 : -errno;
		for (char *at = buffer; at < buffer + len;) {
			const struct inotify_event *event = (const void *)at;

			at += sizeof(*event) + event->len;
			if (event->mask &
			    (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
				fn(DISCOVER_NAMES_LOST, NULL, arg);
			else if (event->len && event->mask & (IN_CREATE | IN_MOVED_TO))
				fn(DISCOVER_NAME_CAME, event->name, arg);
			else if (event->len && event->mask & (IN_DELETE | IN_MOVED_FROM))
				fn(DISCOVER_NAME_WENT, event->name, arg);
		}
	}
}

int discover_each_name(void (*fn)(const char *name, void *arg), void *arg)
{
	struct dirent *entry;
	DIR *dir = opendir(NETNS_DIR);

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			fn(entry->d_name, arg);
	closedir(dir);
	return 0;
}

/* ---- netlink ------------------------------------------------------------------------------ */

static int open_socket(void)
{
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return sock < 0 ? -errno : sock;
}

/* Events of all namespaces. */
static int open_events(int protocol, uint32_t groups)
{
	/* Bound: one without an address is taken for the kernel, whose messages it does not get. */
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int on = 1, size = RECEIVE_BUFFER;
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int err;

	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (!setsockopt(sock, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof(on)) &&
	    !bind(sock, (struct sockaddr *)&address, sizeof(address)))
		return sock;
	err = -errno;
	close(sock);
	return err;
}

int discover_open_links(void)
{
	return open_events(NETLINK_ROUTE, RTMGRP_LINK);
}

int discover_open_rules(void)
{
	return open_events(NETLINK_NETFILTER, 1 << (NFNLGRP_NFTABLES - 1));
}

/* The attribute of a message behind a header of head bytes; NULL: not there. */
static const struct rtattr *find_attribute(const struct nlmsghdr *message, size_t head,
					   unsigned short type)
{
	long left = (long)message->nlmsg_len - (long)NLMSG_SPACE(head);
	const struct rtattr *attribute = (const void *)((const char *)message + NLMSG_SPACE(head));

	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if ((attribute->rta_type & NLA_TYPE_MASK) == type)
			return attribute;
	return NULL;
}

/* One question about a namespace's id, and the answer: 0 and *ret_nsid, or -errno. */
static int ask_nsid(int sock, uint16_t type, int netns, int32_t *ret_nsid)
{
	struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
		struct rtattr fd_head __attribute__((aligned(NLMSG_ALIGNTO)));
		uint32_t fd;
		struct rtattr id_head;
		int32_t id;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = type,
			  .nlmsg_flags = NLM_F_REQUEST | (type == RTM_NEWNSID ? NLM_F_ACK : 0) },
		.fd_head = { .rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = NETNSA_FD },
		.fd = (uint32_t)netns,
		.id_head = { .rta_len = RTA_LENGTH(sizeof(int32_t)), .rta_type = NETNSA_NSID },
		.id = -1, /* the kernel chooses */
	};
	char buffer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *answer = (const void *)buffer;
	const struct rtattr *id;
	ssize_t len;

	if (type == RTM_GETNSID)
		request.head.nlmsg_len = offsetof(typeof(request), id_head);
	if (send(sock, &request, request.head.nlmsg_len, 0) < 0)
		return -errno;
	len = recv(sock, buffer, sizeof(buffer), 0);
	if (len < 0)
		return -errno;
	if (!NLMSG_OK(answer, (size_t)len))
		return -EPROTO;
	if (answer->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(answer))->error;
	id = find_attribute(answer, sizeof(struct rtgenmsg), NETNSA_NSID);
	if (!id || RTA_PAYLOAD(id) < sizeof(*ret_nsid))
		return -EPROTO;
	memcpy(ret_nsid, RTA_DATA(id), sizeof(*ret_nsid));
	return 0;
}

int discover_assign_nsid(int netns, int32_t *ret_nsid)
{
	int32_t nsid = NETNSA_NSID_NOT_ASSIGNED;
	int sock = open_socket();
	int err;

	if (sock < 0)
		return sock;
	err = ask_nsid(sock, RTM_GETNSID, netns, &nsid);
	if (!err && nsid == NETNSA_NSID_NOT_ASSIGNED) {
		err = ask_nsid(sock, RTM_NEWNSID, netns, &nsid);
		if (!err || err == -EEXIST)
			err = ask_nsid(sock, RTM_GETNSID, netns, &nsid);
	}
	close(sock);
	if (!err)
		*ret_nsid = nsid;
	return err;
}

static int32_t nsid_of(struct msghdr *header)
{
	int32_t nsid = DISCOVER_NO_NSID;

	for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
	     control = CMSG_NXTHDR(header, control))
		if (control->cmsg_level == SOL_NETLINK &&
		    control->cmsg_type == NETLINK_LISTEN_ALL_NSID)
			memcpy(&nsid, CMSG_DATA(control), sizeof(nsid));
	return nsid;
}

static void read_messages(const char *buffer, size_t len, int32_t nsid, bool rules,
			  void (*fn)(int32_t nsid, void *arg), void *arg)
{
	for (const struct nlmsghdr *message = (const void *)buffer; NLMSG_OK(message, len);
	     message = NLMSG_NEXT(message, len)) {
		uint16_t type = message->nlmsg_type;

		/* The last message of a transaction stands for all of them. */
		if (rules ? type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN)
			  : type == RTM_NEWLINK || type == RTM_DELLINK)
			fn(nsid, arg);
	}
}

static int read_events(int fd, bool rules, void (*fn)(int32_t nsid, void *arg), void *arg)
{
	static char buffer[MESSAGE_MAX] __attribute__((aligned(NLMSG_ALIGNTO))); /* one thread */
	char control[CMSG_SPACE(sizeof(int32_t))];

	for (;;) {
		struct sockaddr_nl from;
		struct iovec iov = { buffer, sizeof(buffer) };
		struct msghdr header = { .msg_name = &from,
					 .msg_namelen = sizeof(from),
					 .msg_iov = &iov,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control) };
		ssize_t len = recvmsg(fd, &header, 0);

		if (len < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (header.msg_flags & MSG_TRUNC)
			return -ENOBUFS;
		if (from.nl_pid == 0) /* from the kernel, not from a process */
			read_messages(buffer, (size_t)len, nsid_of(&header), rules, fn, arg);
	}
}

int discover_read_links(int fd, void (*fn)(int32_t nsid, void *arg), void *arg)
{
	return read_events(fd, false, fn, arg);
}

int discover_read_rules(int fd, void (*fn)(int32_t nsid, void *arg), void *arg)
{
	return read_events(fd, true, fn, arg);
}

int discover_each_link(void (*fn)(const char *name, void *arg), void *arg)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg body;
	} request = { .head = { .nlmsg_len = sizeof(request),
				.nlmsg_type = RTM_GETLINK,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	static char buffer[MESSAGE_MAX] __attribute__((aligned(NLMSG_ALIGNTO))); /* one thread */
	int sock = open_socket();
	bool done = false, torn = false;
	int err = 0;

	if (sock < 0)
		return sock;
	if (send(sock, &request, sizeof(request), 0) < 0)
		err = -errno;
	while (!err && !done) {
		ssize_t got = recv(sock, buffer, sizeof(buffer), 0);
		size_t len = got < 0 ? 0 : (size_t)got;

		if (got < 0)
			err = -errno;
		for (const struct nlmsghdr *message = (const void *)buffer;
		     NLMSG_OK(message, len) && !done; message = NLMSG_NEXT(message, len)) {
			const struct rtattr *name;

			if (message->nlmsg_type == NLMSG_ERROR)
				err = ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
			done = message->nlmsg_type == NLMSG_DONE ||
			       message->nlmsg_type == NLMSG_ERROR;
			torn |= message->nlmsg_flags & NLM_F_DUMP_INTR;
			if (message->nlmsg_type != RTM_NEWLINK ||
			    ((const struct ifinfomsg *)NLMSG_DATA(message))->ifi_flags &
				    IFF_LOOPBACK)
				continue;
			name = find_attribute(message, sizeof(struct ifinfomsg), IFLA_IFNAME);
			if (name && memchr(RTA_DATA(name), '\0', RTA_PAYLOAD(name)))
				fn(RTA_DATA(name), arg);
		}
	}
	close(sock);
	return !err && torn ? -EAGAIN : err;
}
