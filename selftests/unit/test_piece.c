/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pieces of a bundle: how blobs are cut, and a model of nodes that choose by piece_choose() alone,
 * round by round, a piece from each source: what the control machine sends and how long it takes.
 */
#include "../../user/lib/piece.h"
#include "unit.h"

#define NODES_MAX 8
#define PIECES	  240
#define MAP	  (PIECES / 8)
#define NOBODY	  SIZE_MAX

static const struct {
	const char *what;
	uint64_t sizes[5];
	size_t count, pieces;
	uint32_t size;
} cuts[] = {
	{ "nothing", { 0 }, 0, 0, PIECE_SIZE_LEAST },
	{ "empty blobs between others", { 0, 1, 0, 0, 5 }, 5, 2, PIECE_SIZE_LEAST },
	{ "just one piece", { PIECE_SIZE_LEAST }, 1, 1, PIECE_SIZE_LEAST },
	{ "a byte more", { PIECE_SIZE_LEAST + 1, 7 }, 2, 3, PIECE_SIZE_LEAST },
	{ "larger pieces", { BUNDLE_BLOB_MAX, 1 }, 2, 16385, 2 * PIECE_SIZE_LEAST },
};

static void test_cuts(void)
{
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct bundle_blob blobs[5] = { 0 };
		struct pieces pieces;
		uint64_t covered = 0, all = 0;

		unit_case = cuts[i].what;
		for (size_t k = 0; k < cuts[i].count; k++) {
			snprintf(blobs[k].digest, sizeof(blobs[k].digest), "%zu", k);
			blobs[k].size = cuts[i].sizes[k];
			all += blobs[k].size;
		}
		CHECK(!pieces_make(blobs, cuts[i].count, &pieces));
		CHECK_THAT(pieces.count == cuts[i].pieces, "%zu pieces", pieces.count);
		CHECK_THAT(pieces.size == cuts[i].size, "of %u bytes", pieces.size);
		for (size_t k = 0; k < pieces.count; k++) {
			struct piece piece = pieces_at(&pieces, k);

			CHECK(piece.len && piece.len <= pieces.size &&
			      piece.offset + piece.len <= blobs[piece.blob].size);
			CHECK(k >= pieces.first[piece.blob] && k < pieces.first[piece.blob + 1]);
			covered += piece.len;
		}
		CHECK(covered == all);
		CHECK(!cuts[i].count || pieces_blob(&pieces, "0") == 0);
		CHECK(pieces_blob(&pieces, "x") == SIZE_MAX);
		pieces_free(&pieces);
	}
}

/* ---- the model ---- */

static const struct {
	const char *what;
	size_t nodes;
	size_t gone, gone_at;  /* this one leaves in that round */
	size_t slow;	       /* this one does something in every fourth round only */
	unsigned sent, rounds; /* at most, in copies of the whole by the control machine */
} models[] = {
	{ "two", 2, NOBODY, 0, NOBODY, 1, 150 },
	{ "six", 6, NOBODY, 0, NOBODY, 1, 60 },
	{ "six, one leaves", 6, 3, 10, NOBODY, 1, 70 },
	{ "six, one is slow", 6, NOBODY, 0, 2, 2, 260 },
	{ "one alone", 1, NOBODY, 0, NOBODY, 1, 240 },
};

static struct model {
	char names[NODES_MAX][24];
	uint8_t have[NODES_MAX][MAP], next[NODES_MAX][MAP], want[MAP];
	size_t count, sent;
	bool gone[NODES_MAX];
} model;

static bool whole(size_t node)
{
	return !memcmp(model.have[node], model.want, MAP);
}

