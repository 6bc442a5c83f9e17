/* SPDX-License-Identifier: BSD-2-Clause */
#include "pki.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "pem.h"

#define CURVE	    "P-256"
#define SERIAL_SIZE 16
/* A node whose clock is slow must not take a new certificate for one of the future. */
#define BACKDATE (24 * 3600)

static EVP_PKEY *read_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, pem_no_password, NULL) : NULL;

	BIO_free(bio);
	return key;
}

static X509 *read_certificate(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, pem_no_password, NULL) : NULL;

	BIO_free(bio);
	return certificate;
}

static X509_REQ *read_request(const char *pem)
{
	size_t len = strnlen(pem, PKI_PEM_MAX + 1);
	BIO *bio = len > PKI_PEM_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
	X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, pem_no_password, NULL) : NULL;

	BIO_free(bio);
	return request;
}

static int write_certificate(X509 *certificate, char **ret_pem)
{
	BIO *bio = BIO_new(BIO_s_mem());

	*ret_pem = bio && PEM_write_bio_X509(bio, certificate) == 1 ? pem_text(bio) : NULL;
	BIO_free(bio);
	return *ret_pem ? 0 : -ENOMEM;
}

int pki_key_make(char **ret_key)
{
	EVP_PKEY *key = EVP_EC_gen(CURVE);
	BIO *bio = BIO_new(BIO_s_mem());

	*ret_key = NULL;
	if (key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		*ret_key = pem_text(bio);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return *ret_key ? 0 : -EIO;
}

static bool set_name(X509_NAME *name, const char *text)
{
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)text,
					  -1, -1, 0) == 1;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[SERIAL_SIZE];
	BIGNUM *number = NULL;
	bool set = false;

	if (RAND_bytes(bytes, sizeof(bytes)) == 1) {
		bytes[0] &= 0x7f; /* serial numbers are positive */
		number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	}
	if (number)
		set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return set;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

/* What all certificates have; issuer NULL: it is its own. */
static X509 *begin_certificate(X509 *issuer, EVP_PKEY *public, const char *name)
{
	X509 *certificate = X509_new();

	if (!certificate)
		return NULL;
	if (X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
	    set_name(X509_get_subject_name(certificate), name) &&
	    X509_set_issuer_name(certificate,
				 X509_get_subject_name(issuer ? issuer : certificate)) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATE) &&
	    X509_time_adj_ex(X509_getm_notAfter(certificate), PKI_NODE_DAYS, 0, NULL) &&
	    X509_set_pubkey(certificate, public) == 1 &&
	    add_extension(certificate, issuer ? issuer : certificate, NID_subject_key_identifier,
			  "hash"))
		return certificate;
	X509_free(certificate);
	return NULL;
}

int pki_ca_make(const char *key_pem, const char *name, char **ret_certificate)
{
	EVP_PKEY *key = read_key(key_pem);
	X509 *certificate = key ? begin_certificate(NULL, key, name) : NULL;
	int err = -EIO;

	if (certificate &&
	    add_extension(certificate, certificate, NID_basic_constraints,
			  "critical,CA:TRUE,pathlen:0") &&
	    add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign") &&
	    X509_sign(certificate, key, EVP_sha256()))
		err = write_certificate(certificate, ret_certificate);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return err;
}

/* An end's certificate: usage is "serverAuth" or "clientAuth"; san may be NULL. */
static int issue(const char *ca_pem, const char *ca_key_pem, EVP_PKEY *public, const char *name,
		 const char *usage, const char *san, char **ret_certificate)
{
	X509 *ca = read_certificate(ca_pem), *certificate = NULL;
	EVP_PKEY *ca_key = read_key(ca_key_pem);
	int err = -EIO;

	if (ca && ca_key)
		certificate = begin_certificate(ca, public, name);
	if (certificate &&
	    add_extension(certificate, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(certificate, ca, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(certificate, ca, NID_ext_key_usage, usage) &&
	    add_extension(certificate, ca, NID_authority_key_identifier, "keyid") &&
	    (!san || add_extension(certificate, ca, NID_subject_alt_name, san)) &&
	    X509_sign(certificate, ca_key, EVP_sha256()))
		err = write_certificate(certificate, ret_certificate);
	X509_free(certificate);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	return err;
}

int pki_server_make(const char *ca, const char *ca_key, const char *key_pem, const char *address,
		    char **ret_certificate)
{
	EVP_PKEY *key = read_key(key_pem);
	char san[80];
	int err;

	if (!key || strlen(address) > 60) {
		EVP_PKEY_free(key);
		return -EINVAL;
	}
	snprintf(san, sizeof(san), "IP:%s", address);
	err = issue(ca, ca_key, key, "sluice control machine", "serverAuth", san, ret_certificate);
	EVP_PKEY_free(key);
	return err;
}

int pki_request_make(const char *key_pem, const char *name, char **ret_request)
{
	EVP_PKEY *key = read_key(key_pem);
	X509_REQ *request = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());

	*ret_request = NULL;
	if (key && request && bio && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
	    set_name(X509_REQ_get_subject_name(request), name) &&
	    X509_REQ_set_pubkey(request, key) == 1 && X509_REQ_sign(request, key, EVP_sha256()) &&
	    PEM_write_bio_X509_REQ(bio, request) == 1)
		*ret_request = pem_text(bio);
	BIO_free(bio);
	X509_REQ_free(request);
	EVP_PKEY_free(key);
	return *ret_request ? 0 : -EIO;
}

/* One kind of key alone, so that nobody can make us sign for a weak one. */
static bool key_fits(EVP_PKEY *key)
{
	char curve[32];
	size_t len;

	return key && EVP_PKEY_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, curve, sizeof(curve), &len) == 1 &&
	       (!strcmp(curve, "prime256v1") || !strcmp(curve, CURVE));
}

