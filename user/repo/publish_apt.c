/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The apt tree of a view: apt-ftparchive writes the indices over the pool's links, gzip
 * and xz compress them, apt-ftparchive writes Release, every index listed there gets its
 * by-hash name for every hash listed, gpg signs. No Valid-Until: an isolated network whose
 * management side sleeps must still be able to install.
 */
#include "publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fault.h"
#include "../lib/spawn.h"

#define TOOL_TIME   1800
#define CACHE_MAX   (256 * 1024 * 1024) /* apt-ftparchive never shrinks its cache */
#define FTPARCHIVE  "apt-ftparchive"
#define ONLY_STRONG "-o", "APT::FTPArchive::MD5=false", "-o", "APT::FTPArchive::SHA1=false"

static int failed(struct publish_build *build, char *why)
{
	problem_set(build->problem, 500, "publish", "correct this and publish again", "%s: %s",
		    build->view, why ? why : "out of memory");
	free(why);
	return -1;
}

static int failed_errno(struct publish_build *build, int err)
{
	return problem_errno(build->problem, err, "publish");
}

unsigned publish_arches(const struct publish_build *build, const char *arches[PUBLISH_ARCHES_MAX])
{
	const struct settings_publish *settings = &build->repod->settings->publish;
	const struct publish_list *list = build->packages;
	unsigned count = 0, j;

	for (unsigned i = 0; i < settings->architectures_count && count < PUBLISH_ARCHES_MAX; i++)
		arches[count++] = settings->architectures[i];
	for (size_t i = 0; i < list->count && count < PUBLISH_ARCHES_MAX; i++) {
		const struct publish_entry *entry = &list->entries[i];

		if (entry->kind != PACKAGE_DEB || !strcmp(entry->arch, "all"))
			continue;
		for (j = 0; j < count; j++)
			if (!strcmp(arches[j], entry->arch))
				break;
		if (j == count)
			arches[count++] = entry->arch;
	}
	return count;
}

/* The cache only spares reading packages again; one that is damaged or huge is made anew. */
static void check_cache(const char *cache)
{
	struct stat status;

	if (!stat(cache, &status) && status.st_size > CACHE_MAX)
		unlink(cache);
}

