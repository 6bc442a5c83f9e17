/* SPDX-License-Identifier: BSD-2-Clause */
#include "apt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bundle_impl.h"
#include "../lib/spawn.h"
#include "definition.h"
#include "file.h"

#define UPDATE_TIME 600
#define STATUS_MAX  (256 * 1024 * 1024)
#define OUTPUT_MAX  (16 * 1024 * 1024)

/* ---- running tools ------------------------------------------------------------------------ */

/* apt finds its way out as configured, or as the environment says; spawn_run() gives it none. */
static const char *const passed_on[] = { "http_proxy", "https_proxy", "ftp_proxy", "no_proxy" };

void apt_words_add(struct apt_words *words, const char *word)
{
	if (words->count + 1 < APT_WORDS_MAX)
		words->list[words->count++] = word;
}

void apt_words_begin(struct apt_words *words)
{
	words->count = 0;
	memset(words->list, 0, sizeof(words->list));
	apt_words_add(words, "env");
	for (size_t i = 0; i < 4; i++) {
		const char *value = getenv(passed_on[i]);

		if (value && snprintf(words->environment[i], sizeof(words->environment[i]), "%s=%s",
				      passed_on[i], value) < (int)sizeof(words->environment[i]))
			apt_words_add(words, words->environment[i]);
	}
}

void apt_begin(struct apt_words *words, const char *tool)
{
	apt_words_begin(words);
	apt_words_add(words, tool);
	apt_words_add(words, "-c");
	apt_words_add(words, "apt.conf");
}

int apt_tool(struct apt *apt, struct apt_words *words, unsigned timeout, char **ret_text,
	     const char *what, struct bundle_error *error)
{
	int fd = memfd_create("output", MFD_CLOEXEC), err;
	struct spawn spawn = { words->list, apt->path, NULL, fd, timeout };
	char *why = NULL, path[32];
	size_t len;

	if (fd < 0)
		return bundle_failed(error, -errno, "%s: %s", what, strerror(errno));
	err = spawn_run(&spawn, NULL, &why);
	if (err)
		bundle_failed(error, err, "%s: %s", what, why ? why : "out of memory");
	free(why);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!err && ret_text && (err = file_read_regular(path, OUTPUT_MAX, ret_text, &len)))
		bundle_failed(error, err, "%s: what it said cannot be read", what);
	close(fd);
	return err;
}

int apt_run(struct apt *apt, struct apt_words *words, unsigned timeout, char **ret_text,
	    const char *what, struct bundle_error *error)
{
	int err = apt_tool(apt, words, timeout, ret_text, what, error);
	char text[sizeof(error->text)], *line = strstr(error->text, "E: ");

	if (!err)
		return 0;
	/* One line: apt's first "E:" says what it is about. */
	if (line) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(text, sizeof(text), "%.120s: %.380s", what, line);
		memcpy(error->text, text, sizeof(text));
	}
	return err;
}

/* ---- its directory ------------------------------------------------------------------------ */

static int put_file(struct apt *apt, const char *name, const char *text, struct bundle_error *error)
{
	int err = file_write_at(apt->dir, name, text, strlen(text), 0644);

	return err ? bundle_failed(error, err, "%s/%s: %s", apt->path, name, strerror(-err)) : 0;
}

/*
 * Read after the machine's configuration, whose proxies and preferences count and whose hooks would
 * act on the machine. Sources without a Release, as ours, are told apart by trusted=yes.
 */
static int write_config(struct apt *apt, struct bundle_error *error)
{
	const char *path = apt->path, *arch = apt->definition->architecture;
	char *text;
	int err;

	if (asprintf(&text,
		     "#clear APT::Update;\n#clear APT::Architectures;\n#clear DPkg::Pre-Invoke;\n"
		     "#clear DPkg::Post-Invoke;\n#clear DPkg::Pre-Install-Pkgs;\n"
		     "APT::Architecture \"%s\";\nAPT::Architectures { \"%s\"; };\n"
		     "APT::Sandbox::User \"root\";\nAPT::Get::Remove \"false\";\n"
		     "APT::Get::Assume-Yes \"true\";\n"
		     "Acquire::Languages \"none\";\nAcquire::Retries \"3\";\n"
		     "Debug::NoLocking \"true\";\n"
		     "Dir::State \"%s\";\nDir::State::lists \"%s/lists\";\n"
		     "Dir::State::status \"%s\";\n"
		     "Dir::State::extended_states \"%s/extended_states\";\n"
		     "Dir::Cache \"%s/cache\";\nDir::Log \"%s/log\";\n"
		     "Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts "
		     "\"%s/sources.d\";\n",
		     arch, arch, path, path, apt->status, path, path, path, path) < 0)
		return bundle_failed(error, -ENOMEM, "out of memory");
	err = put_file(apt, "apt.conf", text, error);
	free(text);
	return err;
}

