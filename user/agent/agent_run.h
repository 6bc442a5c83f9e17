/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One operation's run of the package manager, between agent_run.c, which has it done, and
 * agent_dpkg.c, which has dpkg finish what was cut short before.
 */
#ifndef AGENT_RUN_H
#define AGENT_RUN_H

#include "agent.h"

#define WORDS_MAX (INSTRUCTION_PACKAGES_MAX + 48)
#define TORN_MAX  32

/* What dpkg was cut off in while it unpacked or removed it. */
struct torn {
	char name[256];	 /* with its architecture, where there may be another of the name */
	size_t said;	 /* how much of it an order says: not the machine's own architecture */
	bool wanted;	 /* not to be removed */
	bool incomplete; /* dpkg does not remove it as it is */
	bool gone;	 /* by now */
};

struct run {
	const char *argv[WORDS_MAX];
	unsigned argc;
	char room[12][320]; /* words that had to be made */
	unsigned made;
	void (*tell)(unsigned percent, void *arg);
	void *arg;
	struct agent_result *result;
	unsigned percent;
	char line[512]; /* of Status-Fd, or of dnf's output, as far as it has come */
	size_t line_len;
	void (*read)(struct run *run, char *line);
	bool dnf;
	struct torn torn[TORN_MAX];
	unsigned torn_count;
	char native[32]; /* dpkg's architecture; "" until it was asked */
	char error[AGENT_MESSAGE_MAX + 1];
	char left[AGENT_MESSAGE_MAX + 1]; /* why dpkg is left as it was found */
};

/* ---- agent_run.c ---- */

/* A word of the command line, which must live until that is executed. */
void run_add(struct run *run, const char *word);
/* Begins an apt-get of its options. progress: it says how far it has come. */
void run_apt_begin(struct run *run, const struct agent_options *options, bool progress);
/* 0 when the program ended with 0. read gets the lines of what it says as its status. */
int run_execute(struct run *run, void (*read)(struct run *run, char *line));
/* A line of apt's status. */
void run_read_status(struct run *run, char *line);
/* A line of ours in the operation's log. */
void run_note(struct run *run, const char *text);

/* ---- agent_dpkg.c ---- */

/*
 * Has dpkg finish what it was cut off in; finds what it cannot finish, or sets left. 0, -EBUSY and
 * error when another program is at work with dpkg for too long, or -ECANCELED: the agent is to end.
 */
int dpkg_recover(struct run *run, const struct agent_options *options);
/* Has what was found installed again, or removed where the operation orders that. As above. */
int dpkg_mend(struct run *run, const struct agent_options *options, const json_t *operation,
	      const char *action);
/* The last look, when apt-get has ended well. 0, or -EIO and error: an ordered one is torn. */
int dpkg_check(struct run *run, const struct agent_options *options, const json_t *operation);
/* It was removed so: the operation's word for it is done. */
bool dpkg_is_gone(const struct run *run, const char *word);

#endif
