/* SPDX-License-Identifier: BSD-2-Clause */
#include "swarm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/log.h"

#define LISTEN_RETRY 5000 /* ms */

struct swarm *swarm_new(struct node *node)
{
	struct swarm *swarm = calloc(1, sizeof(*swarm));

	if (!swarm)
		return NULL;
	swarm->node = node;
	pthread_mutex_init(&swarm->lock, NULL);
	turns_init(&swarm->turns, SWARM_AT_ONCE);
	return swarm;
}

void swarm_free(struct swarm *swarm)
{
	if (!swarm)
		return;
	swarm_deafen(swarm);
	pieces_free(&swarm->pieces);
	free(swarm->have);
	free(swarm->want);
	free(swarm->ca);
	free(swarm->certificate);
	free(swarm->key);
	json_decref(swarm->rest);
	pthread_mutex_destroy(&swarm->lock);
	free(swarm);
}

/* ---- the document ---- */

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

size_t swarm_read_peers(const json_t *document, struct swarm_peer peers[DESIRED_PEERS_MAX])
{
	const json_t *list = json_object_get(json_object_get(document, "swarm"), "peers"), *entry;
	size_t i;

	json_array_foreach (list, i, entry) {
		snprintf(peers[i].name, sizeof(peers[i].name), "%s", text(entry, "name"));
		snprintf(peers[i].address, sizeof(peers[i].address), "%s", text(entry, "address"));
		snprintf(peers[i].key, sizeof(peers[i].key), "%s", text(entry, "key"));
	}
	return json_array_size(list);
}

static void keep_listening(struct swarm *swarm)
{
	int err;

	if (swarm->daemon || swarm_now() < swarm->listen_at)
		return;
	err = swarm_listen(swarm);
	if (!err) {
		*swarm->deaf = '\0';
		log_info("swarm: peers dial %s port %u", swarm->address, swarm->port);
		return;
	}
	swarm->listen_at = swarm_now() + LISTEN_RETRY;
	if (!*swarm->deaf)
		log_warn("swarm: %s port %u: %s: nobody can fetch from this node", swarm->address,
			 swarm->port, strerror(-err));
	snprintf(swarm->deaf, sizeof(swarm->deaf), "it cannot listen at %s port %u: %s",
		 swarm->address, swarm->port, strerror(-err));
}

void swarm_follow(struct swarm *swarm, const json_t *document)
{
	const json_t *wanted = json_object_get(document, "swarm");
	int64_t generation = json_integer_value(json_object_get(document, "generation"));
	uint16_t port = (uint16_t)json_integer_value(json_object_get(wanted, "port"));

	if (!swarm || !document)
		return;
	if (generation != swarm->generation) {
		swarm->generation = generation;
		swarm->peers_count = swarm_read_peers(document, swarm->peers);
		swarm_admit(swarm, document);
		/* Another run, another chance: a disk may have been mended. */
		if (strcmp(swarm->run, text(document, "run")) != 0)
			swarm->shunned_count = 0;
		snprintf(swarm->run, sizeof(swarm->run), "%s", text(document, "run"));
		if (port != swarm->port || strcmp(swarm->address, text(wanted, "address")) != 0) {
			swarm_deafen(swarm);
			swarm->port = port;
			snprintf(swarm->address, sizeof(swarm->address), "%s",
				 text(wanted, "address"));
			swarm->listen_at = 0;
			*swarm->deaf = '\0';
		}
	}
	if (!port)
		return;
	keep_listening(swarm);
	swarm_say_doubts(swarm);
}

bool swarm_active(const struct swarm *swarm)
{
	return swarm && swarm->port;
}

bool swarm_peer_same(const struct swarm_peer *a, const struct swarm_peer *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->address, b->address) &&
	       !strcmp(a->key, b->key);
}

bool swarm_shunned(const struct swarm *swarm, const char *name)
{
	for (size_t i = 0; i < swarm->shunned_count; i++)
		if (!strcmp(swarm->shunned[i], name))
			return true;
	return false;
}

