/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-cluster bootstrap: brings the agent to a machine that has none. The bundle carries the
 * agent's package with its closure as an item; together with a one-time token and a script they go
 * over SSH, or into a directory (a stick) from which somebody runs the script there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/file.h"
#include "../lib/opt.h"
#include "../lib/spawn.h"
#include "enrolment.h"
#include "plan.h"

#define SSH_SECONDS 900

static struct values {
	const char *bundle, *item, *ssh, *identity, *write, *ssh_option;
} values = { .item = "sluice-agent" };

static const struct opt options[] = {
	{ OPT_TEXT, 'b', "bundle", "FILE", "bundle (default: the last one)",
	  offsetof(struct values, bundle), 0, 0, NULL },
	{ OPT_TEXT, 0, "item", "NAME", "the bundle's item with the agent (default: sluice-agent)",
	  offsetof(struct values, item), 0, 0, NULL },
	{ OPT_TEXT, 0, "ssh", "USER@HOST", "over SSH (default: root@ the node's address)",
	  offsetof(struct values, ssh), 0, 0, NULL },
	{ OPT_TEXT, 'i', "identity", "FILE", "SSH's key", offsetof(struct values, identity), 0, 0,
	  NULL },
	{ OPT_TEXT, 0, "known-hosts", "FILE", "the machines' host keys (default: SSH's own)",
	  offsetof(struct values, ssh_option), 0, 0, NULL },
	{ OPT_TEXT, 0, "write", "DIR", "into a directory instead: run DIR/install.sh on the node",
	  offsetof(struct values, write), 0, 0, NULL },
};

/*
 * Runs on the node, as root. dpkg is given all packages at once and sorts them itself; where one
 * pre-depends on another it takes a second round.
 */
static const char script[] =
	"#!/bin/sh\n"
	"# Written by sluice-cluster bootstrap: installs the agent and makes this machine a node.\n"
	"set -eu\n"
	"cd \"$(dirname \"$0\")\"\n"
	"export DEBIAN_FRONTEND=noninteractive\n"
	"dpkg --skip-same-version --force-confold -i ./*.deb ||\n"
	"\tdpkg --skip-same-version --force-confold -i ./*.deb\n"
	"sluice-agent cluster enrol --server '%s:%u' --token-file - <<'TOKEN'\n"
	"%s\n"
	"TOKEN\n"
	"if [ -d /run/systemd/system ]; then\n"
	"\tsystemctl enable --now sluice-node\n"
	"fi\n";

static int write_packages(struct bundle *bundle, const struct bundle_item *item,
			  const char *directory)
{
	struct bundle_error error = { "", "" };
	char path[PATH_MAX];
	int fd, err = 0;

	for (size_t i = 0; i < item->packages_count && !err; i++) {
		const char *name = strrchr(item->packages[i].filename, '/');

		name = name ? name + 1 : item->packages[i].filename;
		snprintf(path, sizeof(path), "%s/%s", directory, name);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		err = fd < 0 ? -errno
			     : bundle_copy(bundle, item->packages[i].blob.digest, fd, NULL, NULL,
					   &error);
		if (fd >= 0 && close(fd) && !err)
			err = -errno;
		if (err)
			cluster_complain("%s: %s", path, *error.text ? error.text : strerror(-err));
	}
	return err;
}

static int write_script(const struct config *config, const char *token, const char *directory)
{
	char path[PATH_MAX], *text = NULL;
	int err = asprintf(&text, script, config->control.address, config->control.port, token) < 0
			  ? -ENOMEM
			  : 0;

	snprintf(path, sizeof(path), "%s/install.sh", directory);
	/* The token is a secret until it is used. */
	if (!err)
		err = file_write(path, text, strlen(text), 0700);
	free(err == -ENOMEM ? NULL : text);
	if (err)
		cluster_complain("%s: %s", path, strerror(-err));
	return err;
}

static int fill_directory(struct cluster *cluster, const struct config *config,
			  const struct config_node *node, const char *directory)
{
	char *path = NULL, token[ENROLMENT_TOKEN_MAX + 1];
	struct bundle *bundle = plan_bundle(cluster, values.bundle, &path);
	const struct bundle_item *item =
		bundle ? bundle_manifest_item(bundle_manifest(bundle), values.item) : NULL;
	int err = -ENOENT;

	if (bundle && (!item || item->type != BUNDLE_DEB))
		cluster_complain("the bundle has no packages called '%s'; add the agent to it, or "
				 "give --item",
				 values.item);
	else if (bundle)
		err = enrolment_token(cluster, node, false, 86400, token);
	if (!err)
		err = write_packages(bundle, item, directory);
	if (!err)
		err = write_script(config, token, directory);
	bundle_close(bundle);
	free(path);
	return err;
}

