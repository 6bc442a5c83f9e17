/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Identity headers: how an origin learns who asks. Only what is known about the socket
 * and its port binding goes in, nothing a client sent except method and target, which
 * the "sluice" signature covers.
 *
 *  none     nothing
 *  sluice   X-Sluice-Tenant, X-Sluice-Client, X-Sluice-Instance (when bound) and, with a
 *	     secret, X-Sluice-Time (seconds, Unix) and X-Sluice-Signature, which is
 *	     "v1=" and the lower-case hex HMAC-SHA256 over seven lines, each ended by LF:
 *	     "v1", tenant, instance (may be empty), client, method, target, time.
 *	     A verifier refuses times more than IDENTITY_TIME_WINDOW seconds off.
 *  neutron  X-Forwarded-For and, by the namespace's name, one of X-Neutron-Router-ID
 *	     (qrouter-ID), X-Neutron-Network-ID (qdhcp-ID), X-OVN-Network-ID (ovnmeta-ID)
 *  nova     X-Forwarded-For, X-Instance-ID, X-Tenant-ID and X-Instance-ID-Signature, the
 *	     lower-case hex HMAC-SHA256 over the instance id
 */
#ifndef SLUICE_RELAY_IDENTITY_H
#define SLUICE_RELAY_IDENTITY_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/conf.h"

#define IDENTITY_MAX	     1024 /* bytes that identity_write() needs at most */
#define IDENTITY_TIME_WINDOW 60

struct identity_input {
	const char *tenant;	/* the tenant's name */
	const char *network;	/* the tenant's namespace, "qrouter-ID"; NULL when not known */
	const char *instance;	/* from the port binding; NULL without one */
	const char *project;	/* likewise */
	struct in6_addr client; /* the VM's address, IPv4 as ::ffff:a.b.c.d */
	const char *method;	/* as sent on */
	size_t method_len;
	const char *target; /* as sent on */
	size_t target_len;
	int64_t time; /* CLOCK_REALTIME, seconds */
};

/*
 * Prepares libcrypto, without its configuration file: no file is opened. 0 or -ENOTSUP.
 * identity_write() does it by itself otherwise; done early, the first request is not slower.
 */
int identity_init(void);

/*
 * Writes the lines for a service with this identity and secret (NULL: none), each ended
 * by CRLF, without a NUL. Returns their length, or
 *  -ENOENT  nova without a binding, neutron in a namespace of another name: answer 404
 *  -ENOKEY  nova without a secret: answer 500
 *  -EINVAL  tenant, instance or project hold bytes that no header value may: 500
 *  -E2BIG   out is too small
 *  -ENOTSUP libcrypto has no HMAC-SHA256
 */
int identity_write(enum conf_identity identity, const char *secret, const struct identity_input *in,
		   char *out, size_t size);

#endif
