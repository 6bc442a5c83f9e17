/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a parent knows that its successor needs, as a value and as JSON text: tenants with
 * their gates, workers, configurations in use. An upgrade passes it in a memfd together with
 * the descriptors it names; for a crash it lies in RUN_DIR/state, without secrets, a line for all
 * and a line for each change since, and the descriptors come back from the workers. Pure; reading
 * is strict and bounded.
 */
#ifndef SLUICE_SLUICED_STATE_H
#define SLUICE_SLUICED_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../relay/proto.h"
#include "tenants.h"

/* Raised by every change that an older or newer reader would misread. */
#define STATE_FORMAT 1

#define STATE_CONNECTS_MAX 4096
#define STATE_TENANTS_MAX  65536

/* A reading of the configuration that a worker still runs with. */
struct state_generation {
	uint32_t number;
	uint64_t conf_inode; /* of the memfd: how it is known again */
	int conf_fd, access_fd;
	uid_t uid;
	gid_t gid;
	unsigned nworkers;
};

/* A connection that a worker has asked for and not got yet. */
struct state_connect {
	uint64_t id;
	uint32_t service, origin;
};

struct state_worker {
	pid_t pid;
	uint64_t born; /* clock ticks after boot, /proc/PID/stat */
	enum proto_role role;
	unsigned index;
	uint32_t generation;
	int phase; /* enum worker_state */
	uint64_t started_ms, drain_by_ms;
	uint32_t nstats;
	uint64_t stats_inode;
	int sock, stats_fd;
	struct state_connect *connects;
	unsigned nconnects;
};

struct state {
	char version[32]; /* of the program that wrote it */
	uint64_t started_ms;
	uint32_t upgrades;
	uint32_t next_id, next_slot;
	uint32_t generation; /* the number in force */
	/* Descriptors of an upgrade; -1 in a file. */
	int lock_fd, control_fd;
	struct state_generation *generations;
	unsigned ngenerations;
	struct state_worker *workers;
	unsigned nworkers;
	/* Descriptors of listeners are in the gates. NULL where one was taken over. */
	struct tenant **tenants;
	unsigned ntenants;
};

/*
 * Text of a state, malloc'd, one line with its end and without a NUL; NULL when memory is out.
 * with_fds: an upgrade; else every descriptor becomes -1, and nobody waits for a connection.
 */
char *state_write(const struct state *state, bool with_fds, size_t *ret_len);
/*
 * A further line of such a file: of tenants those that have changed alone, slots that nobody has
 * any more, and workers with their generations unless there are none of these: all is as it was,
 * then.
 */
char *state_write_change(const struct state *state, const uint32_t *gone, size_t ngone,
			 size_t *ret_len);
/* What both programs must agree on before anything else is believed; a new reference. */
json_t *state_layout(void);
/*
 * Reads a text: a state and its changes; a last change without its end was never made. 0 and *ret,
 * or -errno and *ret_why (malloc'd, may be NULL): -EPROTO for another format or layout than this
 * program's, -EINVAL for what is no state at all.
 */
int state_read(const char *text, size_t len, struct state **ret, char **ret_why);
/* Frees it with the tenants that are still in it; closes nothing. NULL is fine. */
void state_free(struct state *state);

/* Calls fn with every descriptor field, those that are -1 too. */
void state_each_fd(struct state *state, void (*fn)(int *fd, void *arg), void *arg);

#endif
