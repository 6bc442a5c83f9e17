/* SPDX-License-Identifier: BSD-2-Clause */
/* What is kept of a run: STATE/runs/ID.json (plan and outcome), ID.timeline.json, ID.svg. */
#ifndef CLUSTER_RUNS_H
#define CLUSTER_RUNS_H

#include "schedule.h"

int runs_begin(const struct schedule *schedule, const char *kind);
/* Writes report and timeline; returns the report, a new reference, or NULL. */
json_t *runs_end(const struct schedule *schedule, const char *kind);
/* A run's report; id NULL: the last one of this kind (NULL: any; "install": apply or retry). NULL:
 * there is none. */
json_t *runs_read(struct cluster *cluster, const char *id, const char *kind);
void runs_show(const json_t *report);
/* timeline.c: {"run", "mode", "spans": [{"node", "item", "state", "from", "to"}], "sources":
 * [{"node", "item", "peer", "bytes", …}]}, ms from start */
json_t *timeline_make(struct cluster *cluster, const char *run, const char *mode, int64_t started,
		      int64_t ended);
/* malloc'd SVG */
char *timeline_svg(const json_t *timeline);

#endif
