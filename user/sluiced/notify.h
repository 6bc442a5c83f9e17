/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells a service manager (sd_notify(3)'s protocol) how far we are; without one, nothing. */
#ifndef SLUICE_SLUICED_NOTIFY_H
#define SLUICE_SLUICED_NOTIFY_H

struct loop;

/* We serve. From then on also says so every now and then, if the manager watches (WATCHDOG_USEC):
 * a loop that hangs is heard by its silence. */
void notify_ready(struct loop *loop);
/* Says so out of turn, before and after what takes its time. */
void notify_alive(void);
void notify_stopping(struct loop *loop);

#endif
