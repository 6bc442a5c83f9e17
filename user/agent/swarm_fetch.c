/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread, one curl multi handle: from each source one piece at a time, from the control machine
 * what lib/piece.h says is this node's to fetch, from peers what they have. Maps of peers are asked
 * for again and again; a peer that does not answer is left out until it does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fault.h"
#include "../lib/log.h"
#include "swarm_exchange.h"

#define MAP_MS	     200 /* between two looks at a peer; longer with many peers */
#define TURN_MS	     100
#define STALL_MS     1500 /* without a piece: who is slow or silent is not waited for */
#define SLOW_MS	     3000 /* for the smallest piece: who takes longer counts as if it had nothing */
#define FAILURES     5	  /* and one for each so many good pieces: more, and a peer is left alone */
#define GOOD_PIECES  4
#define ASKED_MOST   4 /* peers at once: more share this node's link, and all of theirs come late */
#define GIVE_UP_MS   60000
#define FOLLOW_MS    1000
#define REPORT_MS    2000
#define CONTROL_LIES 3 /* wrong pieces in a row from there are no accident */

/* ---- what came ---- */

static bool piece_good(const struct exchange *exchange, const struct source *source)
{
	uint8_t digest[DIGEST_SIZE];

	return source->piece.len == pieces_at(exchange->pieces, source->index).len &&
	       !digest_bytes(source->piece.data, source->piece.len, digest) &&
	       digest_equal(digest, exchange->hashes + source->index * DIGEST_SIZE);
}

static int take_wrong(struct exchange *exchange, struct source *source)
{
	struct piece piece = pieces_at(exchange->pieces, source->index);
	const char *digest = exchange->pieces->blobs[piece.blob].digest;
	bool control = source == exchange->sources;

	source->tally.wrong++;
	snprintf(source->why, sizeof(source->why), "it sent other bytes than blob %.16s... has",
		 digest);
	exchange->reported_at = 0;
	if (control && ++exchange->lies >= CONTROL_LIES)
		return outcome_fail(exchange->outcome, -EBADMSG,
				    "blob %s comes with other bytes from the control machine",
				    digest);
	log_warn("swarm: %s sent other bytes than blob %s has%s", source->peer.name, digest,
		 control ? "" : ": it is not asked any more");
	if (control)
		return 0;
	source->shunned = true;
	source->alive = false;
	swarm_shun(exchange->swarm, source->peer.name);
	return 0;
}

static int take_piece(struct exchange *exchange, struct source *source)
{
	struct piece piece = pieces_at(exchange->pieces, source->index);
	int err;

	if (!piece_good(exchange, source))
		return take_wrong(exchange, source);
	source->failures = 0;
	source->waits_since = 0;
	source->tally.bytes += piece.len;
	source->tally.pieces++;
	if (source == exchange->sources)
		exchange->lies = 0;
	/* Two were asked for it when the first seemed slow. */
	if (piece_in(exchange->swarm->have, source->index))
		return 0;
	err = store_piece(exchange->swarm->node, exchange->pieces, source->index,
			  source->piece.data);
	fault_point("piece-kept");
	if (err)
		return outcome_fail(exchange->outcome, err, "blob %s: %s",
				    exchange->pieces->blobs[piece.blob].digest, strerror(-err));
	exchange_count(source->index, exchange);
	exchange->arrived_at = swarm_now();
	exchange->usual += (exchange->arrived_at - source->begun - exchange->usual) / 4;
	if (source != exchange->sources)
		exchange->shared_at = exchange->arrived_at;
	return exchange->blob_left[piece.blob] ? 0 : exchange_finish(exchange, piece.blob);
}

static bool under_way(const struct exchange *exchange, size_t index)
{
	for (size_t i = 0; i < exchange->count; i++)
		if (exchange->sources[i].piece.running && exchange->sources[i].index == index)
			return true;
	return false;
}

