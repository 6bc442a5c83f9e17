/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A private apt: lists, caches, archives and the dpkg status of the base are in WORK/apt, and
 * nothing of this machine's apt changes. Its sources are this machine's, directories of .debs, or
 * both, as the definition says.
 */
#ifndef BUNDLE_APT_H
#define BUNDLE_APT_H

#include "../lib/bundle.h"

#define APT_TOOL_TIME 300 /* seconds */
#define APT_WORDS_MAX (BUNDLE_LIST_MAX + 32)

struct definition;

struct apt {
	const struct definition *definition;
	char path[4096 - 256]; /* WORK/apt */
	char status[4096];     /* path of what packages are resolved against */
	int dir;	       /* of path */
};

/* A command line. */
struct apt_words {
	const char *list[APT_WORDS_MAX];
	unsigned count;
	char environment[4][1024];
};

/* work is a directory of ours; its apt/ is made. Reads the lists: may take a while. */
int apt_open(const struct definition *definition, const char *work, struct apt **ret_apt,
	     struct bundle_error *error);
void apt_close(struct apt *apt);

/* A command of any tool, and one of apt's. */
void apt_words_begin(struct apt_words *words);
void apt_begin(struct apt_words *words, const char *tool);
void apt_words_add(struct apt_words *words, const char *word);
/* Runs it in the directory, with the whole of stdout in *ret_text (may be NULL). */
int apt_tool(struct apt *apt, struct apt_words *words, unsigned timeout, char **ret_text,
	     const char *what, struct bundle_error *error);
/* The same for what apt_begin() began: the error is what apt says it is. */
int apt_run(struct apt *apt, struct apt_words *words, unsigned timeout, char **ret_text,
	    const char *what, struct bundle_error *error);

#endif
