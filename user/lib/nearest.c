/* SPDX-License-Identifier: BSD-2-Clause */
#include "nearest.h"

#include <string.h>

#define LETTERS_MAX 48 /* nobody mistypes a longer word of ours */
#define BEGIN_LEAST 3  /* so many letters say how a word begins */
#define CHANGES_MAX 3

static char plain(char c)
{
	if (c == '_')
		return '-';
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Letters to insert, remove, change or swap with a neighbour (optimal string alignment). */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][LETTERS_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			char x = plain(a[i - 1]), y = plain(b[j - 1]);

			row[j] = least(last[j - 1] + (x != y), least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && x == plain(b[j - 2]) && y == plain(a[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[b_len];
}

void nearest_offer(struct nearest *nearest, const char *word)
{
	size_t typed = strlen(nearest->typed), len = strlen(word);
	unsigned far, most;

	if (typed > LETTERS_MAX || len > LETTERS_MAX)
		return;
	far = distance(nearest->typed, typed, word, len);
	most = least(((unsigned)(typed < len ? typed : len) + 1) / 3, CHANGES_MAX);
	/* The beginning of a word is further away than a slip, and nearer than nothing. */
	if (typed >= BEGIN_LEAST && typed < len && !strncmp(nearest->typed, word, typed)) {
		far = least(far, CHANGES_MAX);
		most = CHANGES_MAX;
	}
	if (far > most || (nearest->word && far >= nearest->far))
		return;
	nearest->word = word;
	nearest->far = far;
}