void swarm_shun(struct swarm *swarm, const char *name)
{
	if (!swarm_shunned(swarm, name) && swarm->shunned_count < DESIRED_PEERS_MAX)
		snprintf(swarm->shunned[swarm->shunned_count++], sizeof(swarm->shunned[0]), "%s",
			 name);
}

/* ---- the bundle ---- */

int swarm_load(struct swarm *swarm, const struct bundle *bundle)
{
	const struct bundle_manifest *manifest = bundle_manifest(bundle);
	struct pieces pieces;
	struct bundle_blob self;
	uint8_t *have, *want;
	size_t size;

	bundle_manifest_json(bundle, &self);
	if (!strcmp(swarm->manifest, self.digest))
		return 0;
	if (pieces_make(manifest->blobs, manifest->blobs_count, &pieces))
		return -ENOMEM;
	size = piece_map_size(pieces.count);
	have = calloc(1, size + 1);
	want = calloc(1, size + 1);
	if (!have || !want) {
		free(have);
		free(want);
		pieces_free(&pieces);
		return -ENOMEM;
	}
	pthread_mutex_lock(&swarm->lock);
	pieces_free(&swarm->pieces);
	free(swarm->have);
	free(swarm->want);
	swarm->pieces = pieces;
	swarm->have = have;
	swarm->want = want;
	strcpy(swarm->manifest, self.digest);
	pthread_mutex_unlock(&swarm->lock);
	swarm->seeded = 0;
	return 0;
}

void swarm_mark(struct swarm *swarm, size_t index)
{
	pthread_mutex_lock(&swarm->lock);
	piece_put(swarm->have, index);
	pthread_mutex_unlock(&swarm->lock);
}

void swarm_has(struct swarm *swarm, const char *digest)
{
	size_t blob = *swarm->manifest ? pieces_blob(&swarm->pieces, digest) : SIZE_MAX;

	if (blob == SIZE_MAX)
		return;
	pthread_mutex_lock(&swarm->lock);
	for (size_t i = swarm->pieces.first[blob]; i < swarm->pieces.first[blob + 1]; i++)
		piece_put(swarm->have, i);
	pthread_mutex_unlock(&swarm->lock);
}

static bool open_for_seeding(struct swarm *swarm, const json_t *document)
{
	struct outcome *outcome;
	struct bundle *bundle = NULL;
	int err;

	if (!strcmp(swarm->manifest, text(document, "manifest")))
		return true;
	outcome = calloc(1, sizeof(*outcome));
	if (!outcome)
		return false;
	err = node_bundle(swarm->node, document, &bundle, outcome);
	if (!err)
		err = swarm_load(swarm, bundle);
	bundle_close(bundle);
	free(outcome);
	return !err;
}

bool swarm_seed(struct swarm *swarm, const json_t *document)
{
	char hex[NAME_DIGEST_LEN + 1], path[CLUSTER_PATH_MAX], name[128];
	const struct bundle_blob *blob;
	uint64_t size;
	int fd;

	if (!swarm_active(swarm) || !open_for_seeding(swarm, document) ||
	    swarm->seeded >= swarm->pieces.blobs_count)
		return false;
	blob = &swarm->pieces.blobs[swarm->seeded];
	if (blob->size && !piece_in(swarm->have, swarm->pieces.first[swarm->seeded])) {
		snprintf(name, sizeof(name), "bundle/blobs/sha256/%s", blob->digest);
		node_path(swarm->node, name, path);
		fd = access(path, R_OK) ? -1 : store_open(swarm->node, blob->digest);
		if (fd >= 0 && !digest_file(fd, hex, &size) && !strcmp(hex, blob->digest))
			swarm_has(swarm, blob->digest);
		if (fd >= 0)
			close(fd);
	}
	swarm->seeded++;
	return true;
}
