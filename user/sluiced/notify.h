/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells a service manager (sd_notify(3)'s protocol) how far we are; without one, nothing. */
#ifndef SLUICE_SLUICED_NOTIFY_H
#define SLUICE_SLUICED_NOTIFY_H

void notify_ready(void);
void notify_stopping(void);

#endif
