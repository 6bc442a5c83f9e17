/* SPDX-License-Identifier: BSD-2-Clause */
/* A container on a web server, read by ranges: nothing is fetched that is not asked for. */
#ifndef BUNDLE_HTTP_H
#define BUNDLE_HTTP_H

#include <stdbool.h>

struct bundle_error;
struct bundle_source;

bool http_is_url(const char *text);
/*
 * tries: how often a request is made again when the connection breaks or the server has no time.
 * -ENOTSUP: the server does not know ranges; -ESTALE from reading: the file changed meanwhile.
 */
int http_open(const char *url, unsigned tries, struct bundle_source **ret_source,
	      struct bundle_error *error);

#endif
