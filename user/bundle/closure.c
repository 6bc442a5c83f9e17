/* SPDX-License-Identifier: BSD-2-Clause */
#include "closure.h"

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

#define UPDATE_TIME   600
#define DOWNLOAD_TIME 7200
#define TOOL_TIME     300
#define STATUS_MAX    (256 * 1024 * 1024)
#define OUTPUT_MAX    (16 * 1024 * 1024)
#define WORDS_MAX     (BUNDLE_LIST_MAX + 32)

struct closure {
	const struct definition *definition;
	char apt[4096 - 256]; /* WORK/apt */
	char status[4096];
	int dir; /* of apt */
};

const char *closure_status(const struct closure *closure)
{
	return closure->status;
}

/* ---- running tools -----------------------------------------------------------------------------
 */

/* apt finds its way out as configured, or as the environment says; spawn_run() gives it none. */
static const char *const passed_on[] = { "http_proxy", "https_proxy", "ftp_proxy", "no_proxy" };

struct words {
	const char *list[WORDS_MAX];
	unsigned count;
	char environment[4][1024];
};

static void add(struct words *words, const char *word)
{
	if (words->count + 1 < WORDS_MAX)
		words->list[words->count++] = word;
}

static void begin(struct words *words)
{
	words->count = 0;
	memset(words->list, 0, sizeof(words->list));
	add(words, "env");
	for (size_t i = 0; i < 4; i++) {
		const char *value = getenv(passed_on[i]);

		if (value && snprintf(words->environment[i], sizeof(words->environment[i]), "%s=%s",
				      passed_on[i], value) < (int)sizeof(words->environment[i]))
			add(words, words->environment[i]);
	}
}

/* Runs, with the whole of stdout in *ret_text (may be NULL). */
static int run(struct words *words, const char *cwd, unsigned timeout, char **ret_text,
	       const char *what, struct bundle_error *error)
{
	int fd = memfd_create("output", MFD_CLOEXEC), err;
	struct spawn spawn = { words->list, cwd, NULL, fd, timeout };
	char *why = NULL, path[32];
	size_t len;

	if (fd < 0)
		return bundle_failed(error, -errno, "%s: %s", what, strerror(errno));
	err = spawn_run(&spawn, NULL, &why);
	if (err)
		bundle_failed(error, err, "%s: %s", what, why ? why : "out of memory");
	free(why);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!err && ret_text && (err = file_read(path, OUTPUT_MAX, ret_text, &len)))
		bundle_failed(error, err, "%s: what it said cannot be read", what);
	close(fd);
	return err;
}

static int run_apt(struct closure *closure, struct words *words, unsigned timeout, char **ret_text,
		   const char *what, struct bundle_error *error)
{
	int err = run(words, closure->apt, timeout, ret_text, what, error);
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

/* ---- the private apt
 * ----------------------------------------------------------------------------- */

static int put_file(struct closure *closure, const char *name, const char *text,
		    struct bundle_error *error)
{
	int err = file_write_at(closure->dir, name, text, strlen(text), 0644);

	return err ? bundle_failed(error, err, "%s/%s: %s", closure->apt, name, strerror(-err)) : 0;
}

/*
 * Read after the machine's configuration, whose proxies and preferences count and whose hooks would
 * act on the machine. Sources without a Release, as ours, are told apart by trusted=yes.
 */
static int write_config(struct closure *closure, struct bundle_error *error)
{
	const char *apt = closure->apt, *arch = closure->definition->architecture;
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
		     arch, arch, apt, apt, closure->status, apt, apt, apt, apt) < 0)
		return bundle_failed(error, -ENOMEM, "out of memory");
	err = put_file(closure, "apt.conf", text, error);
	free(text);
	return err;
}

static void begin_apt(struct words *words, const char *tool)
{
	begin(words);
	add(words, tool);
	add(words, "-c");
	add(words, "apt.conf");
}