/* tar of the directory into ssh: one connection, nothing is left behind on the node. */
static int send(const struct config_node *node, const char *directory)
{
	static const char there[] = "set -e; d=$(mktemp -d); trap 'rm -rf \"$d\"' EXIT; "
				    "tar -x -C \"$d\"; sh \"$d/install.sh\" </dev/null";
	char archive[PATH_MAX + 16], host[128], identity[PATH_MAX], known[PATH_MAX], *why = NULL;
	const char *const pack[] = { "tar",	    "--create", "--file",    archive,
				     "--directory", directory,	"--exclude", "./archive.tar",
				     ".",	    NULL };
	struct spawn tar = { .argv = pack, .output = -1, .timeout = SSH_SECONDS };
	const char *remote[16] = { "sh", "-c", "in=$1; shift; exec ssh \"$@\" <\"$in\"", "sh",
				   archive };
	unsigned count = 5;
	struct spawn ssh = { .argv = remote, .output = -1, .timeout = SSH_SECONDS };
	int err;

	snprintf(archive, sizeof(archive), "%s/archive.tar", directory);
	snprintf(host, sizeof(host), "root@%s", node->address);
	remote[count++] = "-oBatchMode=yes";
	remote[count++] = "-oConnectTimeout=15";
	if (values.identity) {
		snprintf(identity, sizeof(identity), "-i%s", values.identity);
		remote[count++] = identity;
	}
	if (values.ssh_option) {
		snprintf(known, sizeof(known), "-oUserKnownHostsFile=%s", values.ssh_option);
		remote[count++] = known;
	}
	remote[count++] = "--";
	remote[count++] = values.ssh ? values.ssh : host;
	remote[count++] = there;
	err = spawn_run(&tar, NULL, &why);
	if (!err)
		err = spawn_run(&ssh, NULL, &why);
	if (err)
		cluster_complain("%s: %s", node->name, why ? why : strerror(-err));
	free(why);
	return err;
}

static void remove_directory(const char *directory)
{
	const char *const argv[] = { "rm", "-rf", "--", directory, NULL };
	struct spawn spawn = { .argv = argv, .output = -1, .timeout = 60 };
	char *why = NULL;

	spawn_run(&spawn, NULL, &why);
	free(why);
}

/* What is there from before would be installed as well. */
static int check_empty(const char *directory)
{
	DIR *list = opendir(directory);
	struct dirent *entry;
	const char *dot;
	int err = list ? 0 : -errno;

	while (list && !err && (entry = readdir(list))) {
		dot = strrchr(entry->d_name, '.');
		if (!strcmp(entry->d_name, "install.sh") || (dot && !strcmp(dot, ".deb")))
			err = -EEXIST;
	}
	if (list)
		closedir(list);
	if (err)
		cluster_complain("%s: %s", directory,
				 err == -EEXIST ? "there are packages or an install.sh already; "
						  "take an empty directory"
						: strerror(-err));
	return err;
}

/* A stick is pulled out when we say that it is done. */
static int sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0 || syncfs(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (err)
		cluster_complain("%s: %s", directory, strerror(-err));
	return err;
}

static int write_directory(struct cluster *cluster, const struct config *config,
			   const struct config_node *node)
{
	int err = file_make_directories(values.write, 0700);

	if (err) {
		cluster_complain("%s: %s", values.write, strerror(-err));
		return err;
	}
	err = check_empty(values.write);
	if (!err)
		err = fill_directory(cluster, config, node, values.write);
	if (!err)
		err = sync_directory(values.write);
	if (!err && !cluster->json)
		printf("on %s, as root: sh install.sh (in what is now %s); it holds a token, good "
		       "once and for a day\n",
		       node->name, values.write);
	return err;
}

static enum cluster_exit bring(struct cluster *cluster, const struct config *config,
			       const struct config_node *node)
{
	char directory[CLUSTER_PATH_MAX];
	int err;

	if (values.write) {
		err = write_directory(cluster, config, node);
	} else {
		snprintf(directory, sizeof(directory), "%s/bootstrap-XXXXXX", cluster->directory);
		err = mkdtemp(directory) ? 0 : -errno;
		if (!err)
			err = fill_directory(cluster, config, node, directory);
		if (!err)
			err = send(node, directory);
		remove_directory(directory);
		if (!err && !cluster->json)
			printf("%s has its agent and is enrolled\n", node->name);
	}
	if (!err && cluster->json)
		cluster_print(json_pack("{s:s, s:b}", "node", node->name, "done", 1));
	return err ? CLUSTER_ERROR : CLUSTER_DONE;
}

static enum cluster_exit run(struct cluster *cluster, char **arguments, unsigned count)
{
	struct config *config = cluster_config(cluster, NULL);
	const struct config_node *node = config ? config_node(config, arguments[0]) : NULL;
	enum cluster_exit status = CLUSTER_USAGE;

	if (node)
		status = bring(cluster, config, node);
	else if (config)
		cluster_complain("the cluster file has no node '%s'", arguments[0]);
	config_free(config);
	return status;
}

const struct cluster_command command_bootstrap = {
	.name = "bootstrap",
	.arguments = "NODE",
	.summary = "bring the agent to a machine that has none",
	.least = 1,
	.most = 1,
	.options = options,
	.options_count = sizeof(options) / sizeof(options[0]),
	.values = &values,
	.run = run,
};
