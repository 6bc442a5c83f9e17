/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The certificates of a cluster, through libcrypto: a CA of its own, one server certificate for
 * the control machine, one client certificate for each node. Keys are EC P-256, made where they
 * are used; a node sends a request (CSR) and keeps its key. A node's certificate is for clients
 * alone and names no address, so that a node can never pass for the control machine.
 * Everything is PEM text, malloc'd. Pure: no file is touched.
 */
#ifndef SLUICE_PKI_H
#define SLUICE_PKI_H

#include <stddef.h>
#include <stdint.h>

#include "name.h"

#define PKI_PEM_MAX   8192 /* of one key, request or certificate */
#define PKI_NODE_DAYS 3650 /* a cluster may be off for years; certificates renew long before */

/* 0 or -ENOMEM, -EIO. */
int pki_key_make(char **ret_key);
/* The CA's own certificate; it bears the cluster's name. */
int pki_ca_make(const char *key, const char *name, char **ret_certificate);
/* The control machine's certificate, for an IPv4 or IPv6 address. */
int pki_server_make(const char *ca, const char *ca_key, const char *key, const char *address,
		    char **ret_certificate);
/* What a node asks with. */
int pki_request_make(const char *key, const char *name, char **ret_request);
/*
 * Signs a request for the node of this name. -EBADMSG: no request; -EKEYREJECTED: not signed by
 * its own key, or with a key other than EC P-256, or for another name.
 */
int pki_node_make(const char *ca, const char *ca_key, const char *request, const char *name,
		  char **ret_certificate);

/* Seconds since the epoch between which a certificate is good. */
int pki_validity(const char *certificate, int64_t *ret_from, int64_t *ret_until);

/* SHA-256 of the public key in a request, a certificate (PEM), a certificate (DER). */
int pki_request_fingerprint(const char *request, char ret_hex[NAME_DIGEST_LEN + 1]);
int pki_fingerprint(const char *certificate, char ret_hex[NAME_DIGEST_LEN + 1]);
int pki_fingerprint_der(const void *der, size_t len, char ret_hex[NAME_DIGEST_LEN + 1]);
/* SHA-256 of the whole (first) certificate: what a token carries to tell the true CA by. */
int pki_hash(const char *certificate, char ret_hex[NAME_DIGEST_LEN + 1]);
/* That certificate and nothing else of the text: whoever trusts a file trusts all that is in it. */
int pki_first(const char *certificate, char **ret_certificate);

#endif
