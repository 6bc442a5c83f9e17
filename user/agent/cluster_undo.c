/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes an item away: its own steps, its payload, its files, in the reverse order of installing.
 * The steps are those of the bundle that it was installed from, by the journal: by now another may
 * be here, without the item. A new version's steps are in force when its payload is about to
 * replace the one before, not earlier: until then it may fail. What cannot be undone is said: a
 * package that was there in another version stays as it is.
 */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fault.h"
#include "../lib/log.h"

#define KIND	  "steps"
#define UNINSTALL "uninstall"
#define HAVE_RUN  "" /* instead of steps */

static const char *name_of(const struct work *work)
{
	return json_string_value(json_object_get(work->desired, "name"));
}

/* ---- its own steps ---- */

/* {"variables": {…}, "steps": [{"run", "timeout"}, …]}: what they are, and what they see. */
static json_t *describe(const struct work *work)
{
	const struct bundle_steps *steps = &work->item->steps[BUNDLE_UNINSTALL];
	json_t *variables = json_object(), *list = json_array();

	for (size_t i = 0; i < work->item->variables_count; i++)
		if (work->item->variables[i].value)
			json_object_set_new(variables, work->item->variables[i].name,
					    json_string(work->item->variables[i].value));
	json_object_update(variables, json_object_get(work->document, "variables"));
	for (size_t i = 0; i < steps->count; i++)
		json_array_append_new(list, json_pack("{s:s, s:i}", "run", steps->list[i].run,
						      "timeout", (int)steps->list[i].timeout));
	return json_pack("{s:o, s:o}", "variables", variables, "steps", list);
}

int undo_keep(struct work *work)
{
	json_t *json = describe(work);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int err = text ? journal_put(work->node, name_of(work), KIND, UNINSTALL, text, strlen(text))
		       : -ENOMEM;

	free(text);
	json_decref(json);
	return err;
}

bool undo_kept(const struct work *work)
{
	return journal_has(work->node, name_of(work), KIND, UNINSTALL);
}

static int is_ahead(struct node *node, const char *name, const void *value, size_t len, void *arg)
{
	return len > 0;
}

int undo_keep_first(struct work *work)
{
	int ahead = journal_undo(work->node, name_of(work), KIND, is_ahead, NULL);

	return ahead ? 0 : undo_keep(work);
}

static int run_kept(struct node *node, const char *name, const void *value, size_t len, void *arg)
{
	struct work work = *(struct work *)arg;
	json_t *json, *entry;
	size_t i;
	int err = 0;

	if (!len)
		return 0;
	json = json_loadb(value, len, 0, NULL);
	if (!json)
		return -ENOMEM;
	work.document = json;
	json_array_foreach (json_object_get(json, "steps"), i, entry) {
		struct bundle_step step = {
			.run = (char *)json_string_value(json_object_get(entry, "run")),
			.timeout = (unsigned)json_integer_value(json_object_get(entry, "timeout")),
		};

		err = exec_step(&work, &step, "uninstall");
		if (err)
			break;
	}
	((struct work *)arg)->outcome = work.outcome;
	json_decref(json);
	return err;
}

/* A journal that knows no steps is of an agent before this one. */
static void say_unknown(struct work *work)
{
	outcome_fail(&work->outcome, 0,
		     "its uninstall steps are not known here any more: none was run");
	log_warn("%s: %s", name_of(work), work->outcome.why);
	journal_complain(work->node, work->desired, "removing", 0, &work->outcome);
	work->outcome.why[0] = '\0';
}

/* Once: when they have run, what they need may be taken away. */
static int run_steps(struct work *work, const struct bundle_item *item)
{
	int err = 0;

	if (undo_kept(work)) {
		err = journal_undo(work->node, name_of(work), KIND, run_kept, work);
	} else if (item) {
		work->item = item;
		for (size_t i = 0; i < item->steps[BUNDLE_UNINSTALL].count && !err; i++)
			err = exec_step(work, &item->steps[BUNDLE_UNINSTALL].list[i], "uninstall");
	} else {
		say_unknown(work);
	}
	return err ? err : journal_put(work->node, name_of(work), KIND, UNINSTALL, HAVE_RUN, 0);
}

/* ---- all of it ---- */

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
	if (!strcmp(name, DESIRED_NETWORK)) {
		err = network_remove(node, outcome);
	} else if (!strcmp(name, DESIRED_STORAGE)) {
		err = storage_remove(node, outcome);
	} else {
		err = run_steps(work, item);
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
