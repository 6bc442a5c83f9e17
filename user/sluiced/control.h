/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket RUN_DIR/control.sock: JSON lines, as docs/control.md says.
 */
#ifndef SLUICE_SLUICED_CONTROL_H
#define SLUICE_SLUICED_CONTROL_H

#include "sluiced.h"

struct control;

/* sock is an earlier parent's listening socket, taken over also on failure, or -1. */
int control_new(struct sluiced *sluiced, int sock, struct control **ret);
int control_fd(const struct control *control);
/* Closes and removes the socket. NULL is fine. */
void control_free(struct control *control);

#endif
