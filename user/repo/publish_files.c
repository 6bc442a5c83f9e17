/* SPDX-License-Identifier: BSD-2-Clause */
/* File work that publishing needs: links that become copies where they must. */
#include "../lib/fault.h"
#include "publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool publish_visible(const struct publish_entry *entry, const char *tenant)
{
	size_t len = tenant ? strlen(tenant) : 0;

	if (entry->is_public)
		return true;
	if (!tenant)
		return false;
	for (const char *name = entry->tenants; *name;) {
		size_t name_len = strcspn(name, ",");

		if (name_len == len && !memcmp(name, tenant, len))
			return true;
		name += name_len + (name[name_len] == ',');
	}
	return false;
}

int publish_entry_path(const struct publish_entry *entry, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/%.2s/%s/%s",
			 entry->kind == PACKAGE_RPM ? "rpm/packages" : "apt/pool", entry->sha256,
			 entry->sha256, entry->filename);

	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

bool publish_is_hashed(const char *path)
{
	const char *repodata = "rpm/repodata/";

	if (strstr(path, "/by-hash/"))
		return true;
	return !strncmp(path, repodata, strlen(repodata)) &&
	       strncmp(path + strlen(repodata), "repomd.xml", 10) != 0;
}

int publish_make_parents(int dir, const char *path)
{
	char parent[512];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - path);

		if (len >= sizeof(parent))
			return -ENAMETOOLONG;
		memcpy(parent, path, len);
		parent[len] = '\0';
		if (mkdirat(dir, parent, 0755) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int copy_file(int from_dir, const char *from, int to_dir, const char *to)
{
	int in = openat(from_dir, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), out = -1, err = 0;
	struct stat stat;
	ssize_t n;

	if (in < 0 || fstat(in, &stat)) {
		err = -errno;
		goto out;
	}
	out = openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (out < 0) {
		err = -errno;
		goto out;
	}
	do
		n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0);
	while (n > 0);
	if (n < 0)
		err = -errno;
	else if (futimens(out, (struct timespec[]){ stat.st_atim, stat.st_mtim }))
		err = -errno;
out:
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return err;
}

int publish_append(int from_dir, const char *from, int fd)
{
	int in = openat(from_dir, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), err = 0;
	ssize_t n;

	if (in < 0)
		return -errno;
	do
		n = copy_file_range(in, NULL, fd, NULL, 1 << 30, 0);
	while (n > 0);
	if (n < 0)
		err = -errno;
	close(in);
	return err;
}

int publish_link(int from_dir, const char *from, int to_dir, const char *to)
{
	int err = publish_make_parents(to_dir, to);

	if (err)
		return err;
	fault_point("publish-link");
	if (!linkat(from_dir, from, to_dir, to, 0) || errno == EEXIST)
		return 0;
	/* ext4 ends at 65000 links to a file. */
	return errno == EMLINK ? copy_file(from_dir, from, to_dir, to) : -errno;
}

int publish_link_tree(int from_dir, int to_dir, const char *path)
{
	int fd = openat(from_dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), err = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char below[512];

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if ((size_t)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) >=
		    sizeof(below))
			err = -ENAMETOOLONG;
		else if (entry->d_type == DT_DIR)
			err = publish_link_tree(from_dir, to_dir, below);
		else
			err = publish_link(from_dir, below, to_dir, below);
	}
	closedir(dir);
	return err;
}
