/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a bundle takes to many nodes over links of one speed, in milliseconds of a model: each
 * node chooses by lib/piece.h, the control machine and the nodes send by lib/turns.h, and what is
 * under way at once shares the links at both ends. The waits are those of the agent (swarm_fetch.c)
 * and of both servers; knowledge of peers is as old as their maps.
 */
#include "../../user/lib/piece.h"
#include "../../user/lib/turns.h"
#include "unit.h"

#define NODES	48
#define PEERS	32
#define PIECES	64
#define MAP	(PIECES / 8)
#define STEP	20   /* ms */
#define ASKED	4    /* peers at once, of many */
#define PATIENT 300  /* ms that a server lets wait */
#define STALL	1500 /* ms */
#define AGAIN	3000 /* ms, over links as slow as these */

static const struct {
	const char *what;
	size_t nodes, pieces;
	unsigned mbit, bounds, copies; /* at most: time in percent of the bound, and what is sent */
} cases[] = {
	{ "six", 6, 64, 64, 160, 115 },
	{ "twelve", 12, 64, 16, 160, 120 },
	{ "24", 24, 64, 16, 180, 120 },
	{ "48 with a few peers each", 48, 32, 8, 230, 220 },
};

struct transfer {
	struct turn turn;
	bool on;
	size_t index;
	double left;
	int64_t asked, retry;
};

static struct node {
	char name[24];
	size_t peers[PEERS], count;
	uint8_t have[MAP], known[PEERS][MAP];
	int64_t looked[PEERS], arrived, shared;
	struct transfer transfers[PEERS + 1]; /* the last one: from the control machine */
	struct turns turns;
	size_t first, sends, takes;
} nodes[NODES + 1]; /* the last one: the control machine */

static uint8_t want[MAP];
static size_t count, pieces, sent;
static double speed; /* bytes in a millisecond */

static bool whole(const struct node *node)
{
	for (size_t i = 0; i < pieces; i++)
		if (!piece_in(node->have, i))
			return false;
	return true;
}

static struct node *sender(struct node *node, size_t source)
{
	return source == node->count ? &nodes[NODES] : &nodes[node->peers[source]];
}

static size_t asked_at_once(const struct node *node, int64_t now)
{
	size_t at_once = 0;

	for (size_t i = 0; i < node->count; i++)
		at_once += node->transfers[i].on && now - node->transfers[i].asked <= STALL;
	return at_once;
}

static void ask_one(struct node *node, struct piece_view *view, size_t source, int64_t now)
{
	static const uint8_t nothing[MAP];
	struct transfer *transfer = &node->transfers[source];
	size_t from = source == node->count ? PIECE_CONTROL : source, index;
	const uint8_t *busy = view->busy;
	bool found;

	if (transfer->on || now < transfer->retry)
		return;
	if (source < node->count && node->count > TURNS_FEW && asked_at_once(node, now) >= ASKED)
		return;
	found = piece_choose(view, from, &index);
	if (!found && now - node->arrived >= AGAIN) {
		view->busy = nothing;
		found = piece_choose(view, from, &index);
		view->busy = busy;
	}
	if (!found)
		return;
	transfer->on = true;
	transfer->index = index;
	transfer->left = PIECE_SIZE_LEAST;
	transfer->asked = now;
	turns_ask(&sender(node, source)->turns, &transfer->turn, node->name, PIECE_SIZE_LEAST, now);
	piece_put((uint8_t *)busy, index);
}

static void ask(struct node *node, int64_t now)
{
	struct piece_peer peers[PEERS];
	uint8_t busy[MAP] = { 0 };
	struct piece_view view = { .name = node->name,
				   .count = pieces,
				   .have = node->have,
				   .want = want,
				   .busy = busy,
				   .peers = peers,
				   .peers_count = node->count,
				   .stalled = now - node->shared > STALL };

	for (size_t i = 0; i <= node->count; i++)
		if (node->transfers[i].on)
			piece_put(busy, node->transfers[i].index);
	for (size_t i = 0; i < node->count; i++)
		peers[i] = (struct piece_peer){ nodes[node->peers[i]].name, true, node->known[i],
						want };
	node->first++;
	for (size_t i = 0; i < node->count; i++)
		ask_one(node, &view, (node->first + i) % node->count, now);
	ask_one(node, &view, node->count, now);
}

