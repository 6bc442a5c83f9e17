/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apt-ftparchive writes the indices, xz compresses them, gpg signs Release. Everything that could
 * differ between two runs is given: dates, the order of packages (by name), the compressor's
 * threads.
 */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "../lib/spawn.h"
#include "file.h"
#include "gpg.h"
#include "stage.h"

#define TOOL_TIME   1800
#define ONLY_STRONG "-o", "APT::FTPArchive::MD5=false", "-o", "APT::FTPArchive::SHA1=false"
#define DISTS	    "dists/" TREE_SUITE

struct tree {
	const char *architecture;
	uint64_t when;
	struct gpg *gpg;
	struct stage *stage;
	struct bundle_error *error;
	char path[4096];
	int dir;
};

int tree_open(const char *work, struct bundle_error *error)
{
	char path[4096];
	int err;

	snprintf(path, sizeof(path), "%s/tree/pool/", work);
	err = file_make_parents(AT_FDCWD, path);
	return err ? bundle_failed(error, err, "%s: %s", path, strerror(-err)) : 0;
}

int tree_add(const char *work, const char *path, const char *filename, struct bundle_error *error)
{
	char to[4096];
	struct stat have, want;
	int err;

	if (!name_filename_valid(filename))
		return bundle_failed(error, -EINVAL, "'%.200s' is no file name for a package",
				     filename);
	snprintf(to, sizeof(to), "%s/tree/pool/%s", work, filename);
	/* Packages of several items come from one directory of archives: the same file is the
	 * same inode, or at least of the same size. */
	if (!stat(to, &have)) {
		if (!stat(path, &want) && have.st_size == want.st_size)
			return 0;
		return bundle_failed(error, -EEXIST, "two packages would be called %s", filename);
	}
	err = file_link(AT_FDCWD, path, AT_FDCWD, to);
	return err ? bundle_failed(error, err, "%s: %s", to, strerror(-err)) : 0;
}

