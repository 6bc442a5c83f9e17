/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-agent on a node of a cluster: dials the control machine, learns what this machine is to
 * be, and makes it so.
 *
 *   cluster.c          options, beginning and end
 *   cluster_follow.c   threads: what this machine is to be, and what it tells
 *   cluster_enrol.c    becoming a node: key, request, certificate
 *   cluster_renew.c    … and staying one: new certificates
 *   cluster_http.c     HTTPS with both sides' certificates
 *   cluster_journal*.c what survives a kill (SQLite): states, events, what items added
 *   cluster_bundle.c   the bundle as far as it is here: its index and manifest
 *   cluster_fetch.c    thread: brings blobs, verifies them      sending → staged → verified
 *   cluster_tidy.c     … and takes away those of bundles before
 *   swarm*.c           … also from other nodes, in mode swarm
 *   cluster_install.c  thread: one item after the other         installing → configured → healthy
 *   cluster_payload.c  tarball, image, and packages, by cluster_packages.c
 *   cluster_dpkg.c     what dpkg was cut off in
 *   cluster_undo.c     takes an item away again                 removing → removed
 *   cluster_config.c   files from templates, with the old ones kept
 *   cluster_network*.c, cluster_storage.c  the two schemes
 *   cluster_exec.c     runs a program or a step
 *   cluster_leftover.c … and waits for those of an agent that was killed
 *   cluster_facts.c    what this machine is and has
 *
 * Fetching and installing run side by side, so that one item installs while the next is on its
 * way. Both follow the journal alone; killed anywhere, they go on from there.
 */
#ifndef AGENT_CLUSTER_H
#define AGENT_CLUSTER_H

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/bundle.h"
#include "../lib/desired.h"

#define CLUSTER_DIRECTORY "/var/lib/sluice-node"
#define CLUSTER_LOG_MAX	  4000
#define CLUSTER_WHY_MAX	  400
#define CLUSTER_PATH_MAX  4096
#define CLUSTER_PEM_MAX	  (64 * 1024)

struct swarm;

struct node {
	const char *directory;
	char name[64], cluster[64], server[96]; /* server: "https://10.0.0.1:8443" */
	char *control, *publishers;		/* public keys */
	sqlite3 *db;
	pthread_mutex_t lock;	/* the journal */
	pthread_cond_t changed; /* the journal's items or document */
	char session[17];	/* of this process: events are counted anew by each */
	int trouble;		/* -errno of the journal's last write; 0: it is well */
	bool ending;
	uint32_t wait;
	struct swarm *swarm; /* the fetching thread's (swarm.h); NULL: memory is out */
};

/* Why something could not be done, and what programs said last. */
struct outcome {
	char why[CLUSTER_WHY_MAX + 1];
	char log[CLUSTER_LOG_MAX + 1];
};

