/* SPDX-License-Identifier: BSD-2-Clause */
#include "signed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "pem.h"

#define SIGNATURE_SIZE 64
/* Base64 of the largest payload, the signature, and what JSON adds. */
#define DOCUMENT_MAX ((SIGNED_PAYLOAD_MAX + 2) / 3 * 4 + 256)

static char *write_pem(EVP_PKEY *key, int private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	if (bio && (private ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
			    : PEM_write_bio_PUBKEY(bio, key)) == 1)
		text = pem_text(bio);
	BIO_free(bio);
	return text;
}

int signed_key_make(char **ret_private, char **ret_public)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char *private_pem, *public_pem;

	if (!key)
		return -EIO;
	private_pem = write_pem(key, 1);
	public_pem = write_pem(key, 0);
	EVP_PKEY_free(key);
	if (!private_pem || !public_pem) {
		free(private_pem);
		free(public_pem);
		return -ENOMEM;
	}
	*ret_private = private_pem;
	*ret_public = public_pem;
	return 0;
}

static EVP_PKEY *read_private(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, pem_no_password, NULL) : NULL;

	BIO_free(bio);
	if (key && EVP_PKEY_id(key) != EVP_PKEY_ED25519) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

int signed_key_public(const char *private_pem, char **ret_public)
{
	EVP_PKEY *key = read_private(private_pem);

	if (!key)
		return -EINVAL;
	*ret_public = write_pem(key, 0);
	EVP_PKEY_free(key);
	return *ret_public ? 0 : -ENOMEM;
}

static char *encode(const unsigned char *bytes, size_t len)
{
	char *text = malloc((len + 2) / 3 * 4 + 1);

	if (text)
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
	return text;
}

/* Strict: no blank, and padding only at the end. */
static unsigned char *decode(const char *text, size_t *ret_len)
{
	size_t len = strlen(text), padding = 0;
	unsigned char *bytes;

	if (!len || len % 4 || strcspn(text, " \t\r\n") != len)
		return NULL;
	while (padding < 2 && text[len - 1 - padding] == '=')
		padding++;
	if (strcspn(text, "=") != len - padding)
		return NULL;
	bytes = malloc(len / 4 * 3 + 1);
	if (!bytes || EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len) < 0) {
		free(bytes);
		return NULL;
	}
	*ret_len = len / 4 * 3 - padding;
	bytes[*ret_len] = '\0';
	return bytes;
}

int signed_make(const char *private_pem, const char *payload, size_t len, char **ret_document)
{
	unsigned char signature[SIGNATURE_SIZE];
	size_t signature_len = sizeof(signature);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY *key = read_private(private_pem);
	char *body = NULL, *seal = NULL;
	json_t *document = NULL;
	int err = -EINVAL;

	if (len > SIGNED_PAYLOAD_MAX)
		err = -E2BIG;
	else if (key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
		 EVP_DigestSign(context, signature, &signature_len, (const unsigned char *)payload,
				len) == 1)
		err = 0;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	if (err)
		return err;
	body = encode((const unsigned char *)payload, len);
	seal = encode(signature, signature_len);
	if (body && seal)
		document = json_pack("{s:s, s:s}", "payload", body, "signature", seal);
	*ret_document = document ? json_dumps(document, JSON_COMPACT) : NULL;
	json_decref(document);
	free(body);
	free(seal);
	return *ret_document ? 0 : -ENOMEM;
}

static int verify(EVP_PKEY *key, const unsigned char *signature, size_t signature_len,
		  const unsigned char *payload, size_t len)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int good = context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
		   EVP_DigestVerify(context, signature, signature_len, payload, len) == 1;

	EVP_MD_CTX_free(context);
	return good;
}

static int verify_any(const char *pem, const unsigned char *signature, size_t signature_len,
		      const unsigned char *payload, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	int err = -EINVAL;
	EVP_PKEY *key;

	for (int i = 0; bio && i < SIGNED_KEYS_MAX && err; i++) {
		key = PEM_read_bio_PUBKEY(bio, NULL, pem_no_password, NULL);
		if (!key)
			break;
		if (EVP_PKEY_id(key) == EVP_PKEY_ED25519)
			err = verify(key, signature, signature_len, payload, len) ? 0
										  : -EKEYREJECTED;
		EVP_PKEY_free(key);
	}
	BIO_free(bio);
	return err;
}

int signed_open(const char *pem, const char *document, size_t len, char **ret_payload,
		size_t *ret_len)
{
	unsigned char *payload = NULL, *signature = NULL;
	const char *body, *seal;
	size_t payload_len, signature_len;
	json_t *json = NULL;
	int err = -EBADMSG;

	if (len <= DOCUMENT_MAX)
		json = json_loadb(document, len, JSON_REJECT_DUPLICATES, NULL);
	body = json_string_value(json_object_get(json, "payload"));
	seal = json_string_value(json_object_get(json, "signature"));
	if (body && seal) {
		payload = decode(body, &payload_len);
		signature = decode(seal, &signature_len);
	}
	if (payload && signature && signature_len == SIGNATURE_SIZE)
		err = verify_any(pem, signature, signature_len, payload, payload_len);
	free(signature);
	json_decref(json);
	if (err) {
		free(payload);
		return err;
	}
	*ret_payload = (char *)payload;
	*ret_len = payload_len;
	return 0;
}

int signed_peek(const char *document, size_t len, char **ret_payload, size_t *ret_len)
{
	json_t *json = NULL;
	const char *body;
	char *payload;

	if (len <= DOCUMENT_MAX)
		json = json_loadb(document, len, JSON_REJECT_DUPLICATES, NULL);
	body = json_string_value(json_object_get(json, "payload"));
	payload = body ? (char *)decode(body, ret_len) : NULL;
	json_decref(json);
	if (!payload)
		return -EBADMSG;
	*ret_payload = payload;
	return 0;
}