/* This machine's sources, as they are, beside ours. */
static int copy_sources(struct apt *apt, struct bundle_error *error)
{
	DIR *parts;
	struct dirent *entry;
	char to[300];
	int err = 0, dir;

	if (!access("/etc/apt/sources.list", R_OK))
		err = file_link(AT_FDCWD, "/etc/apt/sources.list", apt->dir,
				"sources.d/machine.list");
	dir = open("/etc/apt/sources.list.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	parts = dir < 0 ? NULL : fdopendir(dir);
	while (!err && parts && (entry = readdir(parts))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(to, sizeof(to), "sources.d/%s", entry->d_name);
		err = file_link(dirfd(parts), entry->d_name, apt->dir, to);
	}
	if (parts)
		closedir(parts);
	return err ? bundle_failed(error, err, "apt's sources: %s", strerror(-err)) : 0;
}

/* A directory of .debs becomes a source: links, and an index by apt-ftparchive. */
static int add_debs(struct apt *apt, unsigned number, struct bundle_error *error)
{
	const char *from = apt->definition->debs[number];
	int dir = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *list = dir < 0 ? NULL : fdopendir(dir);
	struct apt_words words;
	struct dirent *entry;
	char folder[40], to[400], line[4200], *index = NULL;
	size_t count = 0;

	if (!list)
		return bundle_failed(error, -errno, "%s: %s", from, strerror(errno));
	snprintf(folder, sizeof(folder), "local-%u", number);
	if (mkdirat(apt->dir, folder, 0755))
		err = -errno;
	while (!err && (entry = readdir(list))) {
		size_t len = strlen(entry->d_name);

		if (len < 5 || strcmp(entry->d_name + len - 4, ".deb") != 0)
			continue;
		snprintf(to, sizeof(to), "%s/%s", folder, entry->d_name);
		err = file_link(dirfd(list), entry->d_name, apt->dir, to);
		count++;
	}
	closedir(list);
	if (!err && !count)
		return bundle_failed(error, -ENOENT, "%s holds no .deb", from);
	if (err)
		return bundle_failed(error, err, "%s: %s", from, strerror(-err));
	apt_words_begin(&words);
	apt_words_add(&words, "apt-ftparchive");
	apt_words_add(&words, "packages");
	apt_words_add(&words, folder);
	err = apt_tool(apt, &words, APT_TOOL_TIME, &index, from, error);
	if (err)
		return err;
	err = put_file(apt, "Packages", index, error);
	free(index);
	snprintf(to, sizeof(to), "%s/Packages", folder);
	if (!err && renameat(apt->dir, "Packages", apt->dir, to))
		err = bundle_failed(error, -errno, "%s: %s", to, strerror(errno));
	/* The index names files from the directory above. copy: puts them among the archives. */
	snprintf(line, sizeof(line), "deb [trusted=yes] copy:%s %s/\n", apt->path, folder);
	snprintf(to, sizeof(to), "sources.d/%s.list", folder);
	return err ? err : put_file(apt, to, line, error);
}

static int put_status(struct apt *apt, struct bundle_error *error)
{
	const char *from = apt->definition->status;
	char *text = NULL;
	size_t len = 0;
	int err = 0;

	if (!strcmp(from, "machine"))
		from = "/var/lib/dpkg/status";
	if (strcmp(from, "empty") != 0)
		err = file_read_regular(from, STATUS_MAX, &text, &len);
	if (!err)
		err = file_write_at(apt->dir, "status", text ? text : "", len, 0644);
	free(text);
	return err ? bundle_failed(error, err, "%s: %s", from, strerror(-err)) : 0;
}

static int update(struct apt *apt, struct bundle_error *error)
{
	struct apt_words words;

	apt_begin(&words, "apt-get");
	apt_words_add(&words, "-qq");
	apt_words_add(&words, "--error-on=any");
	apt_words_add(&words, "update");
	return apt_run(apt, &words, UPDATE_TIME, NULL, "reading package lists", error);
}

static int make_folders(struct apt *apt, const char *work, struct bundle_error *error)
{
	static const char *const folders[] = { "lists/partial/",    "cache/",
					       "archives/partial/", "nothing/partial/",
					       "sources.d/",	    "log/" };
	int err = 0;

	if (snprintf(apt->path, sizeof(apt->path), "%s/apt", work) >= (int)sizeof(apt->path))
		return bundle_failed(error, -ENAMETOOLONG, "%s: too long", work);
	snprintf(apt->status, sizeof(apt->status), "%s/status", apt->path);
	if (mkdir(apt->path, 0755) && errno != EEXIST)
		return bundle_failed(error, -errno, "%s: %s", apt->path, strerror(errno));
	apt->dir = open(apt->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (apt->dir < 0)
		return bundle_failed(error, -errno, "%s: %s", apt->path, strerror(errno));
	for (size_t i = 0; !err && i < sizeof(folders) / sizeof(folders[0]); i++)
		err = file_make_parents(apt->dir, folders[i]);
	return err ? bundle_failed(error, err, "%s: %s", apt->path, strerror(-err)) : 0;
}

int apt_open(const struct definition *definition, const char *work, struct apt **ret_apt,
	     struct bundle_error *error)
{
	struct apt *apt = calloc(1, sizeof(*apt));
	int err;

	if (!apt)
		return bundle_failed(error, -ENOMEM, "out of memory");
	apt->dir = -1;
	apt->definition = definition;
	err = make_folders(apt, work, error);
	if (!err)
		err = put_status(apt, error);
	if (!err)
		err = write_config(apt, error);
	if (!err && definition->machine_sources)
		err = copy_sources(apt, error);
	for (unsigned i = 0; !err && i < definition->debs_count; i++)
		err = add_debs(apt, i, error);
	if (!err)
		err = update(apt, error);
	if (err)
		apt_close(apt);
	else
		*ret_apt = apt;
	return err;
}

void apt_close(struct apt *apt)
{
	if (apt && apt->dir >= 0)
		close(apt->dir);
	free(apt);
}