static int write_packages(struct publish_build *build, const char *arch, const char *target)
{
	char cwd[272], cache[160], *why = NULL;
	const char *argv[] = { FTPARCHIVE,  "--db",	cache,	"--arch", arch,
			       ONLY_STRONG, "packages", "pool", NULL };
	struct spawn spawn = { argv, cwd, NULL, -1, TOOL_TIME };
	int err = -EIO;

	snprintf(cwd, sizeof(cwd), "%s/apt", build->path);
	snprintf(cache, sizeof(cache), "%s/apt-ftparchive.db", build->repod->store->path);
	check_cache(cache);
	for (int attempt = 0; attempt < 2 && err == -EIO; attempt++) {
		free(why);
		spawn.output =
			openat(build->dir, target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (spawn.output < 0)
			return failed_errno(build, -errno);
		err = spawn_run(&spawn, NULL, &why);
		close(spawn.output);
		if (err == -EIO)
			unlink(cache);
	}
	return err ? failed(build, why) : 0;
}

/* Makes NAME.gz or NAME.xz beside a file. */
static int compress(struct publish_build *build, const char *tool, const char *directory,
		    const char *name)
{
	const char *gzip[] = { "gzip", "-9", "-n", "-k", "-f", name, NULL };
	const char *xz[] = { "xz", "-6", "-k", "-f", name, NULL };
	struct spawn spawn = { *tool == 'g' ? gzip : xz, directory, NULL, -1, TOOL_TIME };
	char *why;

	return spawn_run(&spawn, NULL, &why) ? failed(build, why) : 0;
}

/* to becomes the public file of that name with own after it. */
static int join(struct publish_build *build, const char *to, const char *own)
{
	int fd, err;

	fd = openat(build->dir, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return failed_errno(build, -errno);
	err = publish_append(build->public_dir, to, fd);
	if (!err)
		err = publish_append(build->dir, own, fd);
	close(fd);
	return err ? failed_errno(build, err) : 0;
}

/*
 * A tenant's own part of an index stays beside the tree, "own-ARCH" and "own-ARCH.gz", together
 * with the packages that it is of ("own"): as long as those are the same it is not made again.
 */
static char *list_own(const struct publish_build *build)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < build->packages->count; i++) {
		const struct publish_entry *entry = &build->packages->entries[i];

		if (entry->kind == PACKAGE_DEB && !entry->is_public &&
		    publish_visible(entry, build->tenant))
			fprintf(out, "%s %s %s\n", entry->arch, entry->sha256, entry->filename);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static bool same_own(const struct publish_build *build, const char *own)
{
	size_t len = strlen(own);
	char *old = malloc(len + 1);
	int fd = build->old_dir < 0 ? -1 : openat(build->old_dir, "own", O_RDONLY | O_CLOEXEC);
	bool same = fd >= 0 && old && pread(fd, old, len + 1, 0) == (ssize_t)len &&
		    !memcmp(old, own, len);

	if (fd >= 0)
		close(fd);
	free(old);
	return same;
}

static int write_own(struct publish_build *build, const char *own)
{
	int fd = openat(build->dir, "own", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t len = strlen(own);
	ssize_t n;

	if (fd < 0)
		return failed_errno(build, -errno);
	n = write(fd, own, len);
	close(fd);
	return n == (ssize_t)len ? 0 : failed_errno(build, -ENOSPC);
}

/* The own part of one architecture: from the tree before where it is the same, else made. */
static int own_index(struct publish_build *build, const char *arch, bool same)
{
	char own[48], packed[56];

	snprintf(own, sizeof(own), "own-%s", arch);
	snprintf(packed, sizeof(packed), "%s.gz", own);
	if (same && !publish_link(build->old_dir, own, build->dir, own) &&
	    !publish_link(build->old_dir, packed, build->dir, packed))
		return 0;
	unlinkat(build->dir, own, 0);
	return write_packages(build, arch, own) || compress(build, "gzip", build->path, own) ? -1
											     : 0;
}

static int own_indices(struct publish_build *build, const char *const *arches, unsigned count)
{
	char *own = list_own(build);
	bool same;
	int result = 0;

	if (!own)
		return failed_errno(build, -ENOMEM);
	same = same_own(build, own);
	for (unsigned i = 0; i < count && !result; i++)
		result = own_index(build, arches[i], same);
	if (!result)
		result = write_own(build, own);
	free(own);
	return result;
}

/*
 * A tenant's index is the public one and, after it, its own. gzip allows members to follow each
 * other, which spares compressing the public ones again; so does xz, but apt reads the first
 * alone: there is none.
 */
static int join_index(struct publish_build *build, const char *relative, const char *arch)
{
	char packed[280], own[48], own_packed[56];

	snprintf(packed, sizeof(packed), "%s.gz", relative);
	snprintf(own, sizeof(own), "own-%s", arch);
	snprintf(own_packed, sizeof(own_packed), "%s.gz", own);
	return join(build, packed, own_packed) || join(build, relative, own) ? -1 : 0;
}

/* Of one with the same packages: its indices and signatures, and its own parts for the next time.
 */
static int share_apt(struct publish_build *build, const char *const *arches, unsigned count)
{
	char own[56];
	int err = publish_link_tree(build->like->dir, build->dir, "apt/dists");

	for (unsigned i = 0; build->own_debs && i < count && !err; i++) {
		snprintf(own, sizeof(own), "own-%s", arches[i]);
		err = publish_link(build->like->dir, own, build->dir, own);
		if (err)
			break;
		snprintf(own, sizeof(own), "own-%s.gz", arches[i]);
		err = publish_link(build->like->dir, own, build->dir, own);
	}
	if (!err && build->own_debs)
		err = publish_link(build->like->dir, "own", build->dir, "own");
	return err ? failed_errno(build, err) : 0;
}

static int write_index(struct publish_build *build, const char *arch)
{
	const struct settings_publish *settings = &build->repod->settings->publish;
	static const char *const names[] = { "", ".gz", ".xz" };
	char relative[256], directory[512], file[272];
	int err;

	snprintf(relative, sizeof(relative), "apt/dists/%s/%s/binary-%s/Packages", settings->suite,
		 settings->component, arch);
	snprintf(directory, sizeof(directory), "%s/apt/dists/%s/%s/binary-%s", build->path,
		 settings->suite, settings->component, arch);
	err = publish_make_parents(build->dir, relative);
	if (err)
		return failed_errno(build, err);
	if (!build->tenant) {
		if (write_packages(build, arch, relative))
			return -1;
		fault_point("publish-index");
		return compress(build, "gzip", directory, "Packages") ||
				       compress(build, "xz", directory, "Packages")
			       ? -1
			       : 0;
	}
	if (build->own_debs)
		return join_index(build, relative, arch);
	for (int i = 0; i < 3 && !err; i++) {
		snprintf(file, sizeof(file), "%s%s", relative, names[i]);
		err = publish_link(build->public_dir, file, build->dir, file);
	}
	return err ? failed_errno(build, err) : 0;
}

static int write_release(struct publish_build *build, const char *const *arches, unsigned count)
{
	const struct settings_publish *settings = &build->repod->settings->publish;
	static const char *const fields[] = { "Origin",	     "Label",	       "Suite",
					      "Codename",    "Components",     "Architectures",
					      "Description", "Acquire-By-Hash" };
	enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };
	char list[PUBLISH_ARCHES_MAX * 34] = "", options[FIELDS][sizeof(list) + 64], cwd[512], *why;
	const char *values[FIELDS] = { settings->origin,	  settings->origin,
				       settings->suite,		  settings->suite,
				       settings->component,	  list,
				       "software for tenant VMs", "yes" };
	const char *argv[4 + 2 * FIELDS + 5] = { FTPARCHIVE, ONLY_STRONG };
	struct spawn spawn = { argv, cwd, NULL, -1, TOOL_TIME };
	unsigned argc = 5;
	int err;

	for (unsigned i = 0; i < count; i++) {
		strcat(list, i ? " " : "");
		strcat(list, arches[i]);
	}
	for (unsigned i = 0; i < FIELDS; i++) {
		snprintf(options[i], sizeof(options[i]), "APT::FTPArchive::Release::%s=%s",
			 fields[i], values[i]);
		argv[argc++] = "-o";
		argv[argc++] = options[i];
	}
	argv[argc++] = "release";
	argv[argc++] = ".";
	snprintf(cwd, sizeof(cwd), "%s/apt/dists/%s", build->path, settings->suite);
	/* Written beside the tree first: Release must not list itself, empty. */
	spawn.output =
		openat(build->dir, "Release", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (spawn.output < 0)
		return failed_errno(build, -errno);
	err = spawn_run(&spawn, NULL, &why);
	close(spawn.output);
	if (err)
		return failed(build, why);
	snprintf(cwd, sizeof(cwd), "apt/dists/%s/Release", settings->suite);
	if (renameat(build->dir, "Release", build->dir, cwd))
		return failed_errno(build, -errno);
	return 0;
}

/* One line of Release: " HASH SIZE PATH"; links PATH to its directory's by-hash/NAME/HASH. */
static int link_by_hash(struct publish_build *build, const char *suite, const char *line,
			const char *hash_name)
{
	char hash[129], path[256], from[512], to[700], *slash;

	if (sscanf(line, " %128[0-9a-f] %*u %255s", hash, path) != 2)
		return -EBADMSG;
	snprintf(from, sizeof(from), "apt/dists/%s/%s", suite, path);
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	snprintf(to, sizeof(to), "apt/dists/%s/%s%sby-hash/%s/%s", suite, slash ? path : "",
		 slash ? "/" : "", hash_name, hash);
	return publish_link(build->dir, from, build->dir, to);
}

static int link_indices(struct publish_build *build, const char *suite)
{
	char path[160], line[512], hash_name[32] = "";
	FILE *file;
	int fd, err = 0;

	snprintf(path, sizeof(path), "apt/dists/%s/Release", suite);
	fd = openat(build->dir, path, O_RDONLY | O_CLOEXEC);
	file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return failed_errno(build, err);
	}
	while (!err && fgets(line, sizeof(line), file)) {
		if (line[0] == ' ') {
			if (*hash_name)
				err = link_by_hash(build, suite, line, hash_name);
		} else if (sscanf(line, "%31[A-Z0-9a-z]:", hash_name) != 1 ||
			   strncmp(hash_name, "SHA", 3) != 0) {
			*hash_name = '\0';
		}
	}
	fclose(file);
	return err ? failed_errno(build, err) : 0;
}

int publish_apt(struct publish_build *build)
{
	const char *suite = build->repod->settings->publish.suite, *arches[PUBLISH_ARCHES_MAX];
	unsigned count = publish_arches(build, arches);
	char cwd[512];
	int err;

	err = publish_make_parents(build->dir, "apt/pool/");
	if (err)
		return failed_errno(build, err);
	if (build->like)
		return share_apt(build, arches, count);
	if (build->own_debs && own_indices(build, arches, count))
		return -1;
	for (unsigned i = 0; i < count; i++)
		if (write_index(build, arches[i]))
			return -1;
	if (write_release(build, arches, count))
		return -1;
	if (link_indices(build, suite))
		return -1;
	snprintf(cwd, sizeof(cwd), "%s/apt/dists/%s", build->path, suite);
	fault_point("publish-sign");
	if (publish_sign(build, cwd, "Release", "InRelease", true))
		return -1;
	/*
	 * What asks for InRelease first, and for this when there is none, is every apt since 2012.
	 * Of a tenant's view it would be half of what gpg has to do.
	 */
	return build->tenant ? 0 : publish_sign(build, cwd, "Release", "Release.gpg", false);
}
