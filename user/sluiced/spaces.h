/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network namespaces that are known, by name and by the id under which the kernel tells their
 * events, and the queue of those that are to be looked at. discover.c learns of them and looks.
 * Pure.
 */
#ifndef SLUICE_SLUICED_SPACES_H
#define SLUICE_SLUICED_SPACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/index.h"

struct space {
	char *name;  /* under /run/netns, or a path elsewhere, or pid:N */
	bool listed; /* stands under /run/netns: rules apply */
	bool dirty;
	uint32_t retries; /* looks since it was learnt of that found no namespace yet */
	int32_t nsid;	  /* DISCOVER_NO_NSID: the namespace we live in, or none of ours */
	size_t at;	  /* in the list */
	struct space *next_dirty;
	struct index_node by_name, by_nsid; /* by_nsid: once it was looked into */
};

/* Zeroed: none. */
struct spaces {
	struct space **list;
	size_t count, room;
	struct index by_name, by_nsid;
	struct space *dirty, *last_dirty; /* in the order they were marked */
	size_t ndirty;
};

void spaces_free(struct spaces *spaces);

/* NULL: not known. */
struct space *spaces_find(const struct spaces *spaces, const char *name);
/* Adds the name if it is new, and marks it. -ENOMEM: it is not known. */
int spaces_learn(struct spaces *spaces, const char *name, bool listed);
/* Drops it; it must not be marked. */
void spaces_forget(struct spaces *spaces, struct space *space);

void spaces_set_nsid(struct spaces *spaces, struct space *space, int32_t nsid);
/* Those with that id, in no order: start with NULL, ends with NULL. */
struct space *spaces_next_with(const struct spaces *spaces, int32_t nsid,
			       const struct space *after);

/* It is to be looked at: once, however often it is marked before. */
void spaces_mark(struct spaces *spaces, struct space *space);
/* Takes the mark from the one that has waited longest; there must be one. */
struct space *spaces_take(struct spaces *spaces);

#endif
