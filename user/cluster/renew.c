/* SPDX-License-Identifier: BSD-2-Clause */
#include "renew.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/fault.h"
#include "../lib/file.h"
#include "../lib/pki.h"

#define DAY 86400

/* Less than a third of its time is left. */
static bool is_due(const char *certificate)
{
	int64_t from, until;

	return !pki_validity(certificate, &from, &until) && until - time(NULL) < (until - from) / 3;
}

int renew_days(const char *certificate)
{
	int64_t from, until, left;

	if (pki_validity(certificate, &from, &until))
		return INT_MIN;
	left = until - time(NULL);
	return (int)(left < 0 ? -((-left + DAY - 1) / DAY) : left / DAY);
}

static int save(struct cluster *cluster, const char *name, const char *certificate)
{
	return file_write(cluster_path(cluster, name), certificate, strlen(certificate), 0644);
}

static int renew_ca(struct cluster *cluster, const struct config *config, const char *key,
		    char **ca)
{
	char name[96], *certificate = NULL;
	int err;

	snprintf(name, sizeof(name), "sluice cluster %s", config->cluster);
	err = pki_ca_make(key, name, &certificate);
	if (!err)
		err = save(cluster, "ca.pem", certificate);
	if (err) {
		free(certificate);
		return err;
	}
	free(*ca);
	*ca = certificate;
	return 0;
}

static int renew_server(struct cluster *cluster, const struct config *config, const char *ca,
			const char *ca_key)
{
	char *key = cluster_read(cluster, "server.key"), *certificate = NULL;
	int err = key ? pki_server_make(ca, ca_key, key, config->control.address, &certificate)
		      : -ENOENT;

	if (!err)
		err = save(cluster, "server.pem", certificate);
	free(certificate);
	free(key);
	return err;
}

int renew_control(struct cluster *cluster, const struct config *config, bool always_ca, bool always,
		  bool *ret_changed)
{
	char *ca = cluster_read(cluster, "ca.pem"), *ca_key = cluster_read(cluster, "ca.key");
	char *server = cluster_read(cluster, "server.pem");
	int err = ca && ca_key && server ? 0 : -ENOENT;
	bool own, root;

	root = !err && (always_ca || is_due(ca));
	own = !err && (always || root || is_due(server));
	if (root)
		err = renew_ca(cluster, config, ca_key, &ca);
	fault_point("ca-renewed");
	if (!err && own)
		err = renew_server(cluster, config, ca, ca_key);
	*ret_changed = root || own;
	free(ca);
	free(ca_key);
	free(server);
	return err;
}

bool renew_node_due(struct cluster *cluster, const char *node, const char *shown)
{
	struct state *state = &cluster->state;
	char hash[NAME_DIGEST_LEN + 1] = "";
	char *certificate =
		state_text(state, "SELECT certificate FROM nodes WHERE name = ?", "s", node);
	int64_t ordered = RENEW_NONE;
	bool due = certificate && is_due(certificate), has;

	state_number(state, &ordered, "SELECT renew FROM agents WHERE node = ?", "s", node);
	has = !certificate || pki_hash(certificate, hash) ||
	      !strncmp(hash, shown, strnlen(shown, NAME_DIGEST_LEN));
	free(certificate);
	if (ordered == RENEW_GIVEN && has && !due)
		state_run(state, NULL, "UPDATE agents SET renew = ? WHERE node = ?", "is",
			  (int64_t)RENEW_NONE, node);
	return due || ordered == RENEW_ORDERED || (ordered == RENEW_GIVEN && !has);
}

unsigned renew_node(struct cluster *cluster, const char *node, const char *request,
		    char **ret_certificate, const char **ret_why)
{
	char *ca = cluster_read(cluster, "ca.pem"), *key = cluster_read(cluster, "ca.key");
	char fingerprint[NAME_DIGEST_LEN + 1], *certificate = NULL;
	int err = ca && key ? pki_node_make(ca, key, request, node, &certificate) : -EIO;

	free(ca);
	free(key);
	*ret_why = "this is no request for a certificate of this node";
	if (err || pki_fingerprint(certificate, fingerprint)) {
		free(certificate);
		return err == -EIO || err == -ENOMEM ? 500 : 403;
	}
	err = state_run(&cluster->state, NULL,
			"UPDATE nodes SET certificate = ? WHERE name = ? AND fingerprint = ?",
			"sss", certificate, node, fingerprint);
	/* Another key is another machine, for all that is known: that is what enrolment is for. */
	*ret_why = "the request is for another key than the node's";
	if (!err && sqlite3_changes(cluster->state.db) != 1)
		err = -EACCES;
	if (!err)
		err = state_run(&cluster->state, NULL,
				"INSERT INTO agents VALUES (?, '', '', '', 0, ?) ON CONFLICT"
				" (node) DO UPDATE SET renew = excluded.renew",
				"si", node, (int64_t)RENEW_GIVEN);
	if (err) {
		free(certificate);
		return err == -EACCES ? 403 : 503;
	}
	*ret_certificate = certificate;
	return 200;
}
