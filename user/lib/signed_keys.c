/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of public keys: PEM, one after the other, each once. */
#include "signed.h"

#include <errno.h>
#include <stdbool.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "pem.h"

struct keys {
	EVP_PKEY *key[SIGNED_KEYS_MAX];
	unsigned count;
};

static bool holds(const struct keys *keys, const EVP_PKEY *key)
{
	for (unsigned i = 0; i < keys->count; i++)
		if (EVP_PKEY_eq(keys->key[i], key) == 1)
			return true;
	return false;
}

static void free_keys(struct keys *keys)
{
	while (keys->count)
		EVP_PKEY_free(keys->key[--keys->count]);
}

/* Adds those of pem, but for keys of other kinds. 0, -E2BIG or -ENOMEM. */
static int read_keys(struct keys *keys, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key;
	int err = bio ? 0 : -ENOMEM;

	while (!err && (key = PEM_read_bio_PUBKEY(bio, NULL, pem_no_password, NULL))) {
		if (EVP_PKEY_id(key) != EVP_PKEY_ED25519 || holds(keys, key)) {
			EVP_PKEY_free(key);
		} else if (keys->count == SIGNED_KEYS_MAX) {
			EVP_PKEY_free(key);
			err = -E2BIG;
		} else {
			keys->key[keys->count++] = key;
		}
	}
	BIO_free(bio);
	return err;
}

/* Those that are not in without. */
static int write_keys(const struct keys *keys, const struct keys *without, char **ret_pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	bool good = bio;

	for (unsigned i = 0; good && i < keys->count; i++)
		if (!holds(without, keys->key[i]))
			good = PEM_write_bio_PUBKEY(bio, keys->key[i]) == 1;
	if (good)
		text = pem_text(bio);
	BIO_free(bio);
	if (!text)
		return -ENOMEM;
	*ret_pem = text;
	return 0;
}

int signed_keys_add(const char *pem, const char *more, char **ret_pem)
{
	struct keys added = { .count = 0 }, keys = { .count = 0 };
	const struct keys none = { .count = 0 };
	int err = read_keys(&added, more);

	if (!err && !added.count)
		err = -EINVAL;
	if (!err)
		err = read_keys(&keys, pem);
	if (!err)
		err = read_keys(&keys, more);
	if (!err)
		err = write_keys(&keys, &none, ret_pem);
	free_keys(&added);
	free_keys(&keys);
	return err;
}

int signed_keys_remove(const char *pem, const char *less, char **ret_pem)
{
	struct keys removed = { .count = 0 }, keys = { .count = 0 };
	int err = read_keys(&removed, less);
	bool found = false;

	if (!err && !removed.count)
		err = -EINVAL;
	if (!err)
		err = read_keys(&keys, pem);
	for (unsigned i = 0; i < removed.count; i++)
		found = found || holds(&keys, removed.key[i]);
	if (!err && !found)
		err = -ENOENT;
	if (!err)
		err = write_keys(&keys, &removed, ret_pem);
	free_keys(&removed);
	free_keys(&keys);
	return err;
}