/* Everybody knows what everybody had a round ago; a piece from each source in a round. */
static void act(size_t self, size_t *control_left)
{
	struct piece_peer peers[NODES_MAX];
	uint8_t busy[MAP] = { 0 };
	struct piece_view view = { .name = model.names[self],
				   .count = PIECES,
				   .have = model.have[self],
				   .want = model.want,
				   .busy = busy,
				   .peers = peers };
	size_t index;

	for (size_t i = 0; i < model.count; i++)
		if (i != self)
			peers[view.peers_count++] =
				(struct piece_peer){ model.names[i], !model.gone[i], model.have[i],
						     model.want };
	for (size_t i = 0; i < view.peers_count; i++)
		if (piece_choose(&view, i, &index)) {
			CHECK(piece_in(peers[i].have, index) && !piece_in(busy, index));
			piece_put(busy, index);
			piece_put(model.next[self], index);
		}
	/* Its uplink is shared: a share each in a round. */
	if (*control_left && piece_choose(&view, PIECE_CONTROL, &index)) {
		CHECK(!piece_in(model.have[self], index) && !piece_in(busy, index));
		piece_put(model.next[self], index);
		model.sent++;
		(*control_left)--;
	}
}

static void test_models(void)
{
	for (size_t k = 0; k < sizeof(models) / sizeof(models[0]); k++) {
		size_t round, limit = models[k].rounds, control;
		bool done = false;

		unit_case = models[k].what;
		memset(&model, 0, sizeof(model));
		memset(model.want, 0xff, MAP);
		model.count = models[k].nodes;
		for (size_t i = 0; i < model.count; i++)
			snprintf(model.names[i], sizeof(model.names[i]), "n%zu", i + 1);
		for (round = 0; round < limit && !done; round++) {
			control = model.count;
			if (models[k].gone < model.count && round == models[k].gone_at)
				model.gone[models[k].gone] = true;
			memcpy(model.next, model.have, sizeof(model.next));
			for (size_t i = 0; i < model.count; i++)
				if (!model.gone[i] && (i != models[k].slow || round % 4 == 0))
					act(i, &control);
			memcpy(model.have, model.next, sizeof(model.have));
			done = true;
			for (size_t i = 0; i < model.count; i++)
				done &= model.gone[i] || whole(i);
		}
		if (getenv("V"))
			printf("%s: %zu rounds, %zu sent\n", unit_case, round, model.sent);
		CHECK_THAT(done, "not whole after %zu rounds", round);
		/* A piece in hand when others learn of it may be sent twice. */
		CHECK_THAT(model.sent <= models[k].sent * PIECES + 2 * model.count,
			   "the control machine sent %zu of %d pieces", model.sent, PIECES);
	}
}

/* When one leaves, nothing that was another's changes hands. */
static void test_owners(void)
{
	static const char *const names[] = { "n1", "n2", "n3", "n4" };
	size_t shares[4] = { 0 }, before, after;

	unit_case = "owners";
	for (size_t i = 0; i < PIECES; i++) {
		before = after = 0;
		for (size_t k = 1; k < 4; k++)
			if (piece_weight(names[k], i) > piece_weight(names[before], i))
				before = k;
		for (size_t k = 1; k < 3; k++)
			if (piece_weight(names[k], i) > piece_weight(names[after], i))
				after = k;
		CHECK(before == 3 || before == after);
		shares[before]++;
	}
	for (size_t k = 0; k < 4; k++)
		CHECK_THAT(shares[k] > PIECES / 8 && shares[k] < PIECES / 2, "%s has %zu", names[k],
			   shares[k]);
}

/* Only when nothing comes is the control machine asked for what a peer has. */
static void test_stalled(void)
{
	uint8_t all[1] = { 1 }, none[1] = { 0 };
	struct piece_peer peer = { "n2", true, all, all };
	struct piece_view view = { "n1", 1, none, all, none, &peer, 1, false };
	size_t index = 7;

	unit_case = "stalled";
	CHECK(!piece_choose(&view, PIECE_CONTROL, &index));
	CHECK(piece_choose(&view, 0, &index) && index == 0);
	view.stalled = true;
	CHECK(piece_choose(&view, PIECE_CONTROL, &index) && index == 0);
	peer.alive = view.stalled = false;
	CHECK(!piece_choose(&view, 0, &index));
	CHECK(piece_choose(&view, PIECE_CONTROL, &index));
}

/* ---- many nodes, each with a few peers --------------------------------------------------- */

#define CROWD_MAX 256
#define LINK	  4 /* pieces in a round, in each direction, of nodes and of the control machine */
#define STALL	  6 /* rounds */

