/* SPDX-License-Identifier: BSD-2-Clause */
#include "body.h"

#include <openssl/evp.h>
#include <string.h>

#define PIECE 65536

static uint64_t word(uint64_t index)
{
	uint64_t x = index + UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

void body_fill(uint64_t offset, void *out, size_t len)
{
	unsigned char *to = out;

	while (len) {
		uint64_t value = word(offset / 8);
		size_t skip = offset % 8, n = 8 - skip;

		if (n > len)
			n = len;
		memcpy(to, (unsigned char *)&value + skip, n);
		to += n;
		offset += n;
		len -= n;
	}
}

void body_hash_init(struct body_hash *hash)
{
	hash->context = EVP_MD_CTX_new();
	EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL);
}

void body_hash_add(struct body_hash *hash, const void *data, size_t len)
{
	EVP_DigestUpdate(hash->context, data, len);
}

void body_hash_end(struct body_hash *hash, uint8_t ret_hash[BODY_HASH_LEN])
{
	EVP_DigestFinal_ex(hash->context, ret_hash, NULL);
	EVP_MD_CTX_free(hash->context);
	hash->context = NULL;
}

void body_expect(uint64_t len, uint8_t ret_hash[BODY_HASH_LEN])
{
	static _Thread_local unsigned char piece[PIECE];
	struct body_hash hash;

	body_hash_init(&hash);
	for (uint64_t at = 0; at < len; at += PIECE) {
		size_t n = len - at < PIECE ? (size_t)(len - at) : PIECE;

		body_fill(at, piece, n);
		body_hash_add(&hash, piece, n);
	}
	body_hash_end(&hash, ret_hash);
}
