/* SPDX-License-Identifier: BSD-2-Clause */
#include "piece.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t count_pieces(const struct bundle_blob *blobs, size_t count, uint32_t size)
{
	size_t pieces = 0;

	for (size_t i = 0; i < count; i++)
		pieces += (size_t)(blobs[i].size / size + (blobs[i].size % size != 0));
	return pieces;
}

uint32_t pieces_size(const struct bundle_blob *blobs, size_t count)
{
	uint32_t size = PIECE_SIZE_LEAST;

	while (size < PIECE_SIZE_MOST && count_pieces(blobs, count, size) > PIECE_COUNT_AIM + count)
		size *= 2;
	return size;
}

int pieces_make(const struct bundle_blob *blobs, size_t count, struct pieces *ret_pieces)
{
	struct pieces pieces = { .blobs_count = count, .size = pieces_size(blobs, count) };

	pieces.blobs = calloc(count + 1, sizeof(*pieces.blobs));
	pieces.first = calloc(count + 1, sizeof(*pieces.first));
	if (!pieces.blobs || !pieces.first) {
		pieces_free(&pieces);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		pieces.blobs[i] = blobs[i];
		pieces.first[i] = pieces.count;
		pieces.count += count_pieces(&blobs[i], 1, pieces.size);
	}
	pieces.first[count] = pieces.count;
	*ret_pieces = pieces;
	return 0;
}

void pieces_free(struct pieces *pieces)
{
	free(pieces->blobs);
	free(pieces->first);
	memset(pieces, 0, sizeof(*pieces));
}

size_t pieces_blob(const struct pieces *pieces, const char *digest)
{
	for (size_t i = 0; i < pieces->blobs_count; i++)
		if (!strcmp(pieces->blobs[i].digest, digest))
			return i;
	return SIZE_MAX;
}

struct piece pieces_at(const struct pieces *pieces, size_t index)
{
	size_t low = 0, high = pieces->blobs_count, middle;
	struct piece piece;
	uint64_t left;

	/* The last blob that begins at or before it: empty ones begin where the next one does. */
	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (pieces->first[middle] <= index)
			low = middle;
		else
			high = middle;
	}
	piece.blob = low;
	piece.offset = (uint64_t)(index - pieces->first[low]) * pieces->size;
	left = pieces->blobs[low].size - piece.offset;
	piece.len = left < pieces->size ? (uint32_t)left : pieces->size;
	return piece;
}

/* FNV-1a over the name, then the finalizer of splitmix64, which spreads neighbouring numbers. */
uint64_t piece_weight(const char *node, size_t index)
{
	uint64_t x = 0xcbf29ce484222325;

	for (; *node; node++)
		x = (x ^ (uint8_t)*node) * 0x100000001b3;
	x ^= (uint64_t)index * 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

bool piece_near(size_t a, size_t b, size_t count)
{
	size_t there = (b + count - a) % count, back = (a + count - b) % count;

	return !(there & (there - 1)) || !(back & (back - 1));
}

static bool open_for(const struct piece_view *view, size_t index)
{
	return piece_in(view->want, index) && !piece_in(view->have, index) &&
	       !piece_in(view->busy, index);
}

static size_t holders(const struct piece_view *view, size_t index)
{
	size_t count = 0;

	for (size_t i = 0; i < view->peers_count; i++)
		count += view->peers[i].alive && piece_in(view->peers[i].have, index);
	return count;
}

/* The greatest weight among those who want it; *ret_mine: it is this node's. */
static uint64_t owner(const struct piece_view *view, size_t index, bool *ret_mine)
{
	uint64_t most = piece_weight(view->name, index), weight;

	*ret_mine = true;
	for (size_t i = 0; i < view->peers_count; i++) {
		if (!view->peers[i].alive || !piece_in(view->peers[i].want, index))
			continue;
		weight = piece_weight(view->peers[i].name, index);
		if (weight > most) {
			most = weight;
			*ret_mine = false;
		}
	}
	return most;
}

/*
 * Its own pieces, those of the greatest weight first. Then, when others have a good deal before
 * them still, theirs from the other end: a slow node's share is not waited for.
 */
static bool choose_from_control(const struct piece_view *view, size_t *ret_index)
{
	uint64_t best = 0, least = UINT64_MAX, weight;
	size_t foreign = 0, alive = 0, theirs = 0, passed = SIZE_MAX;
	bool found = false, mine;

	for (size_t i = 0; i < view->peers_count; i++)
		alive += view->peers[i].alive;
	for (size_t i = 0; i < view->count; i++) {
		if (!open_for(view, i))
			continue;
		if (holders(view, i)) {
			passed = i;
			continue;
		}
		weight = owner(view, i, &mine);
		if (mine && (!found || weight > best)) {
			found = true;
			best = weight;
			*ret_index = i;
		} else if (!mine) {
			foreign++;
			if (weight < least) {
				least = weight;
				theirs = i;
			}
		}
	}
	if (found)
		return true;
	if (foreign && (view->stalled || foreign > 2 * (alive + 1))) {
		*ret_index = theirs;
		return true;
	}
	if (passed == SIZE_MAX || !view->stalled)
		return false;
	*ret_index = passed;
	return true;
}

static bool choose_from_peer(const struct piece_view *view, const struct piece_peer *peer,
			     size_t *ret_index)
{
	size_t fewest = SIZE_MAX, count;
	uint64_t best = 0, weight;

	for (size_t i = 0; i < view->count; i++) {
		if (!open_for(view, i) || !piece_in(peer->have, i))
			continue;
		count = holders(view, i);
		weight = piece_weight(view->name, i);
		if (count > fewest || (count == fewest && weight <= best))
			continue;
		fewest = count;
		best = weight;
		*ret_index = i;
	}
	return fewest != SIZE_MAX;
}

bool piece_choose(const struct piece_view *view, size_t from, size_t *ret_index)
{
	if (from == PIECE_CONTROL)
		return choose_from_control(view, ret_index);
	return view->peers[from].alive && choose_from_peer(view, &view->peers[from], ret_index);
}
