/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's state: one struct that ties its modules together. Each module keeps its own
 * part behind a pointer; nobody but sluiced.c makes or ends one.
 */
#ifndef SLUICE_SLUICED_SLUICED_H
#define SLUICE_SLUICED_SLUICED_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct binder;
struct control;
struct created;
struct discover;
struct doctor_run;
struct gate_load;
struct generation;
struct guard_auto;
struct handover;
struct metrics;
struct origins;
struct ports;
struct supervise;
struct tenants;
struct trace;
struct upgrade;

struct sluiced {
	const char *instance;
	const char *conf_path;
	char run_dir[64];    /* /run/sluice/INSTANCE */
	int lock;	     /* on run_dir */
	uint64_t started_ms; /* of the first parent, before any upgrade or crash */
	uint32_t upgrades;
	struct loop loop;
	struct gate_load *load;
	struct generation *generation; /* of the configuration in force */
	struct tenants *tenants;
	struct binder *binder;
	struct ports *ports;
	struct supervise *supervise;
	struct origins *origins;
	struct guard_auto *guard;
	struct discover *discover;
	struct created *created;
	struct control *control;
	struct handover *handover;
	struct doctor_run *doctor;
	struct metrics *metrics;
	struct trace *trace;
	struct upgrade *upgrade;
};

/* What the command line decides. */
struct sluiced_options {
	const char *conf_path, *instance;
	const char *upgrade_from; /* the program that an upgrade executes; NULL: argv[0] */
	bool clean;		  /* removes what a sluiced that crashed left, instead of serving */
};

/* Serves until it is told to end. An exit status. argv is passed on to whoever upgrades us. */
int sluiced_main(const struct sluiced_options *options, char **argv);

/*
 * Reads the configuration again and applies it; on failure everything stays as it was and
 * *ret_why (malloc'd, may be NULL) says why. Returns 0 or -errno.
 */
int sluiced_reload(struct sluiced *sluiced, char **ret_why);
/* What was read last is in force anew: new workers, which have no connections yet. 0 or -errno. */
int sluiced_renew(struct sluiced *sluiced);

#endif
