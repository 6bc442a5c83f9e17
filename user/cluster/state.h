/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the control machine remembers: STATE/cluster.db (SQLite, WAL). The server and every
 * command open it for themselves; a command that changes something is seen by the server's
 * waiting requests through PRAGMA data_version.
 *
 *   tokens    one-time enrolment tokens, as digests    pending  requests that await approval
 *   nodes     enrolled machines, their newest document and what they told of themselves
 *   runs      one row for each apply                   items    what became of an item on a node
 *   events    what happened when: the timeline
 *   agents    which document a node refuses and why, which process its reports come from
 *   sources   what came from which peer, in mode swarm
 *
 * Functions return 0 or -errno; state_why() has the database's own words for the last failure.
 */
#ifndef CLUSTER_STATE_H
#define CLUSTER_STATE_H

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/desired.h"
#include "../lib/name.h"

#define STATE_NODE_MAX	  63
#define STATE_ADDRESS_MAX 63

/* Seconds for agents to answer: one that lost its link dials again after up to 15. */
#define STATE_AWAIT 20

struct state {
	sqlite3 *db;
};

/* create: by init alone; otherwise a missing database is -ENOENT. */
int state_open(const char *directory, bool create, struct state *ret_state);
void state_close(struct state *state);
const char *state_why(const struct state *state);
/* Milliseconds since the epoch. */
int64_t state_now(void);
/* Milliseconds that no setting of the clock changes: what deadlines are made of. */
int64_t state_ticks(void);
/* Changes whenever another connection has written. */
int64_t state_version(struct state *state);

int state_begin(struct state *state);
/* Commits when err is 0, else undoes. Returns err, or why the commit failed. */
int state_end(struct state *state, int err);

/*
 * Runs one statement. Arguments follow format, a letter each: s text (NULL allowed), i int64_t,
 * b bool. rows, when not NULL, gets a JSON array of objects named by the columns (integers and
 * texts).
 */
int state_run(struct state *state, json_t **ret_rows, const char *sql, const char *format, ...);
/* The first column of the first row; -ENOENT without one. */
int state_number(struct state *state, int64_t *ret_value, const char *sql, const char *format, ...);
/*
 * await.c: looks until the statement, whose one argument is value, yields 0; at most so many
 * seconds, in which this machine does not stand still. 0 in both cases, or -errno.
 */
int state_await_none(struct state *state, unsigned seconds, const char *sql, int64_t value);
/* malloc'd */
char *state_text(struct state *state, const char *sql, const char *format, ...);

/* A value by its key: "run", "refresh", … */
char *state_meta(struct state *state, const char *key);
int state_meta_set(struct state *state, const char *key, const char *value);

#endif
