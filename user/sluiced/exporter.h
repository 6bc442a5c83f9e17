/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Prometheus endpoint: a process of its own ("sluiced --exporter") with its own uid, no
 * capability, an empty network namespace and a short list of system calls. It holds the listening
 * socket that the parent opened, the connections accepted on it, and fd 3, on which it asks for
 * the text and gets a memfd. It ends when the parent does.
 */
#ifndef SLUICE_SLUICED_EXPORTER_H
#define SLUICE_SLUICED_EXPORTER_H

#include "../lib/msg.h"

#define EXPORTER_FD 3

enum exporter_message {
	EXPORTER_LISTEN = 1, /* parent → exporter, first; fds: a listening socket */
	EXPORTER_ASK,	     /* exporter → parent, id chosen by the exporter */
	EXPORTER_TEXT, /* parent → exporter, id of the ASK; fds: a memfd, or none: not now */
};

int exporter_main(void);

#endif
