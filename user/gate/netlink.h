/* SPDX-License-Identifier: BSD-2-Clause */
/* A route netlink socket, and what libnl's errors mean. */
#ifndef SLUICE_GATE_NETLINK_H
#define SLUICE_GATE_NETLINK_H

struct nl_sock;

/*
 * Of the current namespace, which it would pin: it is freed with nl_socket_free() before the
 * namespace is left. NULL with errno.
 */
struct nl_sock *netlink_open(void);
/* -errno for what libnl returned, 0 for success. */
int netlink_errno(int result);

#endif