static const struct {
	const char *what;
	size_t nodes;
	unsigned rounds, copies; /* at most; copies in percent of the whole */
} crowds[] = {
	{ "34 with a few peers each", 34, 90, 130 },
	{ "48 with a few peers each", 48, 90, 130 },
	{ "100 with a few peers each", 100, 95, 140 },
	{ "256 with a few peers each", 256, 100, 150 },
};

static struct crowd {
	char names[CROWD_MAX][24];
	uint8_t have[CROWD_MAX][MAP], next[CROWD_MAX][MAP], want[MAP];
	size_t uplink[CROWD_MAX], fed[CROWD_MAX]; /* fed: the round when a peer gave something */
	size_t count, control, sent;
} crowd;

static size_t know(size_t self, struct piece_peer *peers, size_t *who)
{
	size_t known = 0;

	for (size_t i = 0; i < crowd.count; i++) {
		if (i == self || !piece_near(self, i, crowd.count))
			continue;
		who[known] = i;
		peers[known++] =
			(struct piece_peer){ crowd.names[i], true, crowd.have[i], crowd.want };
	}
	return known;
}

static void act_in_crowd(size_t self, size_t round)
{
	struct piece_peer peers[CROWD_MAX];
	size_t who[CROWD_MAX], index, left = LINK;
	uint8_t busy[MAP] = { 0 };
	struct piece_view view = { .name = crowd.names[self],
				   .count = PIECES,
				   .have = crowd.have[self],
				   .want = crowd.want,
				   .busy = busy,
				   .peers = peers,
				   .peers_count = know(self, peers, who) };

	CHECK(view.peers_count <= 32);
	for (size_t i = 0; i < view.peers_count && left; i++) {
		size_t at = (i + round + self) % view.peers_count;

		if (!crowd.uplink[who[at]] || !piece_choose(&view, at, &index))
			continue;
		piece_put(busy, index);
		piece_put(crowd.next[self], index);
		crowd.uplink[who[at]]--;
		crowd.fed[self] = round;
		left--;
	}
	view.stalled = round - crowd.fed[self] > STALL;
	if (left && crowd.control && piece_choose(&view, PIECE_CONTROL, &index)) {
		piece_put(crowd.next[self], index);
		crowd.control--;
		crowd.sent++;
	}
}

static bool crowd_round(size_t round)
{
	memcpy(crowd.next, crowd.have, sizeof(crowd.next));
	crowd.control = LINK;
	for (size_t i = 0; i < crowd.count; i++)
		crowd.uplink[i] = LINK;
	for (size_t i = 0; i < crowd.count; i++)
		act_in_crowd((i + round * 7) % crowd.count, round);
	memcpy(crowd.have, crowd.next, sizeof(crowd.have));
	for (size_t i = 0; i < crowd.count; i++)
		if (memcmp(crowd.have[i], crowd.want, MAP) != 0)
			return false;
	return true;
}

/* One copy through one link takes PIECES / LINK = 60 rounds: no way of sending is faster. */
static void test_crowds(void)
{
	for (size_t k = 0; k < sizeof(crowds) / sizeof(crowds[0]); k++) {
		size_t round = 0;

		unit_case = crowds[k].what;
		memset(&crowd, 0, sizeof(crowd));
		memset(crowd.want, 0xff, MAP);
		crowd.count = crowds[k].nodes;
		for (size_t i = 0; i < crowd.count; i++)
			snprintf(crowd.names[i], sizeof(crowd.names[i]), "n%zu", i + 1);
		while (round < crowds[k].rounds && !crowd_round(round))
			round++;
		if (getenv("V"))
			printf("%s: %zu rounds, %zu sent\n", unit_case, round, crowd.sent);
		CHECK_THAT(round < crowds[k].rounds, "not whole after %zu rounds", round);
		CHECK_THAT(crowd.sent * 100 <= crowds[k].copies * PIECES,
			   "the control machine sent %zu of %d pieces", crowd.sent, PIECES);
	}
}

int main(void)
{
	test_cuts();
	test_models();
	test_crowds();
	test_owners();
	test_stalled();
	return unit_end();
}
