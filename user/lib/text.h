/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text that somebody else wrote, before a person sees it: what a terminal could act on, or what
 * could change how a line reads, becomes '?'. These are C0 and C1 controls, DEL, the controls of
 * writing direction, and all that is no UTF-8.
 */
#ifndef SLUICE_TEXT_H
#define SLUICE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct json_t;

/* In place; its length stays. lines: newlines stay. */
void text_clean(char *text, size_t len, bool lines);
/* As much of it as fits into size with the NUL, cleaned, no character cut in two. */
void text_copy(char *out, size_t size, const char *text, bool lines);
/* There is nothing to clean. */
bool text_is_plain(const char *text);
/* Prints it cleaned. */
void text_put(FILE *out, const char *text);
/* A copy in which every string is cleaned, keys excepted; NULL: out of memory. */
struct json_t *text_json(const struct json_t *json);

#endif
