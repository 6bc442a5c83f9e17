/* SPDX-License-Identifier: BSD-2-Clause */
#include "buf.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void *reserve(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int buf_pool_init(struct buf_pool *pool, uint32_t size, size_t count)
{
	*pool = (struct buf_pool){ .size = size, .count = count };
	pool->memory = reserve(size * count);
	pool->spare = reserve(sizeof(*pool->spare) * count);
	if (!pool->memory || !pool->spare) {
		buf_pool_free(pool);
		return -ENOMEM;
	}
	return 0;
}

void buf_pool_free(struct buf_pool *pool)
{
	if (pool->memory)
		munmap(pool->memory, pool->size * pool->count);
	if (pool->spare)
		munmap(pool->spare, sizeof(*pool->spare) * pool->count);
	*pool = (struct buf_pool){ 0 };
}

int buf_take(struct buf_pool *pool, struct buf *buf)
{
	size_t index;

	if (buf->data)
		return 0;
	if (pool->spares)
		index = pool->spare[--pool->spares];
	else if (pool->fresh < pool->count)
		index = pool->fresh++;
	else
		return -ENOBUFS;
	*buf = (struct buf){
		.data = pool->memory + index * pool->size,
		.pool = pool,
		.size = pool->size,
	};
	return 0;
}

void buf_put(struct buf *buf)
{
	struct buf_pool *pool = buf->pool;

	if (!buf->data)
		return;
	pool->spare[pool->spares++] = (uint32_t)((size_t)(buf->data - pool->memory) / pool->size);
	*buf = (struct buf){ 0 };
}

void buf_consume(struct buf *buf, uint32_t n)
{
	assert(n <= buf_len(buf));
	buf->start += n;
}

void buf_compact(struct buf *buf)
{
	uint32_t len = buf_len(buf);

	if (buf->start == 0)
		return;
	memmove(buf->data, buf->data + buf->start, len);
	buf->start = 0;
	buf->end = len;
}