static void look(struct node *node, int64_t now)
{
	int64_t every = 200 * (1 + (int64_t)(node->count + 1) / 8);

	for (size_t i = 0; i < node->count; i++) {
		if (now - node->looked[i] < every)
			continue;
		node->looked[i] = now;
		memcpy(node->known[i], nodes[node->peers[i]].have, MAP);
	}
}

static void arrive(struct node *node, size_t source, int64_t now)
{
	struct transfer *transfer = &node->transfers[source];

	transfer->on = false;
	turns_end(&sender(node, source)->turns, &transfer->turn, true, now);
	sent += source == node->count;
	piece_put(node->have, transfer->index);
	node->arrived = now;
	if (source < node->count)
		node->shared = now;
	ask(node, now);
}

/* Each gets the lesser of its shares of the two links. */
static void move(struct node *node, size_t source, int64_t now)
{
	struct transfer *transfer = &node->transfers[source];
	struct node *from = sender(node, source);
	size_t sharing = from->sends > node->takes ? from->sends : node->takes;

	if (!transfer->on)
		return;
	if (transfer->turn.given) {
		transfer->left -= speed * STEP / (double)(sharing ? sharing : 1);
		if (transfer->left <= 0)
			arrive(node, source, now);
	} else if (now - transfer->asked > PATIENT) {
		turns_end(&from->turns, &transfer->turn, false, now);
		transfer->on = false;
		transfer->retry = now + 50;
	}
}

static bool step(int64_t now)
{
	bool done = true;

	for (size_t i = 0; i < count; i++) {
		look(&nodes[i], now);
		if ((now / STEP + (int64_t)i) % 5 == 0)
			ask(&nodes[i], now);
	}
	for (size_t i = 0; i <= NODES; i++) {
		while (turns_next(&nodes[i].turns, now))
			;
		nodes[i].sends = nodes[i].takes = 0;
	}
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k <= nodes[i].count; k++)
			if (nodes[i].transfers[k].on && nodes[i].transfers[k].turn.given) {
				nodes[i].takes++;
				sender(&nodes[i], k)->sends++;
			}
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k <= nodes[i].count; k++)
			move(&nodes[i], k, now);
		done &= whole(&nodes[i]);
	}
	return done;
}

static void begin(size_t at)
{
	memset(nodes, 0, sizeof(nodes));
	memset(want, 0xff, sizeof(want));
	count = cases[at].nodes;
	pieces = cases[at].pieces;
	speed = cases[at].mbit * 125.0;
	sent = 0;
	for (size_t i = 0; i <= NODES; i++)
		turns_init(&nodes[i].turns, 0);
	for (size_t i = 0; i < count; i++) {
		snprintf(nodes[i].name, sizeof(nodes[i].name), "n%zu", i + 1);
		for (size_t k = 0; k < count; k++)
			if (k != i && (count <= PEERS + 1 || piece_near(i, k, count)))
				nodes[i].peers[nodes[i].count++] = k;
		for (size_t k = 0; k < nodes[i].count; k++)
			nodes[i].looked[k] = -(int64_t)((i * 7 + k * 3) % 10 * STEP);
		turns_allow(&nodes[i].turns, 3, nodes[i].count);
	}
	turns_allow(&nodes[NODES].turns, 4, count);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double bound = cases[i].pieces * (PIECE_SIZE_LEAST / (cases[i].mbit * 125.0));
		int64_t now = 0, most = (int64_t)(bound * cases[i].bounds / 100);

		unit_case = cases[i].what;
		begin(i);
		while (now < most && !step(now))
			now += STEP;
		if (getenv("V"))
			printf("%s: %.1f s, the bound is %.1f s; %zu of %zu pieces sent\n",
			       unit_case, (double)now / 1000, bound / 1000, sent, pieces);
		CHECK_THAT(now < most, "not whole after %.1f s", (double)now / 1000);
		CHECK_THAT(sent * 100 <= cases[i].copies * pieces,
			   "the control machine sent %zu of %zu pieces", sent, pieces);
	}
	return unit_end();
}
