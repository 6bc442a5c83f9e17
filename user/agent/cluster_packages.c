/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An item's packages. They are installed by apt from the bundle's own signed tree, laid out from
 * links to the blobs, and from nothing else: the publisher's signature is checked once more by apt.
 * What is about to be added is in the journal before; dpkg takes it away again.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fault.h"
#include "../lib/file.h"

#define LOCK_SECONDS   "DPkg::Lock::Timeout=300"
#define APT_TIMEOUT    3600
#define TORN_MAX       64
#define UPDATE_TIMEOUT 600

/* Lays the tree out, as far as this item needs it; ret is its directory. */
static int make_tree(struct work *work, char *ret_tree)
{
	const struct bundle_manifest *manifest = bundle_manifest(work->bundle);
	char name[64], path[2 * CLUSTER_PATH_MAX];
	struct bundle_blob blob;
	int err;

	bundle_manifest_json(work->bundle, &blob);
	snprintf(name, sizeof(name), "tree-%.16s", blob.digest);
	node_path(work->node, name, ret_tree);
	for (size_t i = 0; i < manifest->files_count; i++) {
		snprintf(path, sizeof(path), "%s/%s", ret_tree, manifest->files[i].path);
		err = node_link_blob(work->node, manifest->files[i].blob.digest, path);
		/* Other items' packages may not be here. */
		if (err && (err != -ENOENT || strncmp(manifest->files[i].path, "pool/", 5) != 0))
			return outcome_fail(&work->outcome, err, "%s: %s", path, strerror(-err));
	}
	return 0;
}

static int write_sources(struct work *work, const char *tree, char *ret_path)
{
	const struct bundle_manifest *manifest = bundle_manifest(work->bundle);
	char *text = NULL, path[CLUSTER_PATH_MAX];
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++) {
		node_path(work->node, i ? "apt/cache/archives/partial" : "apt/lists/partial", path);
		err = file_make_directories(path, 0755);
	}
	node_path(work->node, "apt/sources.list", ret_path);
	if (!err && asprintf(&text, "deb [signed-by=%s/key.gpg] file:%s %s %s\n", tree, tree,
			     manifest->suite, manifest->component) < 0)
		err = -ENOMEM;
	if (!err)
		err = file_write(ret_path, text, strlen(text), 0644);
	free(text);
	return err ? outcome_fail(&work->outcome, err, "%s: %s", ret_path, strerror(-err)) : 0;
}

/* Packages the closure brings, and versions it changes: what uninstalling takes back. */
static int note_packages(struct work *work)
{
	json_t *installed = facts_packages();
	int err = 0;

	/* What is not known to be there would be taken for ours, and purged one day. */
	if (!installed)
		return outcome_fail(&work->outcome, -EIO,
				    "dpkg-query does not say what is installed");
	for (size_t i = 0; i < work->item->packages_count && !err; i++) {
		const struct bundle_package *package = &work->item->packages[i];
		const char *have = json_string_value(json_object_get(installed, package->name));

		if (!have)
			err = journal_add(work->node, work->item->name, "package", package->name,
					  package->version, strlen(package->version));
		else if (strcmp(have, package->version) != 0)
			err = journal_add(work->node, work->item->name, "version", package->name,
					  have, strlen(have));
	}
	json_decref(installed);
	return err;
}

struct apt {
	struct work *work;
	unsigned percent;
	char error[256];
};

/* "pmstatus:nginx:62.1:text", "pmerror:nginx:62:text" */
static void on_status(char *line, void *arg)
{
	struct apt *apt = arg;
	char *save = NULL, *kind = strtok_r(line, ":", &save), *what = strtok_r(NULL, ":", &save);
	char *number = strtok_r(NULL, ":", &save), *text = strtok_r(NULL, "", &save);
	double percent = number ? strtod(number, NULL) : -1;
	const char *name;

	/* "nan" is a number, too. */
	if (!what || !(percent >= 0 && percent <= 100))
		return;
	name = strrchr(what, '/') ? strrchr(what, '/') + 1 : what;
	if (!strcmp(kind, "pmerror") && !*apt->error)
		snprintf(apt->error, sizeof(apt->error), "%.60s: %.180s", name, text ? text : "");
	if (!strcmp(kind, "pmstatus") && (unsigned)percent >= apt->percent + 2) {
		apt->percent = (unsigned)percent;
		journal_tell(apt->work->node, apt->work->desired, "installing", apt->percent, 0, 0);
	}
}

/* The last line that says something is the reason, when nothing better is known. */
static int explain(struct work *work, const char *program, const char *better, int status)
{
	const char *log = work->outcome.log, *line = log;
	size_t len = strlen(log);

	if (status == 0)
		return 0;
	if (status < 0)
		return status;
	if (status > 128)
		return outcome_fail(&work->outcome, -EIO, "%s was killed (signal %d)", program,
				    status - 128);
	while (len && log[len - 1] == '\n')
		len--;
	for (const char *c = log; c < log + len; c++)
		if (*c == '\n' && c + 1 < log + len)
			line = c + 1;
	if (better && *better)
		return outcome_fail(&work->outcome, -EIO, "%s", better);
	return outcome_fail(&work->outcome, -EIO, "%s: %.*s", program, (int)(log + len - line),
			    line);
}

