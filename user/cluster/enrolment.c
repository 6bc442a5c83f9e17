/* SPDX-License-Identifier: BSD-2-Clause */
#include "enrolment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/digest.h"
#include "../lib/pki.h"
#include "documents.h"

/* What the database has of a secret. */
static int hash_secret(const char *secret, char ret_hash[NAME_DIGEST_LEN + 1])
{
	uint8_t digest[DIGEST_SIZE];
	int err = digest_bytes(secret, strlen(secret), digest);

	if (!err)
		name_hex(digest, sizeof(digest), ret_hash);
	return err;
}

/* The latest token counts: an earlier one may be in the wrong hands. */
static int save_token(struct cluster *cluster, const struct config_node *node, bool replace,
		      const char *hash, int64_t expires)
{
	struct state *state = &cluster->state;
	int err = state_begin(state);

	if (err)
		return err;
	err = state_run(state, NULL, "DELETE FROM tokens WHERE node = ? OR expires < ?", "si",
			node->name, state_now());
	if (!err && replace)
		err = state_run(state, NULL, "DELETE FROM nodes WHERE name = ?", "s", node->name);
	if (!err && replace)
		err = state_run(state, NULL, "DELETE FROM items WHERE node = ?", "s", node->name);
	if (!err && replace)
		err = state_run(state, NULL, "DELETE FROM agents WHERE node = ?", "s", node->name);
	if (!err && replace)
		err = documents_shut_out(cluster, node->name);
	if (!err)
		err = state_run(state, NULL, "INSERT INTO tokens VALUES (?, ?, ?, ?, 0)", "sssi",
				hash, node->name, node->address, expires);
	return state_end(state, err);
}

int enrolment_token(struct cluster *cluster, const struct config_node *node, bool replace,
		    uint32_t valid, char ret_token[ENROLMENT_TOKEN_MAX + 1])
{
	char secret[2 * ENROLMENT_SECRET + 1], hash[NAME_DIGEST_LEN + 1];
	char ca_hash[NAME_DIGEST_LEN + 1], *ca = cluster_read(cluster, "ca.pem");
	int err = ca ? pki_hash(ca, ca_hash) : -ENOENT;

	free(ca);
	if (!err)
		err = digest_random_hex(ENROLMENT_SECRET, secret);
	if (!err)
		err = hash_secret(secret, hash);
	if (!err)
		err = save_token(cluster, node, replace, hash, state_now() + (int64_t)valid * 1000);
	if (!err)
		snprintf(ret_token, ENROLMENT_TOKEN_MAX + 1, "sluice1.%s.%s.%s", node->name, secret,
			 ca_hash);
	return err;
}

static int sign(struct cluster *cluster, const char *node, const char *request,
		char **ret_certificate)
{
	char *ca = cluster_read(cluster, "ca.pem"), *key = cluster_read(cluster, "ca.key");
	int err = ca && key ? pki_node_make(ca, key, request, node, ret_certificate) : -ENOENT;

	free(ca);
	free(key);
	return err;
}

/* Within a transaction. */
static int add_node(struct cluster *cluster, const char *node, const char *address,
		    const char *fingerprint, const char *certificate)
{
	int err = state_run(&cluster->state, NULL,
			    "INSERT INTO nodes VALUES (?, ?, ?, ?, ?, 0, 0, '', 0, '', 0, 0, 0)",
			    "ssssi", node, address, fingerprint, certificate, state_now());

	return err ? err
		   : state_run(&cluster->state, NULL, "DELETE FROM pending WHERE node = ?", "s",
			       node);
}

int enrolment_admit(struct cluster *cluster, const char *node, const char *address,
		    const char *request, char **ret_certificate, const char **ret_why)
{
	char fingerprint[NAME_DIGEST_LEN + 1], *certificate = NULL;
	int err = sign(cluster, node, request, &certificate);

	if (!err)
		err = pki_fingerprint(certificate, fingerprint);
	if (err) {
		*ret_why = err == -EKEYREJECTED ? "the request is for another name or another kind "
						  "of key"
						: "the request cannot be signed";
		free(certificate);
		return err;
	}
	err = state_begin(&cluster->state);
	if (!err)
		err = add_node(cluster, node, address, fingerprint, certificate);
	err = state_end(&cluster->state, err);
	*ret_why = err == -EEXIST ? "a machine of this name, or with this key, is enrolled already"
				  : "the database cannot be written";
	if (err || !ret_certificate)
		free(certificate);
	else
		*ret_certificate = certificate;
	return err;
}

