/* SPDX-License-Identifier: BSD-2-Clause */
/* The listening side of sluice-repod: one libmicrohttpd daemon per address. */
#ifndef REPO_HTTP_H
#define REPO_HTTP_H

#include "repod.h"

struct listener {
	struct repod *repod;
	const struct settings_listen *settings;
	struct MHD_Daemon *daemon;
	int socket;
};

/* Binds and listens. 0, or -errno and *ret_why. */
int http_listen(struct listener *listener, struct repod *repod,
		const struct settings_listen *settings, char **ret_why);
/* Serves from now on. 0 or -errno. */
int http_start(struct listener *listener);
/* Accepts nothing more; what is being answered goes on. */
void http_quiesce(struct listener *listener);
/* Gives its address back, and no more: for who is about to exit while jobs are at work. */
void http_leave(struct listener *listener);
/* Ends it; jobs must have ended. */
void http_stop(struct listener *listener);
/* Connections open now. */
unsigned http_connections(const struct listener *listener);

#endif
