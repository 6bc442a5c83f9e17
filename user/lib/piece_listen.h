/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket at which a machine that serves pieces waits for those that fetch them: a control
 * machine or a node of its cluster.
 */
#ifndef SLUICE_LIB_PIECE_LISTEN_H
#define SLUICE_LIB_PIECE_LISTEN_H

#include <stdint.h>

/* address: IPv4 or IPv6, as text. An O_CLOEXEC, non-blocking descriptor that listens, or -errno. */
int piece_listen(const char *address, uint16_t port, int backlog);

#endif
