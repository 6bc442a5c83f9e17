/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries a plan out: decides which node may fetch and install what, and when, writes the nodes'
 * documents, and follows what they report. Nothing is kept in memory that a second apply could not
 * find again in the database and on the nodes.
 *
 *   parallel  so many nodes fetch at once as the cluster file says
 *   swarm     all nodes fetch at once, from the control machine and from each other
 *   stream    one node after the other fetches; each installs as soon as its copy of an item is
 * there
 *
 * In every mode an item is installed on a node when everything before it there is healthy and every
 * component before it is healthy on all nodes that have it.
 */
#ifndef CLUSTER_SCHEDULE_H
#define CLUSTER_SCHEDULE_H

#include "../lib/clock.h"
#include "plan.h"

#define SCHEDULE_LOOK_MS 200 /* between two steps */

struct entry {
	const char *name, *action;
	const json_t *plan;
	bool component, stage, go;
	char state[16];			    /* as reported in this run; "" nothing yet */
	int64_t percent, bytes, rate, most; /* most: the highest percentage of this state */
	char message[256];
};

struct member {
	const char *name;
	const json_t *plan;
	struct entry *entries;
	size_t count;
	int64_t seen;	      /* when it was heard of, by the database */
	int64_t heard, moved; /* awake ms: when that, and what it reports, last changed */
	bool failed, silent;
	bool told, changed; /* it has a document of this run; that is to be written anew */
	char why[320];
};

struct schedule {
	struct cluster *cluster;
	const struct config *config;
	const json_t *plan;
	enum config_mode mode;
	char run[DESIRED_RUN_LEN + 1];
	int64_t started;
	struct awake awake;
	int64_t now; /* awake ms, of this step */
	struct member *members;
	size_t count, failed;
	bool aborted; /* more failed than may: nothing more is released */
	char *control_key;
};

/* 0 or -errno. */
int schedule_begin(struct schedule *schedule, struct cluster *cluster, const struct config *config,
		   const json_t *plan, enum config_mode mode);
/* One look at the database, and what follows from it. Writes documents. 0 or -errno. */
int schedule_step(struct schedule *schedule);
bool schedule_done(const struct schedule *schedule);
void schedule_end(struct schedule *schedule);

bool entry_done(const struct entry *entry);

/* watch.c: the live table, on a terminal redrawn, elsewhere a line for each change. */
struct watch {
	unsigned lines; /* drawn before, on a terminal */
	bool terminal, quiet;
	json_t *shown; /* "node item" → state */
};
void watch_begin(struct watch *watch, bool quiet);
void watch_show(struct watch *watch, const struct schedule *schedule);
void watch_end(struct watch *watch);

#endif
