/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mode swarm: nodes pass pieces of the bundle on to each other.
 *
 *   swarm.c        which pieces are here, which peers the document names
 *   swarm_trust.c  … and whether they are trusted still
 *   swarm_serve.c  HTTPS for peers: which pieces are here, and those
 *   swarm_store.c  pieces on disk: blobs/sha256/HEX.pieces, until all of a blob are there
 *   swarm_begin.c  an item's pieces: what each must be, what is there, who may have them
 *   swarm_fetch.c  brings an item's blobs, from the control machine and from peers at once
 *   swarm_source.c one of those: its transfers, and how it behaved
 *
 * Whom is believed what: a piece is checked when it arrives, against the blob's digest in the
 * signed manifest, or, of a larger blob, against a list of its pieces' digests that the control
 * machine made; the whole blob is then checked against the signed manifest again. A peer is dialed
 * for the key that the signed document names, and answers only to keys named there; all of that
 * only while the control machine is heard of, who would say it if one of them was shut out.
 *
 * The fetching thread alone calls what is declared here, but for swarm_trust.c; the server's thread
 * shares, under the lock, what struct swarm says. A swarm of NULL, when memory is out, is none.
 */
#ifndef AGENT_SWARM_H
#define AGENT_SWARM_H

#include <curl/curl.h>

#include "../lib/clock.h"
#include "../lib/digest.h"
#include "../lib/piece.h"
#include "../lib/turns.h"
#include "cluster.h"

struct swarm_peer {
	char name[64], address[64], key[NAME_DIGEST_LEN + 1];
};

#define SWARM_AT_ONCE 3 /* pieces on their way to peers */

struct exchange;
struct MHD_Daemon;

struct swarm {
	struct node *node;
	pthread_mutex_t lock;
	/* ---- under the lock ---- */
	char manifest[NAME_DIGEST_LEN + 1]; /* empty: nothing is passed on */
	struct pieces pieces;
	uint8_t *have, *want;			       /* maps */
	struct swarm_peer admitted[DESIRED_PEERS_MAX]; /* whom this node answers */
	size_t admitted_count;
	int64_t admitted_by; /* the document's generation */
	int64_t trust;	     /* ms that peers are trusted after heard_at */
	int64_t heard_at;    /* when the control machine said that the document is in force */
	bool heard, doubts;  /* doubts: it was said that peers are not trusted */
	/* ---- the server's ---- */
	struct turns turns;
	/* ---- the fetching thread's ---- */
	int64_t generation;
	struct swarm_peer peers[DESIRED_PEERS_MAX]; /* whom it asks */
	size_t peers_count;
	char run[DESIRED_RUN_LEN + 1];
	char shunned[DESIRED_PEERS_MAX][64]; /* who sent wrong pieces in this run */
	size_t shunned_count;
	size_t seeded; /* blobs looked at by swarm_seed() */
	char address[64];
	uint16_t port;
	struct MHD_Daemon *daemon;
	char *ca, *certificate, *key;
	int64_t listen_at;	   /* when to try again */
	char deaf[160];		   /* why nobody can dial this node; empty: one can */
	struct exchange *exchange; /* while an item is fetched */
	json_t *rest;		   /* of its tally, when it has ended */
};

#define swarm_now() clock_ms(CLOCK_MONOTONIC)

/* ---- swarm.c ---- */

struct swarm *swarm_new(struct node *node);
void swarm_free(struct swarm *swarm);
/* What the document says of peers; listens, or does no longer. */
void swarm_follow(struct swarm *swarm, const json_t *document);
/* Does the document say that pieces are passed on? */
bool swarm_active(const struct swarm *swarm);
/* Which bundle it is about. 0 or -ENOMEM. */
int swarm_load(struct swarm *swarm, const struct bundle *bundle);
/* This blob is here and right, all of it. */
void swarm_has(struct swarm *swarm, const char *digest);
/* Looks at one more blob that an earlier run left here. True: there was one. */
bool swarm_seed(struct swarm *swarm, const json_t *document);
bool swarm_peer_same(const struct swarm_peer *a, const struct swarm_peer *b);
bool swarm_shunned(const struct swarm *swarm, const char *name);
void swarm_shun(struct swarm *swarm, const char *name);
void swarm_mark(struct swarm *swarm, size_t index);

