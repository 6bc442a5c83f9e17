/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pins of an earlier version whose maps were laid out otherwise. Nobody can go on with them: what
 * they say of interfaces is read, then they go, and the filters there belong to nobody, so that the
 * gates of this version take their places.
 */
#ifndef SLUICE_RELICS_H
#define SLUICE_RELICS_H

#include <stddef.h>
#include <stdint.h>

/* An interface that an earlier version had attached itself to. */
struct relic {
	uint64_t netns_cookie;
	uint32_t ifindex, l3_ifindex;
};

struct relics {
	uint32_t layout; /* SL_ABI_VERSION of who pinned them; 0: there were none */
	struct relic *list;
	size_t count;
};

/*
 * Whoever calls holds the instance's lock, so that no daemon serves by these pins; workers that do
 * have ended or are about to be. 0, also where there are none, or -errno. relics_free() is for the
 * caller also after an error.
 */
int relics_take(const char *instance, struct relics *ret);
void relics_free(struct relics *relics);

#endif
