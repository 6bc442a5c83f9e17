/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What load.c, load_maps.c and load_attach.c share. Nobody else includes this.
 */
#ifndef SLUICE_GATE_LOAD_PRIV_H
#define SLUICE_GATE_LOAD_PRIV_H

#include <linux/limits.h>

#include "load.h"

#define LOAD_PINS "/sys/fs/bpf/sluice"

enum load_map {
	LOAD_ABI,
	LOAD_IFACES,
	LOAD_BINDINGS,
	LOAD_LISTENERS,
	LOAD_SLOTS,
	LOAD_LISTENER_INFO,
	LOAD_BUDGET_SOURCE,
	LOAD_VERDICTS,
	LOAD_TENANTS,
	LOAD_RELAY,
	LOAD_SAMPLES,
	LOAD_MAPS,
};

enum load_prog {
	LOAD_GUARD_TC,
	LOAD_STEER,
	LOAD_GUARD_XDP,
	LOAD_SELECT,
	LOAD_PROGS,
};

struct sluice;
struct ring_buffer;

struct gate_load {
	char dir[64]; /* LOAD_PINS/INSTANCE */
	struct sluice *skeleton;
	bool inspected;	      /* no skeleton: the fds are ours */
	int map[LOAD_MAPS];   /* fds, owned by the skeleton */
	int prog[LOAD_PROGS]; /* likewise */
	uint32_t ifaces_id;   /* the kernel's id of map "ifaces": what makes a program ours */
	int cpus;	      /* values per key of a per-CPU map */
	struct gate_load_features features;
	struct ring_buffer *ring;
	void (*sample_fn)(const struct sl_sample *sample, void *arg);
	void *sample_arg;
};

extern const char *const load_map_names[LOAD_MAPS];
extern const char *const load_prog_names[LOAD_PROGS];

/* Puts a sentence into *ret_why (if not NULL) and returns err. */
int load_fail(char **ret_why, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* libbpf's last complaint, or "". Cleared by load_complaint_clear(). */
const char *load_complaint(void);
void load_complaint_clear(void);
/* Opens the ring buffer's reader. */
int load_ring_open(struct gate_load *load);
void load_ring_close(struct gate_load *load);
/* Removes the pins of an instance, whose directory this is. 0 or the first -errno. */
int load_unpin(const char *instance);
/* Closes what gate_load_inspect() opened; harmless for others. */
void load_inspect_close(struct gate_load *load);

#endif
