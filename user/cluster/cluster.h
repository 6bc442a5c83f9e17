/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-cluster, the control machine's program: a table of commands over one directory.
 *
 *   STATE/cluster.yaml      the cluster file, when no other is given
 *   STATE/cluster.db        what is known (state.h)
 *   STATE/ca.pem, ca.key    the cluster's CA; server.pem, server.key: the server's certificate
 *   STATE/control.key, .pub Ed25519: signs what nodes are to be
 *   STATE/publishers.pub    whose bundles are installed
 *
 * "serve" is the only thing agents talk to; every other command reads and writes the database.
 */
#ifndef CLUSTER_H
#define CLUSTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "state.h"

enum cluster_exit {
	CLUSTER_DONE = 0,
	CLUSTER_ERROR = 1,  /* it could not be done; nothing was changed by it */
	CLUSTER_USAGE = 2,  /* wrong words, or mistakes in the cluster file */
	CLUSTER_FAILED = 3, /* nodes failed, or did not answer in time: the report says which */
	CLUSTER_REFUSED = 4 /* something stands against the plan: it says what */
};

#define CLUSTER_PATH_MAX 4096

struct cluster {
	const char *directory;
	bool json;
	struct state state;
};

/* A path below the state directory, in a buffer that lasts until the thread's 8th call
 * from now. */
const char *cluster_path(const struct cluster *cluster, const char *name);
/* Reads a file of the state directory; says what is wrong and returns NULL otherwise. */
char *cluster_read(const struct cluster *cluster, const char *name);
/* The cluster file: path, or the state directory's. Says what is wrong; NULL. */
struct config *cluster_config(const struct cluster *cluster, const char *path);
/* Says what is wrong on stderr, one line. */
void cluster_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Somebody listens where agents dial; asked once. */
bool cluster_served(const struct config *config);
/* Prints JSON and its end of line to stdout; takes the reference. */
void cluster_print(json_t *json);
/* A new run's id. */
int cluster_run_id(char ret_id[DESIRED_RUN_LEN + 1]);

struct opt;
struct cluster_command {
	const char *name, *arguments, *summary;
	unsigned least, most; /* arguments */
	const struct opt *options;
	size_t options_count;
	void *values;  /* static: defaults before, what was given afterwards */
	bool no_state; /* it does not open the database */
	enum cluster_exit (*run)(struct cluster *cluster, char **arguments, unsigned count);
};

extern const struct cluster_command command_init, command_enrol, command_serve, command_plan,
	command_apply, command_status, command_retry, command_rollback, command_uninstall,
	command_report, command_bootstrap, command_renew, command_revoke;

#endif
