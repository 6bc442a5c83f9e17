/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One reading of the configuration and what belongs to it: the copy that workers get, who
 * they run as, and the health of its origins. A reload makes a new generation; the old one
 * lives until its last worker is gone, because that worker's service numbers mean the old
 * configuration.
 */
#ifndef SLUICE_SLUICED_GENERATION_H
#define SLUICE_SLUICED_GENERATION_H

#include <stdint.h>
#include <sys/types.h>

#include "../lib/conf.h"

struct state_generation;

struct origin {
	struct conf_address address;
	uint64_t connects, failures;
	uint64_t down_until_ms; /* passive health: not tried before, unless all are down */
};

struct generation {
	unsigned refs;
	uint32_t number;
	struct conf *conf;
	int conf_fd;   /* conf_send(conf) */
	int front_fd;  /* conf_send_public(conf): front workers hold no secret */
	int access_fd; /* the access log, or -1 */
	uid_t uid;     /* of workers */
	gid_t gid;
	uid_t metrics_uid; /* of the exporter; valid with metrics.listen */
	gid_t metrics_gid;
	unsigned nworkers;	 /* slots per role */
	struct origin **origins; /* [service][origin] */
};

/*
 * Reads path, secrets included, and everything the configuration names. 0 or -errno;
 * *ret_why is malloc'd. number is what workers are told.
 */
int generation_load(const char *path, uint32_t number, struct generation **ret, char **ret_why);
/*
 * One that an earlier parent's workers still run with, from its sealed memfd. Takes conf_fd and
 * access_fd (may be -1) over on success alone. 0 or -errno.
 */
int generation_adopt(const struct state_generation *from, struct generation **ret);
/*
 * The same, to be in force once more: under a number of its own and from a descriptor of its own;
 * from stays as it is. Metrics and access log are left out, with a line in the log, where they
 * cannot be had any more.
 */
int generation_resume(const struct state_generation *from, uint32_t number,
		      struct generation **ret);
/* The user that key names, by name or number, and its group. 0, or -errno with why, malloc'd. */
int generation_find_user(const char *key, const char *name, uid_t *ret_uid, gid_t *ret_gid,
			 char **ret_why);
struct generation *generation_ref(struct generation *generation);
/* Drops one reference; NULL is fine. */
void generation_unref(struct generation *generation);

#endif
