/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice-cluster init: keys, certificates, an empty database. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/file.h"
#include "../lib/opt.h"
#include "../lib/pki.h"
#include "../lib/signed.h"
#include "cluster.h"

#define FILE_MAX (1024 * 1024)

static struct init_options {
	const char *keys;
} values;

static const struct opt options[] = {
	{ OPT_TEXT, 'k', "keys", "FILE", "public keys of who makes bundles (needed)",
	  offsetof(struct init_options, keys), 0, 0, NULL },
};

struct secrets {
	char *ca_key, *ca, *server_key, *server, *control_key, *control_pub;
};

static void free_secrets(struct secrets *secrets)
{
	free(secrets->ca_key);
	free(secrets->ca);
	free(secrets->server_key);
	free(secrets->server);
	free(secrets->control_key);
	free(secrets->control_pub);
}

static int make_secrets(const struct config *config, struct secrets *secrets)
{
	char name[96];
	int err;

	snprintf(name, sizeof(name), "sluice cluster %s", config->cluster);
	err = pki_key_make(&secrets->ca_key);
	if (!err)
		err = pki_ca_make(secrets->ca_key, name, &secrets->ca);
	if (!err)
		err = pki_key_make(&secrets->server_key);
	if (!err)
		err = pki_server_make(secrets->ca, secrets->ca_key, secrets->server_key,
				      config->control.address, &secrets->server);
	if (!err)
		err = signed_key_make(&secrets->control_key, &secrets->control_pub);
	return err;
}

static int save(const struct cluster *cluster, const char *name, const char *text, mode_t mode)
{
	return file_write(cluster_path(cluster, name), text, strlen(text), mode);
}

static int save_all(const struct cluster *cluster, const struct secrets *secrets,
		    const char *config, const char *publishers)
{
	int err = save(cluster, "ca.key", secrets->ca_key, 0600);

	if (!err)
		err = save(cluster, "ca.pem", secrets->ca, 0644);
	if (!err)
		err = save(cluster, "server.key", secrets->server_key, 0600);
	if (!err)
		err = save(cluster, "server.pem", secrets->server, 0644);
	if (!err)
		err = save(cluster, "control.key", secrets->control_key, 0600);
	if (!err)
		err = save(cluster, "control.pub", secrets->control_pub, 0644);
	if (!err)
		err = save(cluster, "publishers.pub", publishers, 0644);
	if (!err)
		err = save(cluster, "cluster.yaml", config, 0644);
	return err;
}

/* The database comes last: without it there is no cluster, and init may be run again. */
static int make_database(struct cluster *cluster, const struct config *config)
{
	int err = state_open(cluster->directory, true, &cluster->state);

	if (!err)
		err = state_meta_set(&cluster->state, "cluster", config->cluster);
	return err;
}

static enum cluster_exit run(struct cluster *cluster, char **arguments, unsigned count)
{
	struct config *config = cluster_config(cluster, arguments[0]);
	char *text = NULL, *publishers = NULL, hash[NAME_DIGEST_LEN + 1];
	enum cluster_exit status = CLUSTER_ERROR;
	struct secrets secrets = { 0 };
	int err;

	if (!config)
		return CLUSTER_USAGE;
	if (!values.keys) {
		cluster_complain("init: --keys is missing: whose bundles may be installed here?");
		config_free(config);
		return CLUSTER_USAGE;
	}
	if (!access(cluster_path(cluster, "cluster.db"), F_OK)) {
		cluster_complain("%s holds a cluster already; its keys would be lost",
				 cluster->directory);
		goto out;
	}
	err = file_read(arguments[0], FILE_MAX, &text, NULL);
	if (!err)
		err = file_read(values.keys, FILE_MAX, &publishers, NULL);
	if (err || !strstr(publishers, "BEGIN PUBLIC KEY")) {
		cluster_complain("%s: %s", values.keys,
				 err ? strerror(-err) : "no public key in it");
		goto out;
	}
	err = make_secrets(config, &secrets);
	if (!err)
		err = file_make_directories(cluster->directory, 0700);
	if (!err)
		err = save_all(cluster, &secrets, text, publishers);
	if (!err)
		err = make_database(cluster, config);
	if (!err)
		err = pki_hash(secrets.ca, hash);
	if (err) {
		cluster_complain("%s: %s", cluster->directory, strerror(-err));
		goto out;
	}
	status = CLUSTER_DONE;
	if (cluster->json)
		cluster_print(json_pack("{s:s, s:s, s:s}", "cluster", config->cluster, "state",
					cluster->directory, "ca", hash));
	else
		printf("cluster %s, %u nodes; its CA is %s\n"
		       "next: sluice-cluster serve, then: sluice-cluster enrol NODE\n",
		       config->cluster, config->nodes_count, hash);
out:
	free_secrets(&secrets);
	free(text);
	free(publishers);
	config_free(config);
	return status;
}

const struct cluster_command command_init = {
	.name = "init",
	.arguments = "CLUSTER.yaml",
	.summary = "make a cluster's keys and state from its file",
	.least = 1,
	.most = 1,
	.options = options,
	.options_count = sizeof(options) / sizeof(options[0]),
	.values = &values,
	.no_state = true,
	.run = run,
};
