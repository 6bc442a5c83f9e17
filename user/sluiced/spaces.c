/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A list for walks, two indexes for events, and a queue through the marked ones. A name may be
 * known before its namespace stands, and two names may stand for one namespace: both have its id.
 */
#include "spaces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../gate/discover.h"
#include "loop.h"

static uint64_t hash_nsid(int32_t nsid)
{
	return index_hash_number((uint32_t)nsid);
}

struct space *spaces_find(const struct spaces *spaces, const char *name)
{
	struct index_node *node = index_first(&spaces->by_name, index_hash_text(name));

	for (; node; node = index_again(node)) {
		struct space *space = container_of(node, struct space, by_name);

		if (!strcmp(space->name, name))
			return space;
	}
	return NULL;
}

struct space *spaces_next_with(const struct spaces *spaces, int32_t nsid, const struct space *after)
{
	struct index_node *node = after ? index_again(&after->by_nsid)
					: index_first(&spaces->by_nsid, hash_nsid(nsid));

	for (; node; node = index_again(node)) {
		struct space *space = container_of(node, struct space, by_nsid);

		if (space->nsid == nsid)
			return space;
	}
	return NULL;
}

void spaces_mark(struct spaces *spaces, struct space *space)
{
	if (space->dirty)
		return;
	space->dirty = true;
	space->next_dirty = NULL;
	if (spaces->dirty)
		spaces->last_dirty->next_dirty = space;
	else
		spaces->dirty = space;
	spaces->last_dirty = space;
	spaces->ndirty++;
}

struct space *spaces_take(struct spaces *spaces)
{
	struct space *space = spaces->dirty;

	spaces->dirty = space->next_dirty;
	spaces->ndirty--;
	space->dirty = false;
	return space;
}

static struct space *add(struct spaces *spaces, const char *name)
{
	struct space *space;

	if (spaces->count == spaces->room) {
		size_t room = spaces->room ? 2 * spaces->room : 64;
		struct space **grown = reallocarray(spaces->list, room, sizeof(struct space *));

		if (!grown)
			return NULL;
		spaces->list = grown;
		spaces->room = room;
	}
	space = calloc(1, sizeof(*space));
	if (!space)
		return NULL;
	space->name = strdup(name);
	if (!space->name) {
		free(space);
		return NULL;
	}
	space->nsid = DISCOVER_NO_NSID;
	space->at = spaces->count;
	spaces->list[spaces->count++] = space;
	index_add(&spaces->by_name, &space->by_name, index_hash_text(name));
	return space;
}

int spaces_learn(struct spaces *spaces, const char *name, bool listed)
{
	struct space *space = spaces_find(spaces, name);

	if (!space)
		space = add(spaces, name);
	if (!space)
		return -ENOMEM;
	space->listed |= listed;
	space->retries = 0;
	spaces_mark(spaces, space);
	return 0;
}

void spaces_forget(struct spaces *spaces, struct space *space)
{
	struct space *last = spaces->list[--spaces->count];

	index_remove(&spaces->by_name, &space->by_name);
	index_remove(&spaces->by_nsid, &space->by_nsid);
	spaces->list[space->at] = last;
	last->at = space->at;
	free(space->name);
	free(space);
}

void spaces_set_nsid(struct spaces *spaces, struct space *space, int32_t nsid)
{
	if (space->by_nsid.at && space->nsid == nsid)
		return;
	index_remove(&spaces->by_nsid, &space->by_nsid);
	space->nsid = nsid;
	index_add(&spaces->by_nsid, &space->by_nsid, hash_nsid(nsid));
}

void spaces_free(struct spaces *spaces)
{
	while (spaces->count)
		spaces_forget(spaces, spaces->list[0]);
	index_free(&spaces->by_name);
	index_free(&spaces->by_nsid);
	free(spaces->list);
}
