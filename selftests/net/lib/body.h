/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test bodies: every byte follows from its offset, so that a piece that is missing,
 * doubled or moved changes the hash.
 */
#ifndef SELFTEST_BODY_H
#define SELFTEST_BODY_H

#include <stddef.h>
#include <stdint.h>

#define BODY_HASH_LEN 32

struct body_hash {
	void *context;
};

/* Bytes [offset, offset + len) of the body. */
void body_fill(uint64_t offset, void *out, size_t len);
/* SHA-256 of the first len bytes. */
void body_expect(uint64_t len, uint8_t ret_hash[BODY_HASH_LEN]);

void body_hash_init(struct body_hash *hash);
void body_hash_add(struct body_hash *hash, const void *data, size_t len);
void body_hash_end(struct body_hash *hash, uint8_t ret_hash[BODY_HASH_LEN]);

#endif
