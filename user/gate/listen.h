/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listening sockets of a gate: bound to the metadata address, a port and the L3
 * interface, made in the current network namespace and handed to a worker later.
 */
#ifndef SLUICE_GATE_LISTEN_H
#define SLUICE_GATE_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct listen_spec {
	/* TCP_CONGESTION of accepted connections; NULL: the system's. */
	const char *congestion;
	int family;	    /* AF_INET or AF_INET6 */
	uint16_t port;	    /* host order */
	const char *device; /* name of the L3 interface */
	uint32_t ifindex;   /* the same as a number */
	uint32_t hop_limit; /* of what is sent on accepted connections; 0: default */
	bool save_syn;	    /* as listen_save_syn() */
	bool group;	    /* one of several; below 6.6 steer cannot assign sockets of groups */
	uid_t owner;	    /* as listen_own() */
	uint32_t mark;	    /* as listen_set_mark() */
};

/*
 * Opens one socket and lets it listen. claim: the first of a group; it fails with
 * -EADDRINUSE if anybody at all listens there already. With spec->group further ones
 * join by SO_REUSEPORT. Returns the descriptor or -errno.
 */
int listen_open(const struct listen_spec *spec, bool claim);
/* Makes an open one the first of a group, which further ones then join. 0 or -errno. */
int listen_share(int sock);
/*
 * Only sockets of the same owner may be bound beside one in a group (net/ipv4/
 * inet_connection_sock.c), and the owner is the socket file's: a chown needs CAP_CHOWN, and no uid
 * but the workers', who cannot make sockets, has the right to join. 0 or -errno.
 */
int listen_own(int sock, uid_t owner);
/*
 * Whose an open one is. After listen_own() on a group that others could join, the kernel still
 * takes the owner of its last member for everybody's; listen_renew() binds one more and closes it
 * again.
 */
bool listen_is_owned(int sock, uid_t owner);
int listen_renew(const struct listen_spec *spec);
/* Of connections accepted from now on; 0: the kernel's default. 0 or -errno. */
int listen_set_hop_limit(int sock, int family, uint32_t hop_limit);
/* Likewise; a name that the kernel does not know changes nothing. */
void listen_set_congestion(int sock, const char *name);
/* What the namespace the caller is in has without that. */
#define LISTEN_CONGESTION_MAX 16
bool listen_default_congestion(char ret[LISTEN_CONGESTION_MAX]);
/* Of what is sent on it, and on connections accepted from now on; 0: none. 0 or -errno. */
int listen_set_mark(int sock, uint32_t mark);
/* Whether connections opened from now on keep their SYN, which holds the client's MAC. */
int listen_save_syn(int sock, bool save);

/*
 * Says who listens on the metadata address's port in this namespace, e.g.
 * "haproxy (pid 812) on 169.254.169.254:80". False when nobody could be named. process: look for
 * the process, which is not this one.
 */
bool listen_holder(int family, uint16_t port, bool process, char *ret_text, size_t size);
/* That process, where it is not not_pid; 0 when it cannot be seen. */
long listen_holder_pid(int family, uint16_t port, long not_pid);
/* The same for a UDP port of IPv4, on any address: "NAME (pid N)". */
bool listen_udp_holder(uint16_t port, char *ret_text, size_t size, long *ret_pid);

#endif
