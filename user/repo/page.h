/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages for a browser on the management side: what is there, who sees it, who did what, how far
 * VMs are. Plain HTML without scripts. Everything that comes from a package, a VM or a person
 * goes through page_text().
 */
#ifndef REPO_PAGE_H
#define REPO_PAGE_H

#include <stdint.h>
#include <stdio.h>

#include "api.h"

/* Up to the heading. refresh: seconds after which a browser loads the page again, or 0. */
void page_head(FILE *out, const char *title, unsigned refresh);
/* Escaped; as a table's cell; a time in UTC as a cell. */
void page_text(FILE *out, const char *text);
void page_cell(FILE *out, const char *text);
void page_time(FILE *out, int64_t when);
/* Ends the page and closes out, an open_memstream() of text; sets the reply. */
void page_end(struct request *request, FILE *out, char **text);

#endif
