/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds objects by a hash of what they are called, in a time that does not grow with their
 * number. The nodes lie in the objects, and may be removed in the middle of a walk by whoever took
 * the next one before; several objects may have one hash: the caller compares.
 */
#ifndef SLUICE_LIB_INDEX_H
#define SLUICE_LIB_INDEX_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed while it is in no index. */
struct index_node {
	struct index_node *next, **at;
	uint64_t hash;
};

/* Zeroed: empty. */
struct index {
	struct index_node **buckets, *lone; /* lone: the only bucket before memory is had */
	size_t count, size;		    /* size: a power of two, or 0 */
};

/* Of names that no stranger chooses: nothing here withstands one who looks for collisions. */
uint64_t index_hash_text(const char *text);
uint64_t index_hash_number(uint64_t number);

/* Cannot fail: without memory to grow, walks only become longer. */
void index_add(struct index *index, struct index_node *node, uint64_t hash);
/* Harmless for a node that is in no index. */
void index_remove(struct index *index, struct index_node *node);
/* The first with that hash, and the next one with the same; NULL at the end. */
struct index_node *index_first(const struct index *index, uint64_t hash);
struct index_node *index_again(const struct index_node *node);
/* Frees the buckets, not the objects. */
void index_free(struct index *index);

#endif
