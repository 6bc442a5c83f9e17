/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes for splice(2), made and sized by the parent: a worker cannot, since pipe memory
 * is budgeted by uid and an unprivileged process silently gets pipes of 8 KiB beyond it.
 */
#ifndef SLUICE_RELAY_PIPE_H
#define SLUICE_RELAY_PIPE_H

#include <stddef.h>
#include <stdint.h>

#define PIPE_SIZE_MIN	(64 << 10) /* below, copying is cheaper */
#define PIPE_SIZE_LARGE (1 << 20)

enum pipe_class {
	PIPE_SMALL,
	PIPE_LARGE,
	PIPE_CLASSES,
};

struct pipe {
	int read_fd, write_fd;
	uint32_t size;
	uint32_t held; /* bytes in it */
	enum pipe_class class;
	struct pipe *next; /* while it is in the pool */
};

struct pipe_pool {
	struct pipe *pipes; /* all that fit, handed out or not */
	size_t count, max;
	struct pipe *idle[PIPE_CLASSES];
	int null_fd; /* /dev/null: where a dirty pipe is emptied to; not owned */
};

/* Room for max pipes. 0 or -ENOMEM. */
int pipe_pool_init(struct pipe_pool *pool, size_t max, int null_fd);
void pipe_pool_free(struct pipe_pool *pool);
/*
 * Takes over a pair of descriptors, also on failure: -EINVAL when it is no pipe or
 * smaller than PIPE_SIZE_MIN, -ENOSPC when the pool is full.
 */
int pipe_pool_add(struct pipe_pool *pool, int read_fd, int write_fd);

/* A pipe of the wanted class, else of the other one, else NULL. It is empty. */
struct pipe *pipe_take(struct pipe_pool *pool, enum pipe_class class);
/* Gives a pipe back, emptied first. One that cannot be emptied is closed. */
void pipe_put(struct pipe_pool *pool, struct pipe *pipe);

#endif
