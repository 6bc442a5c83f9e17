/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bundle cut into pieces, numbered blob by blob in the manifest's order, and who gets which of
 * them from whom when nodes pass them on to each other (mode swarm). Nobody is asked what to do:
 *
 *   from the control machine  every piece that no peer has belongs to one of the nodes that want
 * it, the one with the greatest weight, a hash of its name and the piece's number. So each piece
 * leaves the control machine about once; when a node is gone, its pieces belong to others by the
 * same rule. from a peer               what fewest have.
 *
 * Pure: no file, no clock, no socket.
 */
#ifndef SLUICE_PIECE_H
#define SLUICE_PIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle.h"

#define PIECE_SIZE_LEAST ((uint32_t)256 * 1024)
#define PIECE_SIZE_MOST	 ((uint32_t)16 * 1024 * 1024)
#define PIECE_COUNT_AIM	 16384 /* pieces are larger in a bundle that would have more */
#define PIECE_CONTROL	 SIZE_MAX

struct pieces {
	struct bundle_blob *blobs;
	size_t *first; /* a blob's first piece; first[blobs_count] is count. Empty blobs have none
			*/
	size_t blobs_count, count;
	uint32_t size; /* of each but a blob's last */
};

struct piece {
	size_t blob;
	uint64_t offset;
	uint32_t len;
};

/* The same for whoever has the same blobs: of each piece, and all of them, 0 or -ENOMEM. */
uint32_t pieces_size(const struct bundle_blob *blobs, size_t count);
int pieces_make(const struct bundle_blob *blobs, size_t count, struct pieces *ret_pieces);
void pieces_free(struct pieces *pieces);
/* A blob's index; SIZE_MAX: none has this digest. */
size_t pieces_blob(const struct pieces *pieces, const char *digest);
struct piece pieces_at(const struct pieces *pieces, size_t index);

/* Maps: a bit for each piece. */
static inline size_t piece_map_size(size_t count)
{
	return (count + 7) / 8;
}

static inline bool piece_in(const uint8_t *map, size_t index)
{
	return map[index / 8] >> index % 8 & 1;
}

static inline void piece_put(uint8_t *map, size_t index)
{
	map[index / 8] |= (uint8_t)(1 << index % 8);
}

static inline void piece_drop(uint8_t *map, size_t index)
{
	map[index / 8] &= (uint8_t) ~(1 << index % 8);
}

uint64_t piece_weight(const char *node, size_t index);

/*
 * Where nodes are too many for everybody to be everybody's peer: are two of them peers, by their
 * places in the list? Yes at distances of 1, 2, 4 … in a ring; each reaches each in a few steps.
 */
bool piece_near(size_t a, size_t b, size_t count);

/* What one node knows of itself and of others. */
struct piece_peer {
	const char *name;
	bool alive;		    /* the others are as if they were not there */
	const uint8_t *have, *want; /* maps */
};
struct piece_view {
	const char *name;
	size_t count;
	const uint8_t *have, *want, *busy; /* busy: on its way already */
	const struct piece_peer *peers;
	size_t peers_count;
	/* Nothing has come from peers for a while: the control machine is asked for what they have
	 * or should bring, too. */
	bool stalled;
};
/* The piece to ask peers[from], or PIECE_CONTROL, for. False: nothing now. */
bool piece_choose(const struct piece_view *view, size_t from, size_t *ret_index);

#endif
