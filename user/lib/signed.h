/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ed25519-signed documents: {"payload": base64, "signature": base64} as one line of JSON. The
 * signature is over the payload's bytes, so nobody has to agree on how JSON is written.
 * Whoever reads one holds pinned public keys; several, so that a key can be rotated.
 */
#ifndef SLUICE_SIGNED_H
#define SLUICE_SIGNED_H

#include <stddef.h>

#define SIGNED_PAYLOAD_MAX (64 * 1024)
#define SIGNED_KEYS_MAX	   8

/* Makes a key: its private and public halves as PEM, malloc'd. 0 or -errno. */
int signed_key_make(char **ret_private, char **ret_public);
/* The public half of a private key in PEM. -EINVAL: it is no Ed25519 key. */
int signed_key_public(const char *private_pem, char **ret_public);

/*
 * Sets of public keys (signed_keys.c), of up to SIGNED_KEYS_MAX: pem with those of more, or without
 * those of less, each once. Keys of other kinds are left out. *ret_pem is malloc'd. 0; -EINVAL:
 * more or less holds no Ed25519 key; -E2BIG; -ENOENT: none of less is in pem; -ENOMEM.
 */
int signed_keys_add(const char *pem, const char *more, char **ret_pem);
int signed_keys_remove(const char *pem, const char *less, char **ret_pem);

/* Signs; *ret_document is malloc'd. 0, -EINVAL (no Ed25519 key), -E2BIG, -ENOMEM. */
int signed_make(const char *private_pem, const char *payload, size_t len, char **ret_document);
/*
 * Verifies against any of the public keys that follow each other in pem. 0 with the payload,
 * malloc'd and NUL-terminated; -EBADMSG: not a document; -EKEYREJECTED: no key signed it;
 * -EINVAL: pem holds no Ed25519 key; -ENOMEM.
 */
int signed_open(const char *pem, const char *document, size_t len, char **ret_payload,
		size_t *ret_len);
/* Only looks: nothing is verified. 0 or -EBADMSG. */
int signed_peek(const char *document, size_t len, char **ret_payload, size_t *ret_len);

#endif
