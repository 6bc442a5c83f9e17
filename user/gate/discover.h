/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel says about namespaces and their interfaces: names that come and go under
 * /run/netns (inotify), interfaces that come, go or change in any namespace that has an id
 * here (one netlink socket for all of them), and what a namespace holds now. Nothing here
 * pins a namespace.
 */
#ifndef SLUICE_GATE_DISCOVER_H
#define SLUICE_GATE_DISCOVER_H

#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- names under /run/netns ------------------------------------------------------------ */

/* Watches the directory, making it if need be. An O_CLOEXEC, non-blocking descriptor or -errno. */
int discover_open_names(void);
/*
 * Watches what has the directory's name now: it may have been removed and made anew, or something
 * may have been mounted there. 0, also when it is watched already, or -errno.
 */
int discover_watch_names(int fd);

enum discover_name_event {
	DISCOVER_NAME_CAME, /* may not be a namespace yet: the bind mount follows */
	DISCOVER_NAME_WENT,
	DISCOVER_NAMES_LOST, /* events were lost, or the directory went: look at all of them */
};
/* Calls fn for each event that waits. 0 or -errno. */
int discover_read_names(int fd,
			void (*fn)(enum discover_name_event event, const char *name, void *arg),
			void *arg);
/* Calls fn for every name there is. 0 or -errno. */
int discover_each_name(void (*fn)(const char *name, void *arg), void *arg);

/* ---- interfaces of all namespaces --------------------------------------------------------- */

#define DISCOVER_NO_NSID (-1) /* the namespace the socket was made in */

/* The one socket. An O_CLOEXEC, non-blocking descriptor or -errno. */
int discover_open_links(void);
/*
 * Gives the namespace an id in ours if it has none: without one its events are not delivered
 * here. The kernel takes the id back with the namespace. 0 or -errno.
 */
int discover_assign_nsid(int netns, int32_t *ret_nsid);
/* The same for changes of packet filters. -EPROTONOSUPPORT: this kernel has no netfilter. */
int discover_open_rules(void);
/* Calls fn for each ruleset that changed; returns as discover_read_links(). */
int discover_read_rules(int fd, void (*fn)(int32_t nsid, void *arg), void *arg);
/*
 * Calls fn for each interface that came, went or changed, with the id of its namespace. 0, or
 * -ENOBUFS when events were lost, or -errno.
 */
int discover_read_links(int fd, void (*fn)(int32_t nsid, void *arg), void *arg);

/* ---- what is there --------------------------------------------------------------------------- */

/*
 * Calls fn for every interface of the current namespace but the loopback. 0, or -EAGAIN when
 * interfaces came or went meanwhile, and others may be missing, or -errno.
 */
int discover_each_link(void (*fn)(const char *name, void *arg), void *arg);

#endif
