/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The word that somebody probably meant: whoever refuses a word offers those there are, one by
 * one, and names the nearest.
 */
#ifndef SLUICE_NEAREST_H
#define SLUICE_NEAREST_H

struct nearest {
	const char *typed; /* all that the caller sets */
	const char *word;  /* the nearest so far, as it was offered; NULL: none is near */
	unsigned far;	   /* changes to get there */
};

/*
 * Near is a word that is had by few changes of a letter (one in three, three at most; a swap of
 * two neighbours is one; capitals, '-' and '_' are none), or that begins as typed. Among equally
 * near ones the first counts.
 */
void nearest_offer(struct nearest *nearest, const char *word);

#endif
