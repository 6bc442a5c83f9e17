/* SPDX-License-Identifier: BSD-2-Clause */
#include "closure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bundle_impl.h"
#include "apt.h"
#include "definition.h"

#define DOWNLOAD_TIME 7200

static void begin_install(struct apt *apt, struct apt_words *words,
			  const struct closure_result *result, const struct definition_item *item,
			  const char *mode, const char *archives)
{
	apt_begin(words, "apt-get");
	apt_words_add(words, "-qq");
	apt_words_add(words, item->recommends ? "--install-recommends" : "--no-install-recommends");
	apt_words_add(words, "-o");
	apt_words_add(words, archives);
	apt_words_add(words, mode);
	apt_words_add(words, "install");
	for (size_t i = 0; i < result->install_count; i++)
		apt_words_add(words, result->install[i]);
}

/* "name" becomes "name=version" with the version that apt would take. */
static int find_candidate(struct apt *apt, const char *name, char **ret_request,
			  struct bundle_error *error)
{
	char *text = NULL, *line, version[NAME_MAX_LEN + 1];
	struct apt_words words;
	int err;

	if (strchr(name, '=')) {
		*ret_request = strdup(name);
		return *ret_request ? 0 : bundle_failed(error, -ENOMEM, "out of memory");
	}
	if (!name_package_valid(name))
		return bundle_failed(error, -EINVAL, "'%s' is no package's name", name);
	apt_begin(&words, "apt-cache");
	apt_words_add(&words, "policy");
	apt_words_add(&words, name);
	err = apt_run(apt, &words, APT_TOOL_TIME, &text, name, error);
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

static int list_packages(struct apt *apt, const struct definition_item *item,
			 struct closure_result *result, struct bundle_error *error)
{
	char *text = NULL, *line, *next, option[sizeof(apt->path) + 64];
	struct apt_words words;
	size_t capacity = 0;
	int err;

	/* An empty directory: what is downloaded already would be left out. */
	snprintf(option, sizeof(option), "Dir::Cache::archives=%s/nothing", apt->path);
	begin_install(apt, &words, result, item, "--print-uris", option);
	err = apt_run(apt, &words, APT_TOOL_TIME, &text, item->name, error);
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

static int download(struct apt *apt, const struct definition_item *item,
		    struct closure_result *result, struct bundle_error *error)
{
	char option[sizeof(apt->path) + 64];
	struct apt_words words;

	if (!result->count)
		return 0;
	snprintf(option, sizeof(option), "Dir::Cache::archives=%s/archives", apt->path);
	begin_install(apt, &words, result, item, "--download-only", option);
	return apt_run(apt, &words, DOWNLOAD_TIME, NULL, item->name, error);
}

static int describe(struct apt *apt, struct closure_package *package, struct bundle_error *error)
{
	char *text = NULL, *path, name[NAME_MAX_LEN + 1], version[NAME_MAX_LEN + 1], arch[33];
	unsigned long long installed = 0;
	struct apt_words words;
	int err;

	apt_words_begin(&words);
	apt_words_add(&words, "dpkg-deb");
	apt_words_add(&words,
		      "--showformat=${Package} ${Version} ${Architecture} ${Installed-Size}\\n");
	apt_words_add(&words, "-W");
	apt_words_add(&words, package->path);
	err = apt_tool(apt, &words, APT_TOOL_TIME, &text, package->path, error);
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
	if (asprintf(&path, "%s/%s", apt->path, package->path) < 0)
		path = NULL;
	free(package->path);
	package->path = path;
	if (!path || !package->name || !package->version || !package->architecture)
		return bundle_failed(error, -ENOMEM, "out of memory");
	return 0;
}

int closure_resolve(struct apt *apt, const struct definition_item *item,
		    struct closure_result *ret_result, struct bundle_error *error)
{
	struct closure_result result = { 0 };
	int err = 0;

	result.install = calloc(item->packages_count, sizeof(char *));
	if (!result.install)
		err = bundle_failed(error, -ENOMEM, "out of memory");
	for (unsigned i = 0; !err && i < item->packages_count; i++) {
		err = find_candidate(apt, item->packages[i], &result.install[i], error);
		result.install_count += !err;
	}
	if (!err)
		err = list_packages(apt, item, &result, error);
	if (!err)
		err = download(apt, item, &result, error);
	for (size_t i = 0; !err && i < result.count; i++)
		err = describe(apt, &result.packages[i], error);
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