static bool named(X509_REQ *request, const char *name)
{
	char text[128];
	int len = X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request), NID_commonName,
					    text, sizeof(text));

	return len == (int)strlen(name) && !memcmp(text, name, (size_t)len);
}

int pki_node_make(const char *ca, const char *ca_key, const char *request_pem, const char *name,
		  char **ret_certificate)
{
	X509_REQ *request = read_request(request_pem);
	EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
	int err = -EBADMSG;

	if (request)
		err = key_fits(key) && named(request, name) && X509_REQ_verify(request, key) == 1
			      ? 0
			      : -EKEYREJECTED;
	if (!err)
		err = issue(ca, ca_key, key, name, "clientAuth", NULL, ret_certificate);
	X509_REQ_free(request);
	return err;
}

static int hash_hex(const unsigned char *bytes, size_t len, char *ret_hex)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size;

	if (EVP_Digest(bytes, len, digest, &size, EVP_sha256(), NULL) != 1)
		return -EIO;
	name_hex(digest, size, ret_hex);
	return 0;
}

static int key_fingerprint(EVP_PKEY *key, char *ret_hex)
{
	unsigned char *der = NULL;
	int len = key ? i2d_PUBKEY(key, &der) : -1;
	int err = len > 0 ? hash_hex(der, (size_t)len, ret_hex) : -EBADMSG;

	OPENSSL_free(der);
	return err;
}

int pki_request_fingerprint(const char *request_pem, char ret_hex[NAME_DIGEST_LEN + 1])
{
	X509_REQ *request = read_request(request_pem);
	int err = key_fingerprint(request ? X509_REQ_get0_pubkey(request) : NULL, ret_hex);

	X509_REQ_free(request);
	return err;
}

int pki_fingerprint(const char *pem, char ret_hex[NAME_DIGEST_LEN + 1])
{
	X509 *certificate = read_certificate(pem);
	int err = key_fingerprint(certificate ? X509_get0_pubkey(certificate) : NULL, ret_hex);

	X509_free(certificate);
	return err;
}

int pki_fingerprint_der(const void *der, size_t len, char ret_hex[NAME_DIGEST_LEN + 1])
{
	const unsigned char *at = der;
	X509 *certificate = d2i_X509(NULL, &at, (long)len);
	int err = key_fingerprint(certificate ? X509_get0_pubkey(certificate) : NULL, ret_hex);

	X509_free(certificate);
	return err;
}

int pki_first(const char *pem, char **ret_pem)
{
	X509 *certificate = read_certificate(pem);
	int err = certificate ? write_certificate(certificate, ret_pem) : -EBADMSG;

	X509_free(certificate);
	return err;
}

int pki_hash(const char *pem, char ret_hex[NAME_DIGEST_LEN + 1])
{
	X509 *certificate = read_certificate(pem);
	unsigned char *der = NULL;
	int len = certificate ? i2d_X509(certificate, &der) : -1;
	int err = len > 0 ? hash_hex(der, (size_t)len, ret_hex) : -EBADMSG;

	OPENSSL_free(der);
	X509_free(certificate);
	return err;
}

static bool read_time(const ASN1_TIME *at, int64_t *ret_seconds)
{
	struct tm utc;

	if (ASN1_TIME_to_tm(at, &utc) != 1)
		return false;
	*ret_seconds = timegm(&utc);
	return true;
}

int pki_validity(const char *pem, int64_t *ret_from, int64_t *ret_until)
{
	X509 *certificate = read_certificate(pem);
	int64_t from, until;
	int err = -EBADMSG;

	if (certificate && read_time(X509_get0_notBefore(certificate), &from) &&
	    read_time(X509_get0_notAfter(certificate), &until)) {
		*ret_from = from;
		*ret_until = until;
		err = 0;
	}
	X509_free(certificate);
	return err;
}
