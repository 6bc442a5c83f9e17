/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line of the access log, as text or JSON. Workers write them, which speak with VMs: what one
 * holds is not believed.
 */
#ifndef SLUICE_LOG_LINE_H
#define SLUICE_LOG_LINE_H

#include <stdbool.h>

#define LOG_LINE_MAX 4096 /* longer ones no worker of ours writes (relay/access.h) */

/*
 * The line as it shall be printed, in plain ASCII, malloc'd; tenant NULL: of all. NULL when it is
 * of another tenant, or no line that can be read.
 */
char *log_line_render(const char *line, bool json, const char *tenant);

#endif
