/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-agent, in a VM: asks for what it is to do, verifies who says so, does it with the
 * system's own package manager, and reports.
 *
 *   agent.c      options, the loop that polls
 *   agent_follow.c verifies a document, has the next operation done, reports
 *   agent_http.c one GET or POST through libcurl
 *   agent_state.c what survives a crash: the highest generation seen, each operation's end
 *   agent_run.c  runs the package manager, turns its progress into percent
 *   agent_dpkg.c has what dpkg was cut off in finished first
 */
#ifndef AGENT_H
#define AGENT_H

#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/instruction.h"

#define AGENT_MESSAGE_MAX 300
#define AGENT_LOG_MAX	  4000

struct agent_options {
	const char *url, *key_file, *state, *instance, *tenant, *sources, *root, *manager;
	uint32_t wait;
	bool once, verbose, version, help;
};

/* An operation's end, and how it got there. */
struct agent_result {
	bool failed;
	char message[AGENT_MESSAGE_MAX + 1];
	char log[AGENT_LOG_MAX + 1]; /* the tail of what the package manager said */
};

/* Set by SIGTERM: polls end at once, a package manager is let finish. */
extern volatile sig_atomic_t agent_ending;

/* ---- agent_http.c ---- */

/* Returns the status, or -1 and *ret_why (static). The body is malloc'd, NUL-terminated. */
long agent_get(const char *url, unsigned timeout, char **ret_body, size_t *ret_len,
	       const char **ret_why);
long agent_post(const char *url, const char *body, const char **ret_why);

/* ---- agent_state.c ---- */

struct agent_state {
	char path[256];
	int64_t generation; /* carried out to its end */
	int64_t seen;	    /* the highest whose signature was right */
	/* operation id → {"state", "message", "told", "log" until it is told} */
	json_t *ended;
	char running[17]; /* begun and not ended: "" for none */
	/* Whose the first document was that was followed: "" before. */
	char tenant[64], instance[INSTRUCTION_INSTANCE_MAX + 1];
	bool unsaved; /* the last time, it did not get to the disk */
};

/* A state that cannot be read is an error: going on would forget the generation. */
int agent_state_load(struct agent_state *state, const char *directory);
/* What load() does with the file's text. 0, or -EBADMSG and nothing to free. */
int agent_state_parse(struct agent_state *state, const char *text, size_t len);
/* Whole or not at all, and on disk. 0 or -errno. */
int agent_state_save(struct agent_state *state);
/*
 * An operation's end, saved. What was remembered longest need not be known for ever, except of
 * the document's own operations: it is read again when one has ended. 0 or -errno.
 */
int agent_state_end(struct agent_state *state, const json_t *operations, const char *id,
		    const struct agent_result *result);
/* A result was heard: only that it ended is kept. To be saved. */
void agent_state_told(json_t *result);
/* Nothing is remembered any more, on disk from the next save on. 0 or -errno. */
int agent_state_forget(struct agent_state *state);
void agent_state_free(struct agent_state *state);

/* ---- agent_follow.c ---- */

struct agent {
	struct agent_options options;
	struct agent_state state;
	char *keys; /* public, PEM */
	char instance[INSTRUCTION_INSTANCE_MAX + 1];
	const char *operation;	  /* what is being done */
	const json_t *operations; /* of the document that is being followed */
	int64_t told_ms;
	bool more;		/* there may be another operation: ask again at once */
	char program[PATH_MAX]; /* what was executed; "" when that is not known */
	char **argv;
};

/* Does the next operation of a document, if it is what it must be. 0 or -errno (said why). */
int agent_follow(struct agent *agent, const char *text, size_t len);
/* Reports results that could not be reported when they were there. */
void agent_tell_results(struct agent *agent);

/* ---- agent_run.c ---- */

/*
 * Carries out one operation. tell(percent, arg) is called when the percentage moves. False: it was
 * not begun, for the agent is to end.
 */
bool agent_run(const struct agent_options *options, const json_t *operation,
	       void (*tell)(unsigned percent, void *arg), void *arg,
	       struct agent_result *ret_result);

#endif
