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

struct tenant;

/* What goes along with a reply. */
struct control_rest {
	int fd; /* the caller's to close, or -1 */
	/* For each tenant an element of the reply's last list, which is empty; NULL: no such list.
	 */
	json_t *(*tenant)(struct sluiced *sluiced, struct tenant *tenant);
};

/* Always returns a reply object, or NULL when memory is out. */
json_t *control_command(struct sluiced *sluiced, enum control_access access, const char *line,
			size_t len, struct control_rest *ret_rest);

#endif
