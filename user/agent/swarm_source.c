/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One of those whom pieces come from: the control machine, whose certificate the CA signed for its
 * address, or a peer, whose certificate is for clients alone and is therefore known by its key.
 * At most one piece and one map are under way from each.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/log.h"
#include "swarm.h"

#define CONNECT_SECONDS 3
#define MAP_SECONDS	5
#define STALL_SECONDS	5 /* a piece that comes slower than this is better had elsewhere */
#define STALL_BYTES	1000
#define CONTROL_STALL	60
#define BUSY_MS		50  /* after it said so; it lets who asks wait by itself */
#define RETRY_FIRST	300 /* ms; doubled with each failure in a row */
#define RETRY_DOUBLINGS 4

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;

	size *= count;
	if (size > transfer->room - transfer->len)
		return 0;
	memcpy(transfer->data + transfer->len, data, size);
	transfer->len += size;
	return size;
}

static void pin(CURL *curl, const char *key)
{
	uint8_t bytes[DIGEST_SIZE];
	char text[16 + 4 * (DIGEST_SIZE + 2) / 3 + 1] = "sha256//";

	if (name_unhex(key, bytes, sizeof(bytes)))
		return;
	EVP_EncodeBlock((unsigned char *)text + strlen(text), bytes, sizeof(bytes));
	curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, text);
}

