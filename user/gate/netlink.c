/* SPDX-License-Identifier: BSD-2-Clause */
#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>

int netlink_errno(int result)
{
	switch (result < 0 ? -result : 0) {
	case 0:
		return 0;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND:
		return -ENODEV;
	case NLE_EXIST:
		return -EEXIST;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_INVAL:
		return -EINVAL;
	case NLE_RANGE:
		return -ERANGE;
	case NLE_AF_NOSUPPORT:
		return -EAFNOSUPPORT;
	case NLE_PROTO_MISMATCH:
		return -EPROTONOSUPPORT;
	case NLE_OPNOTSUPP:
		return -EOPNOTSUPP;
	case NLE_BUSY:
		return -EBUSY;
	default:
		return -EIO;
	}
}

struct nl_sock *netlink_open(void)
{
	struct nl_sock *sock = nl_socket_alloc();
	int err;

	if (!sock) {
		errno = ENOMEM;
		return NULL;
	}
	err = netlink_errno(nl_connect(sock, NETLINK_ROUTE)); /* O_CLOEXEC inside */
	if (err) {
		nl_socket_free(sock);
		errno = -err;
		return NULL;
	}
	return sock;
}
