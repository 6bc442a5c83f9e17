/* SPDX-License-Identifier: BSD-2-Clause */
/* One GET of a range from a web server, with its redirects and the caller's credentials. */
#ifndef BUNDLE_WEB_H
#define BUNDLE_WEB_H

#include <stddef.h>
#include <stdint.h>

struct bundle_error;
struct web;

struct web_options {
	const char *token_file; /* a bearer token; its first line counts */
	const char *user_file;	/* "NAME:PASSWORD" */
	const char *ca;		/* certificates of servers; NULL: the system's */
};

struct web_answer {
	uint64_t size; /* of the whole file */
	size_t len;    /* bytes that came, also when the connection broke after them */
	char etag[256];
	char why[512]; /* when web_get() fails */
};

int web_open(const struct web_options *options, struct web **ret_web, struct bundle_error *error);
void web_close(struct web *web);
/*
 * Up to wanted bytes from offset into buffer. 0, or with why: -EAGAIN (worth trying again),
 * -ENOENT, -EACCES (credentials are wanted or wrong), -ENOTSUP (the server does not know ranges),
 * -EPERM (a redirect that is not followed), -ELOOP (too many), -EINVAL (no URL).
 */
int web_get(struct web *web, const char *url, uint64_t offset, void *buffer, size_t wanted,
	    struct web_answer *ret_answer);

#endif
