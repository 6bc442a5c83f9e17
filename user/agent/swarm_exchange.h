/* SPDX-License-Identifier: BSD-2-Clause */
/* One item under way in mode swarm: what swarm_begin.c sets up and swarm_fetch.c works with. */
#ifndef AGENT_SWARM_EXCHANGE_H
#define AGENT_SWARM_EXCHANGE_H

#include "swarm.h"

#define SOURCES_MAX (DESIRED_PEERS_MAX + 1)

struct exchange {
	struct swarm *swarm;
	const struct pieces *pieces;
	CURLM *multi;
	struct http http;
	char paths[3][CLUSTER_PATH_MAX];
	struct source sources[SOURCES_MAX]; /* [0]: the control machine */
	struct piece_peer views[SOURCES_MAX];
	size_t count;
	uint8_t *want, *busy, *hashes;
	size_t *blob_left, left;       /* pieces */
	int64_t arrived_at, shared_at; /* a piece, a piece from a peer */
	int64_t usual;		       /* ms that a piece takes */
	struct awake awake;
	bool stood; /* this thread, for a while, since the last turn */
	int64_t followed_at, reported_at;
	size_t first;  /* of the peers to be asked, in turn */
	unsigned lies; /* of the control machine */
	bool trusts;   /* peers, at this moment */
	const struct bundle_blob *blobs;
	size_t blobs_count;
	bool *missing;
	int (*arrived)(uint64_t bytes, void *arg);
	void *arg;
	struct outcome *outcome;
};

/* 0 or -errno with outcome. exchange_end() frees also what was not begun whole. */
int exchange_begin(struct exchange *exchange);
void exchange_end(struct exchange *exchange);
/* A blob to bring; what is there of it already counts. */
int exchange_add(struct exchange *exchange, const char *digest);
/* Peers that the document names now; those that it does not name any more are left out. */
int exchange_choose(struct exchange *exchange);
/* A piece that is on the disk and right. */
void exchange_count(size_t index, void *exchange);
/* A blob all of whose pieces are there. */
int exchange_finish(struct exchange *exchange, size_t blob);

#endif
