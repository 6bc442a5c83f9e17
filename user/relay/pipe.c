/* SPDX-License-Identifier: BSD-2-Clause */
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io.h"
#include "sandbox.h"

SANDBOX_ALLOW_IF(fcntl, 1, F_GETPIPE_SZ);
SANDBOX_ALLOW(close);

int pipe_pool_init(struct pipe_pool *pool, size_t max, int null_fd)
{
	*pool = (struct pipe_pool){ .max = max, .null_fd = null_fd };
	pool->pipes = calloc(max ? max : 1, sizeof(*pool->pipes));
	return pool->pipes ? 0 : -ENOMEM;
}

static void close_pipe(struct pipe *pipe)
{
	if (pipe->read_fd < 0)
		return;
	close(pipe->read_fd);
	close(pipe->write_fd);
	pipe->read_fd = pipe->write_fd = -1;
}

void pipe_pool_free(struct pipe_pool *pool)
{
	for (size_t i = 0; i < pool->count; i++)
		close_pipe(&pool->pipes[i]);
	free(pool->pipes);
	*pool = (struct pipe_pool){ .null_fd = -1 };
}

int pipe_pool_add(struct pipe_pool *pool, int read_fd, int write_fd)
{
	struct pipe pipe = { .read_fd = read_fd, .write_fd = write_fd };
	int size = fcntl(write_fd, F_GETPIPE_SZ);
	struct pipe *slot;

	if (size < PIPE_SIZE_MIN || pool->count == pool->max) {
		close_pipe(&pipe);
		return size < PIPE_SIZE_MIN ? -EINVAL : -ENOSPC;
	}
	pipe.size = (uint32_t)size;
	pipe.class = size >= PIPE_SIZE_LARGE ? PIPE_LARGE : PIPE_SMALL;
	slot = &pool->pipes[pool->count++];
	*slot = pipe;
	slot->next = pool->idle[pipe.class];
	pool->idle[pipe.class] = slot;
	return 0;
}

struct pipe *pipe_take(struct pipe_pool *pool, enum pipe_class class)
{
	struct pipe *pipe;

	if (!pool->idle[class])
		class = class == PIPE_SMALL ? PIPE_LARGE : PIPE_SMALL;
	pipe = pool->idle[class];
	if (pipe)
		pool->idle[class] = pipe->next;
	return pipe;
}

void pipe_put(struct pipe_pool *pool, struct pipe *pipe)
{
	while (pipe->held) {
		ssize_t n = io_splice(pipe->read_fd, pool->null_fd, pipe->held);

		if (n <= 0) {
			/* What is in it would end up in somebody else's response. */
			close_pipe(pipe);
			return;
		}
		pipe->held -= (uint32_t)n;
	}
	pipe->next = pool->idle[pipe->class];
	pool->idle[pipe->class] = pipe;
}
