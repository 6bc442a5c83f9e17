/* SPDX-License-Identifier: BSD-2-Clause */
/* SHA-256 and HMAC-SHA256 through libcrypto, and random identifiers. */
#ifndef SLUICE_DIGEST_H
#define SLUICE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "name.h"

#define DIGEST_SIZE 32

int digest_bytes(const void *data, size_t len, uint8_t ret_digest[DIGEST_SIZE]);
/* Hashes fd from offset 0 to its end; the file position is not used. 0 or -errno. */
int digest_file(int fd, char ret_hex[NAME_DIGEST_LEN + 1], uint64_t *ret_size);
int digest_hmac(const void *key, size_t key_len, const void *data, size_t len,
		uint8_t ret_mac[DIGEST_SIZE]);
/* Constant time. */
bool digest_equal(const uint8_t a[DIGEST_SIZE], const uint8_t b[DIGEST_SIZE]);
/* 2 * len hex digits and a NUL from the kernel's random source; len up to 64. 0 or -errno. */
int digest_random_hex(size_t len, char *ret_text);

#endif
