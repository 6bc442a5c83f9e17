/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffers for heads and copied bodies. A pool is one mapping, reserved in full and
 * touched only as far as it is used; the buffer given back last is handed out first,
 * so that the touched part stays as small as the busiest moment was.
 */
#ifndef SLUICE_RELAY_BUF_H
#define SLUICE_RELAY_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf_pool {
	char *memory;
	uint32_t *spare; /* stack of indexes given back */
	size_t spares;
	size_t fresh; /* buffers from here on were never used */
	size_t count;
	uint32_t size;
};

/* Bytes data[start..end); data is NULL while none is held. */
struct buf {
	char *data;
	struct buf_pool *pool;
	uint32_t size, start, end;
};

/* 0 or -ENOMEM. */
int buf_pool_init(struct buf_pool *pool, uint32_t size, size_t count);
void buf_pool_free(struct buf_pool *pool);

/* Makes sure that buf has memory; one that holds some is left alone. 0 or -ENOBUFS. */
int buf_take(struct buf_pool *pool, struct buf *buf);
/* Gives the memory back, with what is in it. */
void buf_put(struct buf *buf);

static inline uint32_t buf_len(const struct buf *buf)
{
	return buf->end - buf->start;
}

static inline uint32_t buf_room(const struct buf *buf)
{
	return buf->size - buf->end;
}

/* Drops n bytes at the front. */
void buf_consume(struct buf *buf, uint32_t n);
/* Moves the bytes to the front, so that all room is behind them. */
void buf_compact(struct buf *buf);

#endif
