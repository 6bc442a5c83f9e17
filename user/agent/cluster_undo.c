/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes an item away: its own steps, its payload, its files, in the reverse order of installing.
 * What cannot be undone is said: a package that was there in another version stays as it is.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fault.h"
#include "../lib/log.h"

struct kept {
	char text[200];
	size_t len;
};

static int add_kept(struct node *node, const char *name, const void *value, size_t len, void *arg)
{
	struct kept *kept = arg;

	if (kept->len + strlen(name) + len + 8 < sizeof(kept->text))
		kept->len +=
			(size_t)sprintf(kept->text + kept->len, "%s%s was %.*s",
					kept->len ? ", " : "", name, (int)len, (const char *)value);
	return 0;
}

int undo_item(struct node *node, const json_t *desired, const struct bundle_item *item,
	      const json_t *document, struct outcome *outcome)
{
	const char *name = json_string_value(json_object_get(desired, "name"));
	struct work *work = calloc(1, sizeof(*work));
	struct kept kept = { "", 0 };
	int err = 0;

	if (!work)
		return -ENOMEM;
	work->node = node;
	work->document = document;
	work->desired = desired;
	work->item = item;
	if (!strcmp(name, DESIRED_NETWORK)) {
		err = network_remove(node, outcome);
	} else if (!strcmp(name, DESIRED_STORAGE)) {
		err = storage_remove(node, outcome);
	} else {
		for (size_t i = 0; item && i < item->steps[BUNDLE_UNINSTALL].count && !err; i++)
			err = exec_step(work, &item->steps[BUNDLE_UNINSTALL].list[i], "uninstall");
		fault_point("uninstall-steps");
		if (err)
			*outcome = work->outcome;
		if (!err)
			err = payload_remove(node, name, outcome);
		if (!err)
			err = config_restore(node, name, outcome);
	}
	if (!err)
		err = journal_undo(node, name, "version", add_kept, &kept);
	if (!err)
		err = journal_drop(node, name, "version");
	if (!err && kept.len)
		log_warn("%s: not undone: %s", name, kept.text);
	free(work);
	return err;
}
