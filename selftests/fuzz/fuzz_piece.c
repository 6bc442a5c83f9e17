/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pieces of a bundle: blobs of any sizes are covered once and whole; whatever maps peers show, what
 * is chosen is wanted, not here, not on its way, and said to be where it is asked for; and a node
 * with a control machine gets all, whatever its peers say.
 */
#include "../../user/lib/piece.h"
#include "fuzz.h"

#define BLOBS 8
#define PEERS 4
#define COUNT 64 /* pieces at the most, where they are chosen */
#define MAP   (COUNT / 8)

static void check_cut(struct fuzz_input *input)
{
	struct bundle_blob blobs[BLOBS] = { 0 };
	size_t count = fuzz_next(input) % (BLOBS + 1);
	struct pieces pieces;
	uint64_t at = 0;
	size_t blob = 0;

	for (size_t i = 0; i < count; i++) {
		blobs[i].size = (uint64_t)fuzz_next(input) << fuzz_next(input) % 26;
		blobs[i].size += fuzz_next(input) % 3;
		blobs[i].digest[0] = (char)('a' + i);
	}
	assert(!pieces_make(blobs, count, &pieces));
	assert(pieces.size >= PIECE_SIZE_LEAST && pieces.size <= PIECE_SIZE_MOST);
	for (size_t i = 0; i < pieces.count; i++) {
		struct piece piece = pieces_at(&pieces, i);

		for (; blob < piece.blob; blob++, at = 0)
			assert(at == blobs[blob].size);
		assert(piece.blob == blob && piece.offset == at);
		assert(piece.len && piece.len <= pieces.size);
		at += piece.len;
	}
	for (; blob < count; blob++, at = 0)
		assert(at == blobs[blob].size);
	pieces_free(&pieces);
}

static void read_map(struct fuzz_input *input, uint8_t map[MAP])
{
	for (size_t i = 0; i < MAP; i++)
		map[i] = fuzz_next(input);
}

static void check_choice(struct fuzz_input *input)
{
	static const char *const names[PEERS] = { "n1", "n2", "n3", "n4" };
	uint8_t have[MAP], want[MAP], busy[MAP] = { 0 }, maps[PEERS][2][MAP];
	struct piece_peer peers[PEERS];
	struct piece_view view = { "me",  1 + fuzz_next(input) % COUNT,	  have, want, busy,
				   peers, fuzz_next(input) % (PEERS + 1), false };
	size_t index = 0, rounds = 0;

	read_map(input, have);
	read_map(input, want);
	for (size_t i = 0; i < PEERS; i++) {
		read_map(input, maps[i][0]);
		read_map(input, maps[i][1]);
		peers[i] = (struct piece_peer){ names[i], fuzz_next(input) & 1, maps[i][0],
						maps[i][1] };
	}
	/* Peers deliver when the input says so; otherwise nothing comes from them, and time goes.
	 */
	for (;;) {
		size_t from = fuzz_next(input) % (view.peers_count + 1);
		bool control = from == view.peers_count;

		if (!input->left) {
			control = true;
			view.stalled = true;
		}
		if (!piece_choose(&view, control ? PIECE_CONTROL : from, &index)) {
			if (!input->left)
				break;
			continue;
		}
		assert(index < view.count && piece_in(want, index));
		assert(!piece_in(have, index) && !piece_in(busy, index));
		assert(control || (peers[from].alive && piece_in(maps[from][0], index)));
		assert(rounds++ < 2 * COUNT);
		if (!input->left || (fuzz_next(input) & 3))
			piece_put(have, index);
		else if (piece_put(busy, index), input->left)
			piece_drop(busy, fuzz_next(input) % view.count);
		if (!input->left)
			memset(busy, 0, sizeof(busy));
		if (input->left)
			rounds = 0;
	}
	for (size_t i = 0; i < view.count; i++)
		assert(piece_in(have, i) || !piece_in(want, i) || piece_in(busy, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	if (fuzz_next(&input) & 1)
		check_cut(&input);
	else
		check_choice(&input);
	return 0;
}