static void take_map(struct exchange *exchange, struct source *source, long status)
{
	size_t size = piece_map_size(exchange->pieces->count);
	char why[64];

	source->ask_at = swarm_now() + MAP_MS * (int64_t)(1 + exchange->count / 8);
	if (status == 200 && source->map.len == 2 * size) {
		memcpy(source->have, source->map.data, size);
		memcpy(source->want, source->map.data + size, size);
		if (source->met && !source->alive)
			log_info("swarm: %s is there again", source->peer.name);
		source->alive = source->met = true;
		source->failures = 0;
		return;
	}
	if (source->alive)
		log_info("swarm: %s does not answer", source->peer.name);
	snprintf(why, sizeof(why), "it answers %ld", status);
	source_failed(source, status < 0 ? NULL : why);
}

/* One that fails again and again is not asked any more in this run. */
static void leave_alone(struct exchange *exchange, struct source *source)
{
	if (source == exchange->sources ||
	    source->broken <= FAILURES + source->tally.pieces / GOOD_PIECES)
		return;
	log_warn("swarm: %s failed %llu times: it is not asked any more: %s", source->peer.name,
		 (unsigned long long)source->broken, source->why);
	source->shunned = true;
	swarm_shun(exchange->swarm, source->peer.name);
	exchange->reported_at = 0;
}

/*
 * libcurl looks at the clock before it looks at the sockets: what it gives up after a standstill of
 * this thread may have come in time. It is asked for again, once.
 */
static bool spare(const struct exchange *exchange, struct transfer *transfer, CURLcode result)
{
	transfer->spared =
		result == CURLE_OPERATION_TIMEDOUT && exchange->stood && !transfer->spared;
	return transfer->spared;
}

static int take(struct exchange *exchange, struct transfer *transfer, CURLcode result)
{
	struct source *source = transfer->source;
	long status = source_ended(transfer, exchange->multi, result);
	bool spared = spare(exchange, transfer, result);
	char why[64];

	if (transfer->asks) {
		if (!spared)
			take_map(exchange, source, status);
		return 0;
	}
	if (!under_way(exchange, source->index))
		piece_drop(exchange->busy, source->index);
	if (spared)
		return 0;
	/* More than the piece is as wrong as other bytes. */
	if (result == CURLE_WRITE_ERROR)
		return take_wrong(exchange, source);
	if (status == 200 || status == 206)
		return take_piece(exchange, source);
	if (status == 503) {
		source_busy(source);
		return 0;
	}
	snprintf(why, sizeof(why), "it answers %ld", status);
	source->broken++;
	source_failed(source, status < 0 ? NULL : why);
	leave_alone(exchange, source);
	return 0;
}

/* ---- what is asked for ---- */

static bool may_ask(const struct exchange *exchange, const struct source *source, int64_t now)
{
	bool control = source == exchange->sources;

	return !source->piece.running && now >= source->retry_at &&
	       (control || (exchange->trusts && source->alive && !source->shunned));
}

static int64_t patience(const struct exchange *exchange)
{
	return (int64_t)SLOW_MS * exchange->pieces->size / PIECE_SIZE_LEAST;
}

/* Who says it has pieces, and then does not bring them, must not keep others from being asked. */
static bool delivers(const struct exchange *exchange, const struct source *source, int64_t now)
{
	int64_t since = source->piece.running ? source->begun : now;

	if (source->waits_since && source->waits_since < since)
		since = source->waits_since;
	return exchange->trusts && source->alive && now - since <= patience(exchange);
}

/* Who is not asked does not wait; who was busy for long may not be any more. */
static void wait_no_more(const struct exchange *exchange, struct source *source, int64_t now)
{
	if (!source->piece.running &&
	    (delivers(exchange, source, now) || now - source->waits_since > 2 * patience(exchange)))
		source->waits_since = 0;
}

static struct piece_view look(struct exchange *exchange, int64_t now)
{
	for (size_t i = 1; i < exchange->count; i++)
		exchange->views[i - 1] = (struct piece_peer){
			.name = exchange->sources[i].peer.name,
			.alive = delivers(exchange, &exchange->sources[i], now),
			.have = exchange->sources[i].have,
			.want = exchange->sources[i].want,
		};
	return (struct piece_view){
		.name = exchange->swarm->node->name,
		.count = exchange->pieces->count,
		.have = exchange->swarm->have,
		.want = exchange->want,
		.busy = exchange->busy,
		.peers = exchange->views,
		.peers_count = exchange->count - 1,
		.stalled = now - exchange->shared_at > STALL_MS,
	};
}

