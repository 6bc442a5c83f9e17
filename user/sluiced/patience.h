/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a worker is waited for. Its silence says little: a machine that stands still, or lends
 * its processors away, silences a worker that is well, and to end that one cuts every connection it
 * has.
 */
#ifndef SLUICE_SLUICED_PATIENCE_H
#define SLUICE_SLUICED_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_SILENT_MS                                                                         \
	5000		       /* it says each second that it turns: who is well gets what is new */
#define PATIENCE_HANG_MS 30000 /* and is ended */

struct worker;

/* now_ms is loop_now(). The parent stood for gap_ms until then, in which nobody could be heard. */
void patience_lend(struct worker *worker, uint64_t gap_ms, uint64_t now_ms);
/*
 * A pulse. Who was silent stood still, most likely, and so did its clock, by which it drains: time
 * of a silence is lent to the drain.
 */
void patience_heard(struct worker *worker, uint64_t now_ms);
bool patience_silent(const struct worker *worker, uint64_t now_ms);
/* Why it is to be killed, or NULL. */
const char *patience_over(const struct worker *worker, uint64_t now_ms);

#endif
