/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request of the control socket: a line of JSON in, a reply out. Who asks has been
 * established by control.c.
 */
#ifndef SLUICE_SLUICED_CONTROL_COMMAND_H
#define SLUICE_SLUICED_CONTROL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "sluiced.h"

enum control_access { CONTROL_DENIED, CONTROL_READ, CONTROL_ADMIN };

/*
 * Always returns a reply object, or NULL when memory is out. *ret_fd is a descriptor that goes
 * along with it, the caller's to close, or -1.
 */
json_t *control_command(struct sluiced *sluiced, enum control_access access, const char *line,
			size_t len, int *ret_fd);

#endif