/* Over links that are slow, a piece is no late one yet. */
static int64_t patient(const struct exchange *exchange)
{
	int64_t usual = 2 * exchange->usual, most = patience(exchange);

	return usual < STALL_MS ? STALL_MS : usual < most ? usual : most;
}

/* Whom may it be asked for, when nothing comes: also who is not the first to be asked for it. */
static bool choose(struct exchange *exchange, struct piece_view *view, size_t from, size_t *index)
{
	static const uint8_t nothing[PIECE_COUNT_AIM]; /* large enough for 8 times as many */
	bool found = piece_choose(view, from, index);

	if (found || swarm_now() - exchange->arrived_at < patient(exchange) ||
	    piece_map_size(view->count) > sizeof(nothing))
		return found;
	view->busy = nothing;
	found = piece_choose(view, from, index);
	view->busy = exchange->busy;
	return found;
}

/* Of many peers only a few are asked at once; who is slow does not count for long. */
static bool enough_asked(const struct exchange *exchange, int64_t now)
{
	size_t asked = 0;

	if (exchange->count - 1 <= TURNS_FEW)
		return false;
	for (size_t i = 1; i < exchange->count; i++)
		asked += exchange->sources[i].piece.running &&
			 now - exchange->sources[i].begun <= STALL_MS;
	return asked >= ASKED_MOST;
}

static void ask_for_piece(struct exchange *exchange, struct piece_view *view, size_t k, int64_t now)
{
	struct source *source = &exchange->sources[k];
	size_t index;

	if (!may_ask(exchange, source, now) || (k && enough_asked(exchange, now)))
		return;
	if (!choose(exchange, view, k ? k - 1 : PIECE_CONTROL, &index))
		wait_no_more(exchange, source, now);
	else if (source_ask_piece(source, exchange->multi, exchange->swarm, index))
		source_failed(source, "curl does not take it");
	else
		piece_put(exchange->busy, index);
}

static void ask_for_maps(struct exchange *exchange, int64_t now)
{
	for (size_t i = 1; i < exchange->count; i++) {
		struct source *source = &exchange->sources[i];

		if (!source->shunned && !source->map.running && now >= source->ask_at &&
		    now >= source->retry_at &&
		    source_ask_map(source, exchange->multi, exchange->swarm))
			source_failed(source, "curl does not take it");
	}
}

/* Peers first: what they have need not come from the control machine. */
static void ask(struct exchange *exchange)
{
	size_t peers = exchange->count - 1;
	int64_t now = swarm_now();
	struct piece_view view;

	exchange->trusts = swarm_trusts(exchange->swarm);
	if (exchange->trusts)
		ask_for_maps(exchange, now);
	view = look(exchange, now);
	exchange->first++;
	for (size_t i = 0; i < peers; i++)
		ask_for_piece(exchange, &view, 1 + (exchange->first + i) % peers, now);
	ask_for_piece(exchange, &view, 0, now);
}

/* The document may name other peers now. */
static int follow(struct exchange *exchange)
{
	struct swarm *swarm = exchange->swarm;
	json_t *document;
	int err = 0;

	if (swarm_now() - exchange->followed_at < FOLLOW_MS)
		return 0;
	exchange->followed_at = swarm_now();
	document = journal_document(swarm->node);
	if (document) {
		swarm_follow(swarm, document);
		err = exchange_choose(exchange);
	}
	json_decref(document);
	return err;
}

static int gave_up(struct exchange *exchange)
{
	const struct source *control = &exchange->sources[0];

	/* What came since is not taken yet. */
	if (exchange->awake.looked - exchange->arrived_at < GIVE_UP_MS)
		return 0;
	return outcome_fail(exchange->outcome, -ECONNRESET,
			    "no piece for %d s; the control machine: %s", GIVE_UP_MS / 1000,
			    control->waits_since ? "it serves others first"
			    : *control->why	 ? control->why
						 : "nothing comes");
}

