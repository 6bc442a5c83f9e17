/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes on, for somebody at a terminal: one line on standard error that is drawn over itself,
 * never wider than the terminal. What else is said there begins with progress_clear().
 */
#ifndef SLUICE_PROGRESS_H
#define SLUICE_PROGRESS_H

#include <stdbool.h>

/* A terminal that understands more than lines: TERM is there and not "dumb". */
bool progress_terminal(int fd);
/* Of the terminal; 80 and 24 where it does not say. */
void progress_size(int fd, unsigned *ret_columns, unsigned *ret_lines);
/* "label [####....]  42 %  rest": label is cut, and the bar left out, where there is no room. */
void progress_draw(const char *label, unsigned percent, const char *rest);
/* A line without a bar. */
void progress_say(const char *what, const char *name);
/* Takes the line away, if one is drawn. */
void progress_clear(void);

#endif
