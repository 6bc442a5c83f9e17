/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTPS server that agents dial: libmicrohttpd with a thread for each connection, since a
 * cluster has hundreds of nodes, not thousands, and a long poll is then a wait.
 *
 *   serve.c      listening, bodies, replies, the thread that watches the database
 *   serve_id.c   who asks: libmicrohttpd only requests a client certificate, so every route but the
 *                two open ones checks it here
 *   serve_api.c  the routes; certificates in serve_enrol.c, the bundle in serve_bundle.c, and lists
 *                of its pieces in serve_pieces.c
 */
#ifndef CLUSTER_SERVE_H
#define CLUSTER_SERVE_H

#include <microhttpd.h>
#include <pthread.h>

#include "../lib/bundle.h"
#include "../lib/turns.h"
#include "cluster.h"

#define SERVE_BODY_MAX (2 * 1024 * 1024)
#define SERVE_OPEN_MAX (16 * 1024) /* of who has shown no certificate */
#define SERVE_ASKED    1024
#define SERVE_AT_ONCE  4 /* pieces on their way to nodes that pass them on */

/* The newest request for facts that a node's last answer came after, and the poll that waits: one
 * whose agent has gone and come back is not the one that counts. */
struct serve_told {
	char node[STATE_NODE_MAX + 1];
	int64_t refresh;
	uint64_t poll;
};

struct serve {
	struct cluster *cluster;
	struct config *config;
	uint64_t config_stamp; /* of its file */
	/* One at a time uses the database and the bundle; nobody sleeps with it. */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* somebody wrote into the database */
	bool ending, turning;	/* turning: the server begins anew with new certificates */
	struct turns turns;	/* of pieces */
	struct bundle *bundle;	/* NULL: closed */
	char *bundle_path;
	unsigned bundle_readers;
	int64_t bundle_used; /* state_ticks() */
	char *ca, *publishers, *control_pub;
	struct serve_told told[CONFIG_NODES_MAX];
	size_t told_next;
	/* Requests to be enrolled, by a hash of where they come from. */
	struct {
		int64_t window;
		unsigned count;
	} asked[SERVE_ASKED];
};

struct request {
	struct serve *serve;
	struct MHD_Connection *connection;
	char node[STATE_NODE_MAX + 1];	     /* who asks; empty on open routes */
	char address[STATE_ADDRESS_MAX + 1]; /* where it comes from */
	const char *refused; /* why, a constant; known from the head: nothing of a body is kept */
	unsigned refused_status;
	char *body;
	size_t body_len, body_max;
	uint64_t thrown_away;
	bool too_large, answered, has_turn;
	struct turn turn; /* of a node that asks for a piece and passes it on */
};

/* serve.c */
/* With the lock held: the cluster file, when it has changed: nodes were added, deadlines are
 * others.
 */
void serve_read_config(struct serve *serve);
enum MHD_Result serve_reply(struct request *request, unsigned status, const char *type,
			    const char *text);
enum MHD_Result serve_problem(struct request *request, unsigned status, const char *why);
const char *serve_argument(const struct request *request, const char *name);

/* serve_id.c: the enrolled node behind the connection; NULL, or why not, a constant, and the
 * status that says so. */
const char *serve_identify(struct request *request, unsigned *ret_status);
void serve_address(struct request *request);

/* serve_api.c */
bool serve_is_open(const char *method, const char *path); /* to who has no certificate yet */
enum MHD_Result serve_route(struct request *request, const char *method, const char *path);

/* serve_bundle.c */
enum MHD_Result serve_index(struct request *request);
enum MHD_Result serve_blob(struct request *request, const char *digest, bool pieces);
/* Takes the lock: as bundle_read(), of the bundle that is open, or that is the one to open by now;
 * closes one that cannot be read. For who is counted in bundle_readers.
 */
ssize_t serve_bundle_read(struct serve *serve, const char *digest, void *buffer, size_t len,
			  uint64_t offset);
/* With the lock held, from time to time: closes a bundle that nobody reads any more. */
void serve_bundle_idle(struct serve *serve);
void serve_bundle_close(struct serve *serve);

#endif