/* This machine's sources, as they are, beside ours. */
static int copy_sources(struct closure *closure, struct bundle_error *error)
{
	DIR *parts;
	struct dirent *entry;
	char to[300];
	int err = 0, dir;

	if (!access("/etc/apt/sources.list", R_OK))
		err = file_link(AT_FDCWD, "/etc/apt/sources.list", closure->dir,
				"sources.d/machine.list");
	dir = open("/etc/apt/sources.list.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	parts = dir < 0 ? NULL : fdopendir(dir);
	while (!err && parts && (entry = readdir(parts))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(to, sizeof(to), "sources.d/%s", entry->d_name);
		err = file_link(dirfd(parts), entry->d_name, closure->dir, to);
	}
	if (parts)
		closedir(parts);
	return err ? bundle_failed(error, err, "apt's sources: %s", strerror(-err)) : 0;
}

/* A directory of .debs becomes a source: links, and an index by apt-ftparchive. */
static int add_debs(struct closure *closure, unsigned number, struct bundle_error *error)
{
	const char *from = closure->definition->debs[number];
	int dir = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *list = dir < 0 ? NULL : fdopendir(dir);
	struct words words;
	struct dirent *entry;
	char folder[40], to[400], line[4200], *index = NULL;
	size_t count = 0;

	if (!list)
		return bundle_failed(error, -errno, "%s: %s", from, strerror(errno));
	snprintf(folder, sizeof(folder), "local-%u", number);
	if (mkdirat(closure->dir, folder, 0755))
		err = -errno;
	while (!err && (entry = readdir(list))) {
		size_t len = strlen(entry->d_name);

		if (len < 5 || strcmp(entry->d_name + len - 4, ".deb") != 0)
			continue;
		snprintf(to, sizeof(to), "%s/%s", folder, entry->d_name);
		err = file_link(dirfd(list), entry->d_name, closure->dir, to);
		count++;
	}
	closedir(list);
	if (!err && !count)
		return bundle_failed(error, -ENOENT, "%s holds no .deb", from);
	if (err)
		return bundle_failed(error, err, "%s: %s", from, strerror(-err));
	begin(&words);
	add(&words, "apt-ftparchive");
	add(&words, "packages");
	add(&words, folder);
	err = run(&words, closure->apt, TOOL_TIME, &index, from, error);
	if (err)
		return err;
	err = put_file(closure, "Packages", index, error);
	free(index);
	snprintf(to, sizeof(to), "%s/Packages", folder);
	if (!err && renameat(closure->dir, "Packages", closure->dir, to))
		err = bundle_failed(error, -errno, "%s: %s", to, strerror(errno));
	/* The index names files from the directory above. copy: puts them among the archives. */
	snprintf(line, sizeof(line), "deb [trusted=yes] copy:%s %s/\n", closure->apt, folder);
	snprintf(to, sizeof(to), "sources.d/%s.list", folder);
	return err ? err : put_file(closure, to, line, error);
}

static int put_status(struct closure *closure, struct bundle_error *error)
{
	const char *from = closure->definition->status;
	char *text = NULL;
	size_t len = 0;
	int err = 0;

	if (!strcmp(from, "machine"))
		from = "/var/lib/dpkg/status";
	if (strcmp(from, "empty") != 0)
		err = file_read(from, STATUS_MAX, &text, &len);
	if (!err)
		err = file_write_at(closure->dir, "status", text ? text : "", len, 0644);
	free(text);
	return err ? bundle_failed(error, err, "%s: %s", from, strerror(-err)) : 0;
}

static int update(struct closure *closure, struct bundle_error *error)
{
	struct words words;

	begin_apt(&words, "apt-get");
	add(&words, "-qq");
	add(&words, "--error-on=any");
	add(&words, "update");
	return run_apt(closure, &words, UPDATE_TIME, NULL, "reading package lists", error);
}

static int make_folders(struct closure *closure, const char *work, struct bundle_error *error)
{
	static const char *const folders[] = { "lists/partial/",    "cache/",
					       "archives/partial/", "nothing/partial/",
					       "sources.d/",	    "log/" };
	int err = 0;

	if (snprintf(closure->apt, sizeof(closure->apt), "%s/apt", work) >=
	    (int)sizeof(closure->apt))
		return bundle_failed(error, -ENAMETOOLONG, "%s: too long", work);
	snprintf(closure->status, sizeof(closure->status), "%s/status", closure->apt);
	if (mkdir(closure->apt, 0755) && errno != EEXIST)
		return bundle_failed(error, -errno, "%s: %s", closure->apt, strerror(errno));
	closure->dir = open(closure->apt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (closure->dir < 0)
		return bundle_failed(error, -errno, "%s: %s", closure->apt, strerror(errno));
	for (size_t i = 0; !err && i < sizeof(folders) / sizeof(folders[0]); i++)
		err = file_make_parents(closure->dir, folders[i]);
	return err ? bundle_failed(error, err, "%s: %s", closure->apt, strerror(-err)) : 0;
}

int closure_open(const struct definition *definition, const char *work,
		 struct closure **ret_closure, struct bundle_error *error)
{
	struct closure *closure = calloc(1, sizeof(*closure));
	int err;

	if (!closure)
		return bundle_failed(error, -ENOMEM, "out of memory");
	closure->dir = -1;
	closure->definition = definition;
	err = make_folders(closure, work, error);
	if (!err)
		err = put_status(closure, error);
	if (!err)
		err = write_config(closure, error);
	if (!err && definition->machine_sources)
		err = copy_sources(closure, error);
	for (unsigned i = 0; !err && i < definition->debs_count; i++)
		err = add_debs(closure, i, error);
	if (!err)
		err = update(closure, error);
	if (err)
		closure_close(closure);
	else
		*ret_closure = closure;
	return err;
}

void closure_close(struct closure *closure)
{
	if (closure && closure->dir >= 0)
		close(closure->dir);
	free(closure);
}

/* ---- one item
 * -------------------------------------------------------------------------------------- */

static void begin_install(struct closure *closure, struct words *words,
			  const struct closure_result *result, const struct definition_item *item,
			  const char *mode, const char *archives)
{
	begin_apt(words, "apt-get");
	add(words, "-qq");
	add(words, item->recommends ? "--install-recommends" : "--no-install-recommends");
	add(words, "-o");
	add(words, archives);
	add(words, mode);
	add(words, "install");
	for (size_t i = 0; i < result->install_count; i++)
		add(words, result->install[i]);
}

/* "name" becomes "name=version" with the version that apt would take. */
static int find_candidate(struct closure *closure, const char *name, char **ret_request,
			  struct bundle_error *error)
{
	char *text = NULL, *line, version[NAME_MAX_LEN + 1];
	struct words words;
	int err;

	if (strchr(name, '=')) {
		*ret_request = strdup(name);
		return *ret_request ? 0 : bundle_failed(error, -ENOMEM, "out of memory");
	}
	if (!name_package_valid(name))
		return bundle_failed(error, -EINVAL, "'%s' is no package's name", name);
	begin_apt(&words, "apt-cache");
	add(&words, "policy");
	add(&words, name);
	err = run_apt(closure, &words, TOOL_TIME, &text, name, error);
	if (err)
		return err;
	line = strstr(text, "\n  Candidate: ");
	if (!line || sscanf(line, "\n  Candidate: %200s", version) != 1 || version[0] == '(')
		err = bundle_failed(error, -ENOENT,
				    "no source has a package '%s' (a virtual one has to be named "
				    "by one that provides it)",
				    name);
	free(text);
	if (!err && asprintf(ret_request, "%s=%s", name, version) < 0)
		err = bundle_failed(error, -ENOMEM, "out of memory");
	return err;
}

/* One line of --print-uris: 'URI' FILENAME SIZE HASH. */
static int take_line(struct closure_result *result, const char *line, size_t *capacity)
{
	char filename[256];
	const char *end = strchr(line + 1, '\'');
	struct closure_package *more;

	if (!end || sscanf(end + 1, " %255s", filename) != 1 || strchr(filename, '/'))
		return -EBADMSG;
	if (result->count == *capacity) {
		*capacity = *capacity ? *capacity * 2 : 64;
		more = realloc(result->packages, *capacity * sizeof(*more));
		if (!more)
			return -ENOMEM;
		result->packages = more;
	}
	memset(&result->packages[result->count], 0, sizeof(*more));
	if (asprintf(&result->packages[result->count].path, "archives/%s", filename) < 0)
		return -ENOMEM;
	result->count++;
	return 0;
}

static int list_packages(struct closure *closure, const struct definition_item *item,
			 struct closure_result *result, struct bundle_error *error)
{
	char *text = NULL, *line, *next, option[sizeof(closure->apt) + 64];
	struct words words;
	size_t capacity = 0;
	int err;

	/* An empty directory: what is downloaded already would be left out. */
	snprintf(option, sizeof(option), "Dir::Cache::archives=%s/nothing", closure->apt);
	begin_install(closure, &words, result, item, "--print-uris", option);
	err = run_apt(closure, &words, TOOL_TIME, &text, item->name, error);
	for (line = text; !err && line && *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (*line == '\'')
			err = take_line(result, line, &capacity);
		if (err)
			bundle_failed(error, err, "%s: apt-get --print-uris: %.200s", item->name,
				      err == -ENOMEM ? "out of memory" : line);
	}
	free(text);
	return err;
}

static int download(struct closure *closure, const struct definition_item *item,
		    struct closure_result *result, struct bundle_error *error)
{
	char option[sizeof(closure->apt) + 64];
	struct words words;

	if (!result->count)
		return 0;
	snprintf(option, sizeof(option), "Dir::Cache::archives=%s/archives", closure->apt);
	begin_install(closure, &words, result, item, "--download-only", option);
	return run_apt(closure, &words, DOWNLOAD_TIME, NULL, item->name, error);
}

static int describe(struct closure *closure, struct closure_package *package,
		    struct bundle_error *error)
{
	char *text = NULL, *path, name[NAME_MAX_LEN + 1], version[NAME_MAX_LEN + 1], arch[33];
	unsigned long long installed = 0;
	struct words words;
	int err;

	begin(&words);
	add(&words, "dpkg-deb");
	add(&words, "--showformat=${Package} ${Version} ${Architecture} ${Installed-Size}\\n");
	add(&words, "-W");
	add(&words, package->path);
	err = run(&words, closure->apt, TOOL_TIME, &text, package->path, error);
	if (err)
		return err;
	if (sscanf(text, "%200s %200s %32s %llu", name, version, arch, &installed) < 3)
		err = bundle_failed(error, -EBADMSG, "%s: no package", package->path);
	free(text);
	if (err)
		return err;
	package->name = strdup(name);
	package->version = strdup(version);
	package->architecture = strdup(arch);
	package->installed = installed * 1024;
	if (asprintf(&path, "%s/%s", closure->apt, package->path) < 0)
		path = NULL;
	free(package->path);
	package->path = path;
	if (!path || !package->name || !package->version || !package->architecture)
		return bundle_failed(error, -ENOMEM, "out of memory");
	return 0;
}

int closure_resolve(struct closure *closure, const struct definition_item *item,
		    struct closure_result *ret_result, struct bundle_error *error)
{
	struct closure_result result = { 0 };
	int err = 0;

	result.install = calloc(item->packages_count, sizeof(char *));
	if (!result.install)
		err = bundle_failed(error, -ENOMEM, "out of memory");
	for (unsigned i = 0; !err && i < item->packages_count; i++) {
		err = find_candidate(closure, item->packages[i], &result.install[i], error);
		result.install_count += !err;
	}
	if (!err)
		err = list_packages(closure, item, &result, error);
	if (!err)
		err = download(closure, item, &result, error);
	for (size_t i = 0; !err && i < result.count; i++)
		err = describe(closure, &result.packages[i], error);
	if (err)
		closure_result_free(&result);
	else
		*ret_result = result;
	return err;
}

void closure_result_free(struct closure_result *result)
{
	for (size_t i = 0; i < result->count; i++) {
		free(result->packages[i].name);
		free(result->packages[i].version);
		free(result->packages[i].architecture);
		free(result->packages[i].path);
	}
	free(result->packages);
	for (size_t i = 0; i < result->install_count; i++)
		free(result->install[i]);
	free(result->install);
	memset(result, 0, sizeof(*result));
}
