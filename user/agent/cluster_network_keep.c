/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the network was before a scheme was tried: the content of our files in networkd's directory,
 * kept in the journal until the new scheme holds, so that an agent that is killed in between can
 * still go back to it and not only to no scheme at all.
 */
#include "cluster.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/file.h"

#define OURS	 NETWORK_DIRECTORY "/10-sluice-*"
#define WHOLE	 "*" /* all of them are kept */
#define FILE_MAX (64 * 1024)

/* Names of what is back, WHOLE when what was new is gone; all_back: so is all. Until the journal
 * knows it. */
static json_t *back;
static bool all_back;

static void forget_back(void)
{
	json_decref(back);
	back = NULL;
	all_back = false;
}

static int each_file(int (*each)(const char *path, void *arg), void *arg)
{
	glob_t found;
	int err = 0, status = glob(OURS, 0, NULL, &found);

	if (status == GLOB_NOMATCH)
		return 0;
	if (status)
		return status == GLOB_NOSPACE ? -ENOMEM : -EIO;
	for (size_t i = 0; i < found.gl_pathc && !err; i++)
		err = each(found.gl_pathv[i], arg);
	globfree(&found);
	return err;
}

static int keep_one(const char *path, void *arg)
{
	char *text = NULL;
	size_t len = 0;
	int err = file_read(path, FILE_MAX, &text, &len);

	if (!err)
		err = journal_add(arg, DESIRED_NETWORK, NETWORK_KEPT, path, text, len);
	free(text);
	return err;
}

int network_keep(struct node *node)
{
	int err = all_back ? network_let_go(node) : 0;

	if (err)
		return err;
	forget_back();
	/* Tried before and cut short: what is there now is not what was before. */
	if (network_kept(node))
		return 0;
	err = each_file(keep_one, node);
	return err ? err : journal_add(node, DESIRED_NETWORK, NETWORK_KEPT, WHOLE, "", 0);
}

bool network_kept(struct node *node)
{
	return journal_has(node, DESIRED_NETWORK, NETWORK_KEPT, WHOLE);
}

int network_let_go(struct node *node)
{
	int err = journal_drop(node, DESIRED_NETWORK, NETWORK_KEPT);

	if (!err)
		forget_back();
	return err;
}

static int drop_new(const char *path, void *arg)
{
	if (journal_has(arg, DESIRED_NETWORK, NETWORK_KEPT, path))
		return 0;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

static int write_kept(struct node *node, const char *name, const void *value, size_t len, void *arg)
{
	int err;

	if (json_object_get(back, name))
		return 0;
	err = strcmp(name, WHOLE) ? file_write(name, value, len, 0644) : each_file(drop_new, node);
	if (!err)
		json_object_set_new(back, name, json_true());
	return err;
}

int network_take_back(struct node *node)
{
	int err;

	/* Not all of them are kept: none was touched, and those that are not kept are not new. */
	if (!network_kept(node))
		return 0;
	if (!back)
		back = json_object();
	/* WHOLE is the newest, and so the first. */
	err = journal_undo(node, DESIRED_NETWORK, NETWORK_KEPT, write_kept, NULL);
	all_back = !err;
	return err;
}
