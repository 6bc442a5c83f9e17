/* SPDX-License-Identifier: BSD-2-Clause */
/* A directory, in memory where there is one, for a target's files, gone when it ends. */
#ifndef SELFTESTS_FUZZ_PLACE_H
#define SELFTESTS_FUZZ_PLACE_H

#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char place[64];

static int place_remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	return remove(path);
}

static void place_remove(void)
{
	nftw(place, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *place_make(void)
{
	snprintf(place, sizeof(place), "%s/sluice-fuzz.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert(mkdtemp(place));
	assert(!atexit(place_remove));
	return place;
}

static inline void place_write(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", place, name);
	file = fopen(path, "we");
	assert(file && fputs(text, file) >= 0);
	assert(!fclose(file));
}

#endif