static int begin_transfer(struct transfer *transfer, struct source *source, size_t room,
			  const struct http *http)
{
	struct http settings = *http;
	bool control = !*source->peer.key;

	transfer->source = source;
	transfer->room = room;
	transfer->data = malloc(room + 1);
	transfer->curl = curl_easy_init();
	if (!transfer->data || !transfer->curl)
		return -ENOMEM;
	/* A peer's certificate says nothing about its address: its key says all. */
	if (!control)
		settings.ca = NULL;
	http_options(transfer->curl, &settings, "", transfer->error);
	if (!control)
		pin(transfer->curl, source->peer.key);
	curl_easy_setopt(transfer->curl, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(transfer->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(transfer->curl, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(transfer->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(transfer->curl, CURLOPT_TIMEOUT, transfer->asks ? (long)MAP_SECONDS : 0L);
	curl_easy_setopt(transfer->curl, CURLOPT_LOW_SPEED_LIMIT, control ? 1L : (long)STALL_BYTES);
	curl_easy_setopt(transfer->curl, CURLOPT_LOW_SPEED_TIME,
			 control ? (long)CONTROL_STALL : (long)STALL_SECONDS);
	return 0;
}

int source_begin(struct source *source, const struct swarm *swarm, const struct http *http)
{
	size_t size = piece_map_size(swarm->pieces.count);
	int err = begin_transfer(&source->piece, source, swarm->pieces.size, http);

	source->map.asks = true;
	if (!err)
		err = begin_transfer(&source->map, source, 2 * size, http);
	source->have = calloc(1, size + 1);
	source->want = calloc(1, size + 1);
	return err ? err : source->have && source->want ? 0 : -ENOMEM;
}

static void end_transfer(struct transfer *transfer, CURLM *multi)
{
	if (transfer->running)
		curl_multi_remove_handle(multi, transfer->curl);
	curl_easy_cleanup(transfer->curl);
	free(transfer->data);
}

void source_end(struct source *source, CURLM *multi)
{
	end_transfer(&source->piece, multi);
	end_transfer(&source->map, multi);
	free(source->have);
	free(source->want);
	memset(source, 0, sizeof(*source));
}

static int run(struct transfer *transfer, CURLM *multi, const char *url)
{
	transfer->len = 0;
	*transfer->error = '\0';
	curl_easy_setopt(transfer->curl, CURLOPT_URL, url);
	if (curl_multi_add_handle(multi, transfer->curl) != CURLM_OK)
		return -EIO;
	transfer->running = true;
	return 0;
}

static void peer_url(const struct source *source, const struct swarm *swarm, const char *rest,
		     char *ret, size_t size)
{
	bool six = strchr(source->peer.address, ':');

	snprintf(ret, size, "https://%s%s%s:%u/v1/%s", six ? "[" : "", source->peer.address,
		 six ? "]" : "", swarm->port, rest);
}

int source_ask_piece(struct source *source, CURLM *multi, const struct swarm *swarm, size_t index)
{
	struct piece piece = pieces_at(&swarm->pieces, index);
	char url[320], rest[160], range[64];

	source->index = index;
	source->begun = swarm_now();
	if (*source->peer.key) {
		snprintf(rest, sizeof(rest), "piece/%s/%zu?turn=1", swarm->manifest, index);
		peer_url(source, swarm, rest, url, sizeof(url));
	} else {
		snprintf(url, sizeof(url), "%s/v1/blob/%s?turn=1", swarm->node->server,
			 swarm->pieces.blobs[piece.blob].digest);
		snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)piece.offset,
			 (unsigned long long)(piece.offset + piece.len - 1));
		curl_easy_setopt(source->piece.curl, CURLOPT_RANGE, range);
	}
	return run(&source->piece, multi, url);
}

int source_ask_map(struct source *source, CURLM *multi, const struct swarm *swarm)
{
	char url[320], rest[160];

	snprintf(rest, sizeof(rest), "have/%s", swarm->manifest);
	peer_url(source, swarm, rest, url, sizeof(url));
	return run(&source->map, multi, url);
}

/* Whoever answers there is not the peer: said once, and looked at again later. The peer itself may
 * have been silent before. */
static void refuse_key(struct source *source)
{
	if (!source->foreign) {
		source->foreign = true;
		log_warn("swarm: the key that answers at %s is not %s's", source->peer.address,
			 source->peer.name);
		source->tally.failed++;
	}
	snprintf(source->why, sizeof(source->why), "another machine's key answers at %s",
		 source->peer.address);
}

long source_ended(struct transfer *transfer, CURLM *multi, CURLcode result)
{
	struct source *source = transfer->source;
	long status = -1;

	if (result == CURLE_OK) {
		curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
		source->foreign = false;
	} else if (result == CURLE_SSL_PINNEDPUBKEYNOTMATCH) {
		refuse_key(source);
	} else {
		snprintf(source->why, sizeof(source->why), "%.190s",
			 *transfer->error ? transfer->error : curl_easy_strerror(result));
	}
	curl_multi_remove_handle(multi, transfer->curl);
	transfer->running = false;
	return status;
}

void source_failed(struct source *source, const char *why)
{
	unsigned doublings =
		source->failures < RETRY_DOUBLINGS ? source->failures : RETRY_DOUBLINGS;

	if (why)
		snprintf(source->why, sizeof(source->why), "%s", why);
	/* Who was never there has not failed: its agent has yet to begin. */
	source->tally.failed += source->alive || !*source->peer.key;
	source->alive = false;
	source->waits_since = 0;
	source->failures++;
	source->retry_at = swarm_now() + ((int64_t)RETRY_FIRST << doublings);
}

void source_busy(struct source *source)
{
	int64_t now = swarm_now();

	source->waits_since = source->waits_since ? source->waits_since : now;
	source->retry_at = now + BUSY_MS;
}

json_t *source_report(struct source *source)
{
	const struct tally *now = &source->tally, *before = &source->told;
	json_t *json;

	if (!memcmp(now, before, sizeof(*now)) && !strcmp(source->why, source->told_why))
		return NULL;
	for (char *c = source->why; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	json = json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}", "peer", source->peer.name, "bytes",
			 (json_int_t)(now->bytes - before->bytes), "pieces",
			 (json_int_t)(now->pieces - before->pieces), "wrong",
			 (json_int_t)(now->wrong - before->wrong), "failed",
			 (json_int_t)(now->failed - before->failed), "why",
			 now->wrong || now->failed ? source->why : "");
	source->told = *now;
	strcpy(source->told_why, source->why);
	return json;
}