/* -errno with a sentence in outcome->why. */
int outcome_fail(struct outcome *outcome, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* cluster.c: "sluice-agent cluster …"; returns the exit status. */
int cluster_main(int argc, char **argv);
/* A path below the node's directory; ret has CLUSTER_PATH_MAX bytes. */
void node_path(const struct node *node, const char *name, char *ret_path);
/* Waits until the journal changes, at most that long. False: the agent ends. */
bool node_wait(struct node *node, unsigned milliseconds);

/* Set by SIGTERM: transfers end, the item at hand is finished. */
extern volatile sig_atomic_t cluster_signalled;

/* cluster_follow.c: polls until the agent is signalled. */
void node_follow(struct node *node);
void *report_thread(void *node);

/* cluster_enrol.c */
struct enrol_options {
	const char *server, *token, *ca_hash, *name, *directory;
	uint32_t wait;
};
int cluster_enrol(const struct enrol_options *options);

/* ---- cluster_http.c: status, or -1 and *ret_why (malloc'd) --------------------------------- */

struct http {
	const char *ca, *certificate, *key; /* paths; ca NULL: whoever answers (for the CA alone) */
	unsigned timeout;
};
/* What every transfer has: TLS, no proxy, an end when the agent is to end. error: CURL_ERROR_SIZE.
 */
void http_options(void *curl, const struct http *http, const char *url, char *error);
long http_call(const struct http *http, const char *url, const char *body, char **ret_body,
	       char **ret_why);
/* Appends from offset to fd. arrived() is told each piece; not 0 ends the transfer. -errno below
 * -1: fd cannot be written. */
long http_fetch(const struct http *http, const char *url, int fd, uint64_t offset,
		int (*arrived)(uint64_t bytes, void *arg), void *arg, char **ret_why);
void node_http(const struct node *node, struct http *ret_http, char paths[3][CLUSTER_PATH_MAX]);

/* cluster_renew.c: a new certificate, when the control machine says so. 0 or -ECONNREFUSED (said).
 */
int node_renew(struct node *node, const struct http *http);

/* ---- cluster_journal.c --------------------------------------------------------------------- */

int journal_open(struct node *node);
/* Texts are malloc'd; NULL: not there. */
char *journal_get(struct node *node, const char *key);
int journal_set(struct node *node, const char *key, const char *value);
int64_t journal_number(struct node *node, const char *key);

struct journal_item {
	char id[DESIRED_ID_LEN + 1], run[DESIRED_RUN_LEN + 1], state[16];
};
/* False: nothing is known of it. */
bool journal_item(struct node *node, const char *name, struct journal_item *ret_item);
/*
 * An item's new state, and the event that tells the control machine, in one commit. outcome may be
 * NULL. Wakes the other thread.
 */
int journal_move(struct node *node, const json_t *item, const char *state, unsigned percent,
		 uint64_t bytes, uint64_t rate, const struct outcome *outcome);
/* Only an event: progress within a state. sources, taken: what came from whom; NULL: not said. */
void journal_tell(struct node *node, const json_t *item, const char *state, unsigned percent,
		  uint64_t bytes, uint64_t rate);
void journal_tell_sources(struct node *node, const json_t *item, const char *state,
			  unsigned percent, uint64_t bytes, uint64_t rate, json_t *sources);
/* Only an event: what stands in the way, and is tried again. */
void journal_complain(struct node *node, const json_t *item, const char *state, unsigned percent,
		      const struct outcome *outcome);
/* {name: {"id", "run", "state", "why" of a failure}}; the last event's number when that was so, -1:
 * not all are told.
 */
json_t *journal_items(struct node *node, int64_t *ret_seq);
/* The document in force, and its generation; NULL: none yet. */
json_t *journal_document(struct node *node);
int journal_follow(struct node *node, const char *payload, const char *digest, int64_t generation);
/* Events not told yet, {"events": […]}, the last one's number; NULL: none. */
json_t *journal_events(struct node *node, int64_t *ret_last);
void journal_told(struct node *node, int64_t last);

/* cluster_journal_added.c: what an item added, so that it can be taken away: rows (kind, name,
 * value). */
int journal_add(struct node *node, const char *item, const char *kind, const char *name,
		const void *value, size_t len);
/* The same; what was written before is replaced. */
int journal_put(struct node *node, const char *item, const char *kind, const char *name,
		const void *value, size_t len);
bool journal_has(struct node *node, const char *item, const char *kind, const char *name);
typedef int journal_each(struct node *node, const char *name, const void *value, size_t len,
			 void *arg);
/* In reverse order of adding; stops at the first failure, which it returns. */
int journal_undo(struct node *node, const char *item, const char *kind, journal_each *each,
		 void *arg);
int journal_drop(struct node *node, const char *item, const char *kind);

/* ---- doing ----------------------------------------------------------------------------------- */

/* What the functions below work with. */
struct work {
	struct node *node;
	const json_t *document, *desired; /* the document's entry */
	struct bundle *bundle;
	const struct bundle_item *item; /* NULL for schemes */
	bool resumed;			/* begun before and cut short */
	struct outcome outcome;
};

void *fetch_thread(void *node);
void *install_thread(void *node);

/* cluster_bundle.c: the bundle that the document names, from what was fetched. 0 or -errno with
 * outcome. */
int node_bundle(struct node *node, const json_t *document, struct bundle **ret_bundle,
		struct outcome *outcome);
/* The same; what makes it a bundle is fetched when it is not here. */
int node_bring_bundle(struct node *node, const json_t *document, struct bundle **ret_bundle,
		      struct outcome *outcome);
/* The same as node_bundle(), and until it is let go the other thread brings no other bundle. */
int node_hold_bundle(struct node *node, const json_t *document, struct bundle **ret_bundle,
		     struct outcome *outcome);
void node_let_bundle_go(struct bundle *bundle);
/* ret_path has CLUSTER_PATH_MAX bytes. */
void node_blob_path(const struct node *node, const char *digest, const char *suffix,
		    char *ret_path);
/* A link to the blob at path; one that leads elsewhere is replaced. 0 or -errno. */
int node_link_blob(const struct node *node, const char *digest, const char *path);

/*
 * cluster_tidy.c: blobs and package trees of other bundles go, when all that the document says is
 * so. False: it is not yet, or the bundle cannot be read.
 */
bool node_tidy(struct node *node, const json_t *document);

int payload_install(struct work *work);
int payload_remove(struct node *node, const char *item, struct outcome *outcome);
/* cluster_packages.c */
int packages_install(struct work *work);
int packages_purge(struct node *node, const char *item, struct outcome *outcome);
/* cluster_dpkg.c: dpkg, when it was cut in two. */
int payload_recover(struct outcome *outcome);
/* An item's packages that are half there: "name=version", malloc'd. */
size_t payload_torn(const struct bundle_item *item, char **names, size_t max);
/* Is every package of the item installed, as dpkg sees it? */
int payload_whole(struct work *work);
/* cluster_undo.c: what uninstalling the item will run, into the journal: instead of what another
 * version would, and when none is there. */
int undo_keep(struct work *work);
int undo_keep_first(struct work *work);
bool undo_kept(const struct work *work);
/* item: for journals that have nothing of undo_keep(); NULL: not known. */
int undo_item(struct node *node, const json_t *desired, const struct bundle_item *item,
	      const json_t *document, struct outcome *outcome);
int config_write(struct work *work, enum bundle_when when);
int config_restore(struct node *node, const char *item, struct outcome *outcome);
/* The same for any file that a scheme writes. */
int config_put(struct node *node, const char *item, const char *path, const char *text,
	       unsigned mode, const char *owner, const char *group, struct outcome *outcome);
#define NETWORK_DIRECTORY "/etc/systemd/network"
int network_apply(struct work *work);
/* From time to time, by the thread that installs: takes back what is left of a scheme that failed,
 * some times. */
void network_settle(struct node *node);
#define NETWORK_KEPT "kept" /* rows of what network_keep() keeps */
/* cluster_network_keep.c: our files as they are now, until they are let go. A file that is back is
 * not put back again, also when the journal does not take that it is. */
int network_keep(struct node *node);
bool network_kept(struct node *node);
int network_let_go(struct node *node);
int network_take_back(struct node *node);
int network_remove(struct node *node, struct outcome *outcome);
/* cluster_network_reach.c: does the control machine answer this machine, within a minute or six
 * tries? 0, -ENETUNREACH, or -EACCES: it does not know it at this address. */
int network_reaches(const struct node *node);
/* cluster_network_record.c: by ip, with a record of what was before; and back to that. */
int network_ip_apply(struct work *work, const json_t *links);
/* A trial's end, files included, in one commit: on failure nothing of it is written. */
int network_ip_hold(struct node *node, const json_t *links);
bool network_ip_tried(struct node *node);
/* Of a scheme that failed: the next boot made the network anew. */
int network_ip_forget_older(struct node *node);
int network_ip_take_back(struct node *node, struct outcome *outcome);
int network_ip_remove(struct node *node, struct outcome *outcome);
int storage_apply(struct work *work);
int storage_remove(struct node *node, struct outcome *outcome);

/* A variable for an item: the document's, or the bundle's default. */
const char *work_variable(const char *name, void *work);

/* ---- cluster_exec.c ----------------------------------------------------------------------- */

struct exec {
	const char *const *argv;
	char *const *environment; /* NULL: the agent's own small one */
	unsigned timeout;	  /* seconds */
	int input;		  /* fd, or -1 */
	/* lines of fd 3, when not NULL */
	void (*status)(char *line, void *arg);
	void *arg;
};
/* Exit status, 128 + signal, or -errno; what was said is appended to outcome->log. */
int exec_run(const struct exec *exec, struct outcome *outcome);
/* A few words; fails with outcome->why unless the status is 0. */
int exec_words(struct outcome *outcome, const char *word, ...) __attribute__((sentinel));
/* The same, with an hour to do it: what has to go through a whole payload, tree or disk. */
int exec_long(struct outcome *outcome, const char *word, ...) __attribute__((sentinel));
/* One step by /bin/sh -eu, with the item's variables. 0, or -EIO with outcome->why. */
int exec_step(struct work *work, const struct bundle_step *step, const char *what);
/* What a program prints, at most max bytes, malloc'd; NULL when it fails. */
char *exec_output(size_t max, const char *word, ...) __attribute__((sentinel));

/* ---- cluster_leftover.c: what an agent that was killed left at work ------------------------- */

/* In lock, the open DIR/lock, it is noted who is at work. */
void leftover_open(int lock);
void leftover_begin(pid_t pid, const char *program, unsigned timeout);
void leftover_done(void);
/* Until it has ended, in the time that it had. False: the agent ends before. */
bool leftover_wait(const struct node *node);
/* Which boot this is; "-": it cannot be told. */
void boot_id(char *ret, size_t size);

/* ---- cluster_facts.c ------------------------------------------------------------------------ */

json_t *facts_collect(struct node *node);
/* Changes when packages or items do. */
int64_t facts_stamp(struct node *node);
/* "debian 12" */
void facts_os(char *ret_text, size_t size);
/* {name: version} of what is installed; NULL: dpkg-query does not say. */
json_t *facts_packages(void);

#endif
