/* SPDX-License-Identifier: BSD-2-Clause */
/* A container on a web server, or its parts there, read by ranges: nothing else is fetched. */
#ifndef BUNDLE_HTTP_H
#define BUNDLE_HTTP_H

#include <stdbool.h>

struct bundle_error;
struct bundle_source;
struct web_options;

bool http_is_url(const char *text);
/*
 * url is a file, or the first part (….001) or the common name of a split one. tries: how often a
 * request is made again when the connection breaks or the server has no time. -ENOTSUP: the server
 * does not know ranges; -ESTALE from reading: a file changed meanwhile; others: web_get().
 */
int http_open(const char *url, unsigned tries, const struct web_options *options,
	      struct bundle_source **ret_source, struct bundle_error *error);

#endif
