/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an exchange begins with: which pieces an item takes and what each must be, what of them is
 * on the disk, and from whom they may come.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fault.h"
#include "../lib/log.h"
#include "swarm_exchange.h"

#define LIST_SECONDS 600 /* to make the list of a blob of gigabytes */

/* The digests of a blob's pieces: its own when it is one piece, else the control machine's list. */
static int get_hashes(struct exchange *exchange, size_t blob)
{
	const struct pieces *pieces = exchange->pieces;
	const char *digest = pieces->blobs[blob].digest;
	size_t first = pieces->first[blob], count = pieces->first[blob + 1] - first;
	uint8_t *hashes = exchange->hashes + first * DIGEST_SIZE;
	char url[256], *list = NULL, *why = NULL;
	struct http patient = exchange->http;
	long status;
	int err = 0;

	patient.timeout = LIST_SECONDS;
	if (count == 1)
		return name_unhex(digest, hashes, DIGEST_SIZE);
	snprintf(url, sizeof(url), "%s/v1/pieces/%s?size=%u", exchange->swarm->node->server, digest,
		 pieces->size);
	status = http_call(&patient, url, NULL, &list, &why);
	if (status != 200 || !list)
		err = outcome_fail(exchange->outcome, -ECONNRESET, "the pieces of blob %s: %s",
				   digest, why ? why : "the control machine does not say them");
	else if (strlen(list) != count * NAME_DIGEST_LEN)
		err = -EBADMSG;
	for (size_t i = 0; i < count && !err; i++) {
		char hex[NAME_DIGEST_LEN + 1];

		snprintf(hex, sizeof(hex), "%s", list + i * NAME_DIGEST_LEN);
		err = name_unhex(hex, hashes + i * DIGEST_SIZE, DIGEST_SIZE);
	}
	if (err && err != -ECONNRESET)
		err = outcome_fail(exchange->outcome, -EBADMSG,
				   "the control machine's list of the pieces of blob %s is damaged",
				   digest);
	free(list);
	free(why);
	return err;
}

int exchange_finish(struct exchange *exchange, size_t blob)
{
	const struct bundle_blob *is = &exchange->pieces->blobs[blob];
	int err;

	fault_point("pieces-all");
	err = store_finish(exchange->swarm->node, is);
	fault_point("pieces-whole");
	if (err == -EBADMSG) {
		/* The list was wrong, then. The plain way does without. */
		log_warn("blob %s is not what the manifest says, its pieces are: fetched whole",
			 is->digest);
		store_drop(exchange->swarm->node, is->digest);
		return 0;
	}
	if (err)
		return outcome_fail(exchange->outcome, err, "blob %s: %s", is->digest,
				    strerror(-err));
	for (size_t i = 0; i < exchange->blobs_count; i++)
		if (!strcmp(exchange->blobs[i].digest, is->digest))
			exchange->missing[i] = false;
	return 0;
}

void exchange_count(size_t index, void *arg)
{
	struct exchange *exchange = arg;
	struct piece piece = pieces_at(exchange->pieces, index);

	swarm_mark(exchange->swarm, index);
	exchange->left--;
	exchange->blob_left[piece.blob]--;
	exchange->arrived(piece.len, exchange->arg);
}

int exchange_add(struct exchange *exchange, const char *digest)
{
	size_t blob = pieces_blob(exchange->pieces, digest), first, last;
	int err;

	if (blob == SIZE_MAX)
		return 0;
	first = exchange->pieces->first[blob];
	last = exchange->pieces->first[blob + 1];
	if (first == last || piece_in(exchange->want, first))
		return 0;
	err = get_hashes(exchange, blob);
	if (err)
		return err;
	pthread_mutex_lock(&exchange->swarm->lock);
	for (size_t i = first; i < last; i++) {
		piece_put(exchange->want, i);
		/* It was here once; now it is missing. */
		piece_drop(exchange->swarm->have, i);
	}
	pthread_mutex_unlock(&exchange->swarm->lock);
	exchange->left += last - first;
	exchange->blob_left[blob] = last - first;
	err = store_salvage(exchange->swarm->node, exchange->pieces, blob, exchange->hashes,
			    exchange_count, exchange);
	return err || exchange->blob_left[blob] ? err : exchange_finish(exchange, blob);
}

int exchange_choose(struct exchange *exchange)
{
	struct swarm *swarm = exchange->swarm;
	int err = 0;

	for (size_t k = 1; k < exchange->count; k++) {
		struct source *source = &exchange->sources[k];
		bool named = false;

		for (size_t i = 0; i < swarm->peers_count && !named; i++)
			named = swarm_peer_same(&source->peer, &swarm->peers[i]);
		source->shunned = !named || swarm_shunned(swarm, source->peer.name);
		source->alive &= !source->shunned;
	}
	for (size_t i = 0; i < swarm->peers_count && !err; i++) {
		bool known = false;

		for (size_t k = 1; k < exchange->count && !known; k++)
			known = swarm_peer_same(&exchange->sources[k].peer, &swarm->peers[i]);
		if (known || exchange->count == SOURCES_MAX)
			continue;
		exchange->sources[exchange->count].peer = swarm->peers[i];
		exchange->sources[exchange->count].shunned =
			swarm_shunned(swarm, swarm->peers[i].name);
		err = source_begin(&exchange->sources[exchange->count++], swarm, &exchange->http);
	}
	return err;
}

int exchange_begin(struct exchange *exchange)
{
	struct swarm *swarm = exchange->swarm;
	size_t size = piece_map_size(swarm->pieces.count) + 1;

	node_http(swarm->node, &exchange->http, exchange->paths);
	exchange->pieces = &swarm->pieces;
	exchange->multi = curl_multi_init();
	exchange->want = calloc(1, size);
	exchange->busy = calloc(1, size);
	exchange->hashes = calloc(swarm->pieces.count + 1, DIGEST_SIZE);
	exchange->blob_left = calloc(swarm->pieces.blobs_count + 1, sizeof(*exchange->blob_left));
	if (!exchange->multi || !exchange->want || !exchange->busy || !exchange->hashes ||
	    !exchange->blob_left)
		return outcome_fail(exchange->outcome, -ENOMEM, "out of memory");
	strcpy(exchange->sources[0].peer.name, "control");
	exchange->sources[0].met = true;
	exchange->count = 1;
	return source_begin(&exchange->sources[0], swarm, &exchange->http);
}

void exchange_end(struct exchange *exchange)
{
	for (size_t i = 0; i < exchange->count; i++)
		source_end(&exchange->sources[i], exchange->multi);
	if (exchange->multi)
		curl_multi_cleanup(exchange->multi);
	free(exchange->want);
	free(exchange->busy);
	free(exchange->hashes);
	free(exchange->blob_left);
	free(exchange);
}
