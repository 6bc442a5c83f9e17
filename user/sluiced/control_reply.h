/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the commands of the control socket share: the shape of replies (docs/control.md) and the
 * checks of arguments that several of them take.
 */
#ifndef SLUICE_SLUICED_CONTROL_REPLY_H
#define SLUICE_SLUICED_CONTROL_REPLY_H

#include <jansson.h>
#include <stdbool.h>

json_t *control_error(const char *code, const char *hint, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* An argument that is missing or wrong, and what it may be. */
json_t *control_bad_argument(const char *key);
/* data is taken over; NULL: no memory. */
json_t *control_data(json_t *data);

/* Whether object has no other keys than these, which end with NULL. */
bool control_only_keys(json_t *object, const char *const *keys, const char **ret_unknown);
/* The string under key, NULL when absent; *ret_bad is set when it is something else or empty. */
const char *control_text(json_t *arguments, const char *key, const char **ret_bad);
/* As the kernel's dev_valid_name() has it. */
bool control_interface_valid(const char *name);

#endif