static int run_apt(struct work *work, const char *sources, const char *action)
{
	char source[CLUSTER_PATH_MAX + 32], lists[CLUSTER_PATH_MAX + 32];
	char cache[CLUSTER_PATH_MAX + 32], path[CLUSTER_PATH_MAX];
	struct apt apt = { .work = work };
	bool install = !strcmp(action, "install");
	struct exec exec = { .timeout = install ? APT_TIMEOUT : UPDATE_TIMEOUT, .input = -1 };
	const char *fixed[] = { "apt-get",
				"-q",
				"-y",
				"-o",
				source,
				"-o",
				"Dir::Etc::sourceparts=-",
				"-o",
				lists,
				"-o",
				cache,
				"-o",
				LOCK_SECONDS,
				"-o",
				"Dpkg::Use-Pty=0",
				"-o",
				"DPkg::Options::=--force-confold",
				"-o",
				"APT::Install-Recommends=false",
				"-o",
				"Acquire::Languages=none",
				"-o",
				"APT::Sandbox::User=root",
				action };
	size_t count = sizeof(fixed) / sizeof(fixed[0]);
	const char **argv = calloc(count + work->item->install.count + TORN_MAX + 5, sizeof(*argv));
	char *torn[TORN_MAX];
	size_t torn_count = 0;
	int status;

	if (!argv)
		return -ENOMEM;
	snprintf(source, sizeof(source), "Dir::Etc::sourcelist=%s", sources);
	node_path(work->node, "apt/lists", path);
	snprintf(lists, sizeof(lists), "Dir::State::lists=%s", path);
	node_path(work->node, "apt/cache", path);
	snprintf(cache, sizeof(cache), "Dir::Cache=%s", path);
	memcpy(argv, fixed, sizeof(fixed));
	if (install) {
		argv[count++] = "-o";
		argv[count++] = "APT::Status-Fd=3";
		exec.status = on_status;
		exec.arg = &apt;
		torn_count = payload_torn(work->item, torn, TORN_MAX);
		if (torn_count)
			argv[count++] = "--reinstall";
		for (size_t i = 0; i < torn_count; i++)
			argv[count++] = torn[i];
		for (size_t i = 0; i < work->item->install.count; i++)
			argv[count++] = work->item->install.words[i];
	} else {
		/* Without this, apt-get update ends with 0 also when it read nothing. */
		argv[count++] = "--error-on=any";
	}
	exec.argv = argv;
	status = exec_run(&exec, &work->outcome);
	for (size_t i = 0; i < torn_count; i++)
		free(torn[i]);
	free(argv);
	return explain(work, "apt-get", apt.error, status);
}

int packages_install(struct work *work)
{
	char tree[CLUSTER_PATH_MAX], sources[CLUSTER_PATH_MAX];
	int err = make_tree(work, tree);

	if (!err)
		err = write_sources(work, tree, sources);
	if (!err)
		err = payload_recover(&work->outcome);
	if (!err)
		err = note_packages(work);
	fault_point("packages-noted");
	if (!err)
		err = run_apt(work, sources, "update");
	fault_point("apt-updated");
	if (!err)
		err = undo_keep(work);
	if (!err)
		err = run_apt(work, sources, "install");
	fault_point("apt-installed");
	return err ? err : payload_whole(work);
}

/* ---- away again ---- */

struct purge {
	const char **argv;
	size_t count, room;
};

static int add_name(struct node *node, const char *name, const void *value, size_t len, void *arg)
{
	struct purge *purge = arg;

	if (purge->count + 2 > purge->room) {
		const char **larger = realloc(purge->argv, (purge->room + 256) * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		purge->argv = larger;
		purge->room += 256;
	}
	purge->argv[purge->count] = strdup(name);
	return purge->argv[purge->count++] ? 0 : -ENOMEM;
}

/* dpkg and not apt: what something else has come to need makes it refuse, not remove that too. */
int packages_purge(struct node *node, const char *item, struct outcome *outcome)
{
	static const char *const words[] = { "dpkg", "--purge" };
	struct purge purge = { NULL, 0, 0 };
	struct exec exec = { .timeout = APT_TIMEOUT, .input = -1 };
	int err = payload_recover(outcome);

	for (size_t i = 0; i < 2 && !err; i++)
		err = add_name(node, words[i], NULL, 0, &purge);
	if (!err)
		err = journal_undo(node, item, "package", add_name, &purge);
	if (!err && purge.count > 2) {
		purge.argv[purge.count] = NULL;
		exec.argv = purge.argv;
		outcome->log[0] = '\0';
		err = exec_run(&exec, outcome);
		if (err > 0)
			err = outcome_fail(outcome, -EIO, "dpkg --purge: %.250s", outcome->log);
	}
	fault_point("purged");
	for (size_t i = 0; i < purge.count; i++)
		free((char *)purge.argv[i]);
	free(purge.argv);
	return err ? err : journal_drop(node, item, "package");
}
