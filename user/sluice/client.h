/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request to sluiced and its reply, over the control socket (docs/control.md). What
 * goes wrong is said on stderr, with the next step.
 */
#ifndef SLUICE_CLIENT_H
#define SLUICE_CLIENT_H

#include <jansson.h>

#include "command.h"

/*
 * Sends command with arguments (taken over; may be NULL). STATUS_OK and *ret_data (a new
 * reference, never NULL), or the status to exit with, after having said why.
 */
enum status client_call(const struct common *common, const char *command, json_t *arguments,
			json_t **ret_data);
/* The same for a command whose reply comes with a descriptor, the caller's to close. */
enum status client_open(const struct common *common, const char *command, json_t *arguments,
			json_t **ret_data, int *ret_fd);
/*
 * Silent when nobody answers within the time, which is then STATUS_NO_DAEMON; *ret_fd is set to a
 * descriptor that came along, if it was -1.
 */
enum status client_ask(const struct common *common, const char *command, json_t *arguments,
		       unsigned timeout_s, json_t **ret_data, int *ret_fd);
/* As client_call(), but silent when nobody answers: for what is only nice to know. */
enum status client_try(const struct common *common, const char *command, json_t **ret_data);

#endif