/* Uses the token up; -EACCES: it is not one for this node at this address, now. */
static int use_token(struct cluster *cluster, const char *node, const char *address,
		     const char *token)
{
	char secret[2 * ENROLMENT_SECRET + 1], hash[NAME_DIGEST_LEN + 1];
	size_t name = strlen(node);
	const char *at;
	int err;

	if (strncmp(token, "sluice1.", 8) || strncmp(token + 8, node, name) ||
	    token[8 + name] != '.')
		return -EACCES;
	at = token + 8 + name + 1;
	if (strnlen(at, sizeof(secret)) < sizeof(secret) || at[2 * ENROLMENT_SECRET] != '.')
		return -EACCES;
	memcpy(secret, at, sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	err = hash_secret(secret, hash);
	if (!err)
		err = state_run(&cluster->state, NULL,
				"UPDATE tokens SET used = ? WHERE hash = ? AND node = ? AND"
				" address = ? AND used = 0 AND expires > ?",
				"isssi", state_now(), hash, node, address, state_now());
	if (!err && sqlite3_changes(cluster->state.db) != 1)
		err = -EACCES;
	return err;
}

static unsigned wait_for_approval(struct cluster *cluster, const char *node, const char *address,
				  const char *request, const char *fingerprint)
{
	int err = state_run(&cluster->state, NULL,
			    "INSERT INTO pending VALUES (?, ?, ?, ?, ?) ON CONFLICT (fingerprint)"
			    " DO UPDATE SET at = excluded.at",
			    "ssssi", fingerprint, node, address, request, state_now());

	if (!err)
		err = state_run(&cluster->state, NULL,
				"DELETE FROM pending WHERE fingerprint NOT IN (SELECT fingerprint"
				" FROM pending ORDER BY at DESC LIMIT ?)",
				"i", (int64_t)ENROLMENT_PENDING);
	return err ? 500 : 202;
}

/* An answer that was lost is given again to the same key at the same address; NULL: not enrolled.
 */
static char *known(struct cluster *cluster, const char *node, const char *address,
		   const char *fingerprint)
{
	return state_text(&cluster->state,
			  "SELECT certificate FROM nodes WHERE name = ? AND address = ? AND"
			  " fingerprint = ?",
			  "sss", node, address, fingerprint);
}

unsigned enrolment_ask(struct cluster *cluster, const char *node, const char *address,
		       const char *request, const char *token, char **ret_certificate,
		       char ret_fingerprint[NAME_DIGEST_LEN + 1], const char **ret_why)
{
	char *certificate = NULL;
	int64_t enrolled;
	int err = sign(cluster, node, request, &certificate);

	/* Signed first: it is the strictest reading of the request. Given out only below. */
	if (!err)
		err = pki_request_fingerprint(request, ret_fingerprint);
	*ret_why = "this is no request for a certificate of this node";
	if (err)
		return 403;
	*ret_certificate = known(cluster, node, address, ret_fingerprint);
	if (*ret_certificate) {
		free(certificate);
		return 200;
	}
	*ret_why = "a machine of this name is enrolled already";
	if (!state_number(&cluster->state, &enrolled, "SELECT enrolled FROM nodes WHERE name = ?",
			  "s", node)) {
		free(certificate);
		return 409;
	}
	if (!token) {
		free(certificate);
		*ret_why = "no token: it waits for approval";
		return wait_for_approval(cluster, node, address, request, ret_fingerprint);
	}
	*ret_why = "the token is not for this node at this address, or was used, or is too old";
	err = state_begin(&cluster->state);
	if (!err)
		err = use_token(cluster, node, address, token);
	if (!err)
		err = add_node(cluster, node, address, ret_fingerprint, certificate);
	err = state_end(&cluster->state, err);
	if (err) {
		free(certificate);
		return err == -EACCES ? 403 : err == -EEXIST ? 409 : 500;
	}
	*ret_certificate = certificate;
	return 200;
}
