/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files from templates. What was there before is in the journal before it is replaced: "absent",
 * or "MODE UID GID\n" and the content.
 */
#include "cluster.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fault.h"
#include "../lib/file.h"

#define FILE_MAX (4 * 1024 * 1024)
#define KIND	 "file"

/* Remembers a file as it is now, unless it was remembered before. */
static int remember(struct node *node, const char *item, const char *path)
{
	char *content = NULL, *value = NULL;
	struct stat status;
	size_t len = 0;
	int head, err;

	if (journal_has(node, item, KIND, path))
		return 0;
	if (lstat(path, &status))
		return errno == ENOENT || errno == ENOTDIR
			       ? journal_add(node, item, KIND, path, "absent", 6)
			       : -errno;
	if (!S_ISREG(status.st_mode))
		return -EISDIR;
	err = file_read(path, FILE_MAX, &content, &len);
	if (err)
		return err;
	value = malloc(len + 64);
	err = value ? 0 : -ENOMEM;
	if (!err) {
		head = sprintf(value, "%o %u %u\n", status.st_mode & 07777, status.st_uid,
			       status.st_gid);
		memcpy(value + head, content, len);
		err = journal_add(node, item, KIND, path, value, (size_t)head + len);
	}
	free(value);
	free(content);
	return err;
}

static int find_owner(const char *owner, const char *group, uid_t *ret_uid, gid_t *ret_gid)
{
	struct passwd *user = getpwnam(owner);
	struct group *entry = getgrnam(group);

	if (!user || !entry)
		return -ENOENT;
	*ret_uid = user->pw_uid;
	*ret_gid = entry->gr_gid;
	return 0;
}

static int make_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[CLUSTER_PATH_MAX];

	if (slash == path)
		return 0;
	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
	return file_make_directories(directory, 0755);
}

/* Is it as it should be? Then it is not touched: its time, and who watches it, stay. */
static bool same(const char *path, const char *text, unsigned mode, uid_t uid, gid_t gid)
{
	struct stat status;
	char *have = NULL;
	bool equal = false;

	if (lstat(path, &status) || !S_ISREG(status.st_mode) || (status.st_mode & 07777) != mode ||
	    status.st_uid != uid || status.st_gid != gid)
		return false;
	if (!file_read(path, FILE_MAX, &have, NULL))
		equal = !strcmp(have, text);
	free(have);
	return equal;
}

int config_put(struct node *node, const char *item, const char *path, const char *text,
	       unsigned mode, const char *owner, const char *group, struct outcome *outcome)
{
	uid_t uid;
	gid_t gid;
	int err = find_owner(owner, group, &uid, &gid);

	if (err)
		return outcome_fail(outcome, err, "%s: there is no user %s or no group %s", path,
				    owner, group);
	if (same(path, text, mode, uid, gid))
		return remember(node, item, path);
	err = remember(node, item, path);
	if (!err)
		err = make_parent(path);
	fault_point("config-noted");
	if (!err)
		err = file_write_as(path, text, strlen(text), mode, uid, gid);
	fault_point("config-written");
	return err ? outcome_fail(outcome, err, "%s: %s", path, strerror(-err)) : 0;
}

const char *work_variable(const char *name, void *arg)
{
	const struct work *work = arg;
	const json_t *value = json_object_get(json_object_get(work->document, "variables"), name);

	if (value)
		return json_string_value(value);
	for (size_t i = 0; work->item && i < work->item->variables_count; i++)
		if (!strcmp(work->item->variables[i].name, name))
			return work->item->variables[i].value;
	return NULL;
}

int config_write(struct work *work, enum bundle_when when)
{
	struct bundle_error error;
	char *text;
	int err = 0;

	for (size_t i = 0; !err && i < work->item->configs_count; i++) {
		const struct bundle_config *config = &work->item->configs[i];

		if (config->when != when)
			continue;
		err = bundle_expand(config->text, work_variable, work, &text, &error);
		if (err)
			return outcome_fail(&work->outcome, err, "%s: %s", config->path,
					    error.text);
		err = config_put(work->node, work->item->name, config->path, text, config->mode,
				 config->owner, config->group, &work->outcome);
		free(text);
	}
	return err;
}

static int restore(struct node *node, const char *path, const void *value, size_t len, void *arg)
{
	struct outcome *outcome = arg;
	const char *text = value, *body = memchr(text, '\n', len);
	unsigned mode, uid, gid;
	int err = 0;

	if (len == 6 && !memcmp(text, "absent", 6))
		err = unlink(path) && errno != ENOENT && errno != ENOTDIR ? -errno : 0;
	else if (!body || sscanf(text, "%o %u %u", &mode, &uid, &gid) != 3)
		err = -EBADMSG;
	else if (!(err = make_parent(path)))
		err = file_write_as(path, body + 1, len - (size_t)(body + 1 - text), mode, uid,
				    gid);
	return err ? outcome_fail(outcome, err, "%s: %s", path, strerror(-err)) : 0;
}

int config_restore(struct node *node, const char *item, struct outcome *outcome)
{
	int err = journal_undo(node, item, KIND, restore, outcome);

	fault_point("config-restored");
	return err ? err : journal_drop(node, item, KIND);
}
