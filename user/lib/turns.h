/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who sends pieces to many takes turns with them: a few transfers at once, so that the first copies
 * are soon whole and can be passed on, instead of all of them at once, late. Next is who was served
 * longest ago, however often it asks; nobody has two turns at a time.
 *
 * A transfer that takes much longer than most did waits for its receiver, not for the sender's
 * link: it goes on, and its turn is another's. So nobody who is slow, or pretends to be, holds up
 * the rest.
 *
 * What decides is without clock or lock (turns_ask(), turns_next(), turns_end()); turns_take() and
 * turns_leave() are the same for threads that wait.
 */
#ifndef SLUICE_TURNS_H
#define SLUICE_TURNS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TURNS_FEW      8 /* up to so many receivers, all at once is as good */
#define TURNS_NAME_MAX 64
#define TURNS_KNOWN    256 /* who is remembered */
#define TURNS_MEASURED 32  /* transfers that tell what is slow */

struct turn {
	struct turn *next;
	char who[TURNS_NAME_MAX];
	uint32_t bytes;
	int64_t asked, begun, last; /* ms; last: when it was served before */
	bool given, counts;	    /* counts: among those that are at once */
	pthread_cond_t wake;
};

struct turns {
	pthread_mutex_t lock;
	unsigned at_once, counting;
	struct turn *waiting, *running;
	struct {
		char who[TURNS_NAME_MAX];
		int64_t served;
	} known[TURNS_KNOWN];
	uint32_t took[TURNS_MEASURED]; /* ms for each TURNS_UNIT bytes */
	size_t measured;	       /* since the beginning */
};

void turns_init(struct turns *turns, unsigned at_once);
/* So many at once to that many receivers; all, however many are one's, when they are few. */
void turns_allow(struct turns *turns, unsigned at_once, size_t receivers);

/* A turn is asked for; it is the caller's, and stays in place until turns_end(). bytes: of a piece
 * at most, since a turn lasts longer with them. */
void turns_ask(struct turns *turns, struct turn *turn, const char *who, uint32_t bytes,
	       int64_t now);
/* Whose turn it is now; NULL: nobody's. */
struct turn *turns_next(struct turns *turns, int64_t now);
/* It was given and has ended, or is not wanted any more. whole: all was sent. */
void turns_end(struct turns *turns, struct turn *turn, bool whole, int64_t now);

/* Waits at most that long. False: it is others' turn; the turn has ended. */
bool turns_take(struct turns *turns, struct turn *turn, const char *who, uint32_t bytes,
		unsigned milliseconds);
void turns_leave(struct turns *turns, struct turn *turn, bool whole);

#endif