/* Runs argv with its output in a file of the tree. */
static int run_into(struct tree *tree, const char *const *argv, const char *cwd, const char *name)
{
	struct spawn spawn = { argv, cwd, NULL, -1, TOOL_TIME };
	char *why = NULL;
	int err;

	spawn.output = openat(tree->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (spawn.output < 0)
		return bundle_failed(tree->error, -errno, "%s/%s: %s", tree->path, name,
				     strerror(errno));
	err = spawn_run(&spawn, NULL, &why);
	close(spawn.output);
	if (err)
		bundle_failed(tree->error, err, "%.480s", why ? why : "out of memory");
	free(why);
	return err;
}

static int write_packages(struct tree *tree, char *index, size_t size)
{
	const char *packages[] = {
		"apt-ftparchive", "--arch", tree->architecture, ONLY_STRONG, "packages",
		"pool",		  NULL
	};
	const char *xz[] = { "xz", "-6", "-T1", "-c", index, NULL };
	char compressed[256];
	int err;

	snprintf(index, size, DISTS "/" TREE_COMPONENT "/binary-%s/Packages", tree->architecture);
	err = file_make_parents(tree->dir, index);
	if (err)
		return bundle_failed(tree->error, err, "%s: %s", tree->path, strerror(-err));
	snprintf(compressed, sizeof(compressed), "%.200s.xz", index);
	err = run_into(tree, packages, tree->path, index);
	return err ? err : run_into(tree, xz, tree->path, compressed);
}

static int write_release(struct tree *tree)
{
	char date[64], architectures[64], cwd[4200];
	const char *argv[] = { "apt-ftparchive",
			       ONLY_STRONG,
			       "-o",
			       "APT::FTPArchive::Release::Origin=sluice bundle",
			       "-o",
			       "APT::FTPArchive::Release::Suite=" TREE_SUITE,
			       "-o",
			       "APT::FTPArchive::Release::Codename=" TREE_SUITE,
			       "-o",
			       "APT::FTPArchive::Release::Components=" TREE_COMPONENT,
			       "-o",
			       architectures,
			       "-o",
			       date,
			       "release",
			       ".",
			       NULL };
	time_t when = (time_t)tree->when;
	struct tm utc;
	size_t len;
	int err;

	snprintf(architectures, sizeof(architectures), "APT::FTPArchive::Release::Architectures=%s",
		 tree->architecture);
	gmtime_r(&when, &utc);
	len = (size_t)snprintf(date, sizeof(date), "APT::FTPArchive::Release::Date=");
	strftime(date + len, sizeof(date) - len, "%a, %d %b %Y %H:%M:%S UTC", &utc);
	snprintf(cwd, sizeof(cwd), "%s/" DISTS, tree->path);
	/* Written beside it first: Release must not list itself, empty. */
	err = run_into(tree, argv, cwd, "Release");
	if (!err && renameat(tree->dir, "Release", tree->dir, DISTS "/Release"))
		err = bundle_failed(tree->error, -errno, "%s: %s", cwd, strerror(errno));
	return err;
}

static int sign(struct tree *tree)
{
	char input[4200], output[4200], key[4200];
	int err;

	snprintf(input, sizeof(input), "%s/" DISTS "/Release", tree->path);
	snprintf(output, sizeof(output), "%s/" DISTS "/InRelease", tree->path);
	snprintf(key, sizeof(key), "%s/key.gpg", tree->path);
	err = gpg_sign(tree->gpg, tree->when, input, output, tree->error);
	return err ? err : gpg_export(tree->gpg, key, tree->error);
}

/* Takes one file of the tree into the stage and the manifest. */
static int take(struct tree *tree, const char *path, json_t *files, bool list)
{
	struct bundle_blob blob;
	char whole[4600];
	json_t *entry;
	int err;

	snprintf(whole, sizeof(whole), "%s/%s", tree->path, path);
	err = stage_file(tree->stage, whole, list, &blob, tree->error);
	if (err)
		return err;
	entry = stage_blob_json(&blob);
	if (!entry || json_object_set_new(entry, "path", json_string(path)) ||
	    json_array_append_new(files, entry))
		return bundle_failed(tree->error, -ENOMEM, "out of memory");
	return 0;
}

/* The packages by name; they are listed as blobs later, item by item. */
static int take_pool(struct tree *tree, json_t *files)
{
	struct dirent **names;
	char path[NAME_MAX + 8];
	int fd = openat(tree->dir, "pool", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count, err = 0;

	count = fd < 0 ? -1 : scandirat(fd, ".", &names, NULL, alphasort);
	if (count < 0)
		err = bundle_failed(tree->error, -errno, "%s/pool: %s", tree->path,
				    strerror(errno));
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "pool/%s", names[i]->d_name);
		if (!err && names[i]->d_name[0] != '.')
			err = take(tree, path, files, false);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	if (fd >= 0)
		close(fd);
	return err;
}

int tree_finish(const char *work, const char *architecture, uint64_t when, struct gpg *gpg,
		struct stage *stage, json_t **ret_apt, struct bundle_error *error)
{
	struct tree tree = { architecture, when, gpg, stage, error, "", -1 };
	json_t *files = json_array();
	char index[256], compressed[260];
	int err;

	snprintf(tree.path, sizeof(tree.path), "%s/tree", work);
	tree.dir = open(tree.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree.dir < 0 || !files) {
		err = bundle_failed(error, tree.dir < 0 ? -errno : -ENOMEM, "%s: cannot be opened",
				    tree.path);
		goto out;
	}
	err = write_packages(&tree, index, sizeof(index));
	if (!err)
		err = write_release(&tree);
	if (!err)
		err = sign(&tree);
	snprintf(compressed, sizeof(compressed), "%s.xz", index);
	if (!err)
		err = take(&tree, "key.gpg", files, true);
	if (!err)
		err = take(&tree, DISTS "/InRelease", files, true);
	if (!err)
		err = take(&tree, index, files, true);
	if (!err)
		err = take(&tree, compressed, files, true);
	if (!err)
		err = take_pool(&tree, files);
	if (!err) {
		*ret_apt = json_pack("{s:s, s:s, s:O}", "suite", TREE_SUITE, "component",
				     TREE_COMPONENT, "files", files);
		if (!*ret_apt)
			err = bundle_failed(error, -ENOMEM, "out of memory");
	}
out:
	json_decref(files);
	if (tree.dir >= 0)
		close(tree.dir);
	return err;
}
