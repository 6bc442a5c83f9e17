/* SPDX-License-Identifier: BSD-2-Clause */
#include "digest.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define READ_SIZE (256 * 1024)

int digest_bytes(const void *data, size_t len, uint8_t ret_digest[DIGEST_SIZE])
{
	return EVP_Digest(data, len, ret_digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

int digest_file(int fd, char ret_hex[NAME_DIGEST_LEN + 1], uint64_t *ret_size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t *buffer = malloc(READ_SIZE), digest[DIGEST_SIZE];
	uint64_t size = 0;
	ssize_t n = 0;
	int err = -ENOMEM;

	if (!context || !buffer || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		goto out;
	while ((n = pread(fd, buffer, READ_SIZE, (off_t)size)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err = -errno;
			goto out;
		}
		if (EVP_DigestUpdate(context, buffer, (size_t)n) != 1) {
			err = -EIO;
			goto out;
		}
		size += (uint64_t)n;
	}
	err = EVP_DigestFinal_ex(context, digest, NULL) == 1 ? 0 : -EIO;
	if (err)
		goto out;
	name_hex(digest, sizeof(digest), ret_hex);
	*ret_size = size;
out:
	EVP_MD_CTX_free(context);
	free(buffer);
	return err;
}

int digest_hmac(const void *key, size_t key_len, const void *data, size_t len,
		uint8_t ret_mac[DIGEST_SIZE])
{
	unsigned mac_len = DIGEST_SIZE;

	return HMAC(EVP_sha256(), key, (int)key_len, data, len, ret_mac, &mac_len) ? 0 : -EIO;
}

bool digest_equal(const uint8_t a[DIGEST_SIZE], const uint8_t b[DIGEST_SIZE])
{
	return CRYPTO_memcmp(a, b, DIGEST_SIZE) == 0;
}

int digest_random_hex(size_t len, char *ret_text)
{
	uint8_t bytes[64];

	if (len > sizeof(bytes))
		return -EINVAL;
	/* Up to 256 bytes never come short or interrupted once the pool is seeded. */
	if (getrandom(bytes, len, 0) != (ssize_t)len)
		return errno ? -errno : -EIO;
	name_hex(bytes, len, ret_text);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return 0;
}