/* The peers that a document names; how many. */
size_t swarm_read_peers(const json_t *document, struct swarm_peer ret_peers[DESIRED_PEERS_MAX]);

/* ---- swarm_trust.c: from any thread ---- */

/*
 * From now on this node answers the peers of this document, and those of an older one no more: who
 * was shut out is not served until a large blob is verified.
 */
void swarm_admit(struct swarm *swarm, const json_t *document);
/* Now. */
int64_t swarm_clock(void);
/* At that time, the control machine had no newer document than the one that was admitted. */
void swarm_heard(struct swarm *swarm, int64_t at);
/* Are peers to be asked and answered now? */
bool swarm_trusts(struct swarm *swarm);
/* Once each time that changes. */
void swarm_say_doubts(struct swarm *swarm);
/* How long a poll may wait, at most wanted seconds: 0 when an answer decides about peers. */
unsigned swarm_poll_seconds(struct swarm *swarm, unsigned wanted);

/* ---- swarm_serve.c ---- */

int swarm_listen(struct swarm *swarm);
void swarm_deafen(struct swarm *swarm);

/* ---- swarm_store.c: 0 or -errno ---- */

int store_piece(const struct node *node, const struct pieces *pieces, size_t index,
		const uint8_t *data);
/* An open file that has the piece, and where; -errno. */
int store_open(const struct node *node, const char *digest);
/*
 * What an earlier try left of a blob: told() hears of each piece that is right. hashes: DIGEST_SIZE
 * bytes for each piece of the bundle.
 */
int store_salvage(const struct node *node, const struct pieces *pieces, size_t blob,
		  const uint8_t *hashes, void (*told)(size_t index, void *arg), void *arg);
/* All pieces are there: checks the whole and gives it its name. -EBADMSG: it is not the blob. */
int store_finish(const struct node *node, const struct bundle_blob *blob);
void store_drop(const struct node *node, const char *digest);

/* ---- swarm_fetch.c ---- */

/*
 * Brings what is missing[] of these blobs and clears it there; told bytes as they arrive. What is
 * still missing after 0 is for the plain way. Else -errno with outcome.
 */
int swarm_fetch(struct swarm *swarm, const struct bundle_blob *blobs, size_t count, bool *missing,
		int (*arrived)(uint64_t bytes, void *arg), void *arg, struct outcome *outcome);
/* What came from whom since it was last asked, [{"peer", "bytes", …}]; NULL: nothing, or too soon.
 */
json_t *swarm_sources(struct swarm *swarm, bool always);

/* ---- swarm_source.c ---- */

struct source;

struct transfer {
	struct source *source;
	CURL *curl;
	bool running, asks; /* asks: for a map, not a piece */
	bool spared;	    /* the last one timed out while this thread stood still */
	uint8_t *data;
	size_t len, room;
	char error[CURL_ERROR_SIZE];
};

struct tally {
	uint64_t bytes, pieces, wrong, failed;
};

struct source {
	struct swarm_peer peer; /* key empty: the control machine */
	bool alive, met, shunned;
	bool foreign; /* another machine's key answered there last */
	struct transfer piece, map;
	size_t index; /* of the piece under way */
	int64_t begun, retry_at, ask_at;
	int64_t waits_since; /* others are served first since then; 0: it is not waited for */
	unsigned failures;   /* in a row */
	uint64_t broken;     /* pieces that it did not bring */
	uint8_t *have, *want;
	struct tally tally, told;
	char why[200], told_why[200];
};

int source_begin(struct source *source, const struct swarm *swarm, const struct http *http);
void source_end(struct source *source, CURLM *multi);
/* 0 or -EIO: curl does not take it. */
int source_ask_piece(struct source *source, CURLM *multi, const struct swarm *swarm, size_t index);
int source_ask_map(struct source *source, CURLM *multi, const struct swarm *swarm);
/* A transfer ended: the HTTP status, or -1. Source and transfer can be used again. */
long source_ended(struct transfer *transfer, CURLM *multi, CURLcode result);
/* It did not do what it should: not asked again for a while. */
void source_failed(struct source *source, const char *why);
/* It does what it should, with others. */
void source_busy(struct source *source);
/* What is new in its tally, NULL: nothing. */
json_t *source_report(struct source *source);

#endif