static void put_off(int64_t *at, int64_t by, int64_t now)
{
	*at = *at + by < now ? *at + by : now;
}

/* While this thread stood still, or was at the whole of a large blob, nobody else was slow. */
static void note_standstill(struct exchange *exchange)
{
	int64_t before = exchange->awake.lost, now = swarm_now(), lost;

	awake_ms(&exchange->awake, now, TURN_MS);
	lost = exchange->awake.lost - before;
	if (!lost)
		return;
	exchange->stood = true;
	put_off(&exchange->arrived_at, lost, now);
	put_off(&exchange->shared_at, lost, now);
	for (size_t i = 0; i < exchange->count; i++) {
		put_off(&exchange->sources[i].begun, lost, now);
		if (exchange->sources[i].waits_since)
			put_off(&exchange->sources[i].waits_since, lost, now);
	}
}

static int run(struct exchange *exchange)
{
	struct node *node = exchange->swarm->node;
	struct transfer *transfer;
	CURLMsg *message;
	int running, more, err = 0;

	exchange->arrived_at = exchange->shared_at = swarm_now();
	while (exchange->left && !err && !node->ending && !cluster_signalled) {
		exchange->stood = false;
		note_standstill(exchange);
		err = follow(exchange);
		if (!err)
			ask(exchange);
		curl_multi_perform(exchange->multi, &running);
		note_standstill(exchange);
		while (!err && (message = curl_multi_info_read(exchange->multi, &more))) {
			CURLcode result = message->data.result;

			if (message->msg != CURLMSG_DONE)
				continue;
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
			err = take(exchange, transfer, result);
			if (!err)
				ask(exchange);
		}
		if (!err)
			err = gave_up(exchange);
		if (!err && exchange->left)
			curl_multi_poll(exchange->multi, NULL, 0, TURN_MS, NULL);
	}
	return err ? err : exchange->left ? -ECANCELED : 0;
}

json_t *swarm_sources(struct swarm *swarm, bool always)
{
	struct exchange *exchange = swarm ? swarm->exchange : NULL;
	json_t *list, *json;

	if (swarm && !exchange) {
		list = swarm->rest;
		swarm->rest = NULL;
		return list;
	}
	if (!exchange || (!always && swarm_now() - exchange->reported_at < REPORT_MS))
		return NULL;
	exchange->reported_at = swarm_now();
	list = json_array();
	for (size_t i = 0; i < exchange->count; i++) {
		json = source_report(&exchange->sources[i]);
		if (json)
			json_array_append_new(list, json);
	}
	if (*swarm->deaf)
		json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i, s:i, s:s}", "peer",
						      swarm->node->name, "bytes", 0, "pieces", 0,
						      "wrong", 0, "failed", 0, "why", swarm->deaf));
	return list;
}

int swarm_fetch(struct swarm *swarm, const struct bundle_blob *blobs, size_t count, bool *missing,
		int (*arrived)(uint64_t bytes, void *arg), void *arg, struct outcome *outcome)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	int err;

	if (!exchange)
		return outcome_fail(outcome, -ENOMEM, "out of memory");
	exchange->swarm = swarm;
	exchange->blobs = blobs;
	exchange->blobs_count = count;
	exchange->missing = missing;
	exchange->arrived = arrived;
	exchange->arg = arg;
	exchange->outcome = outcome;
	err = exchange_begin(exchange);
	swarm->exchange = exchange;
	for (size_t i = 0; i < count && !err; i++)
		if (missing[i])
			err = exchange_add(exchange, blobs[i].digest);
	if (!err) {
		pthread_mutex_lock(&swarm->lock);
		memcpy(swarm->want, exchange->want, piece_map_size(swarm->pieces.count));
		pthread_mutex_unlock(&swarm->lock);
		err = exchange_choose(exchange);
	}
	if (!err)
		err = run(exchange);
	swarm->rest = swarm_sources(swarm, true);
	swarm->exchange = NULL;
	exchange_end(exchange);
	return err;
}
