/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One item after the other, in the document's order, each when its blobs are verified and the
 * control machine says go. A failed item stops what comes after it until another run.
 */
#include "cluster.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../lib/log.h"

#define PAUSE_MS   1000
#define JOURNAL_MS 10000 /* before it is tried again */
#define BUNDLE_MS  5000

/* What the bundle says this machine must be. */
static int check_needs(struct work *work)
{
	const struct bundle_needs *needs = &work->item->needs;
	unsigned least_major = 0, least_minor = 0, major = 0, minor = 0;
	struct utsname system;
	struct statvfs root;
	struct sysinfo info;
	bool found = !needs->os.count;
	char os[80];

	facts_os(os, sizeof(os));
	for (size_t i = 0; i < needs->os.count; i++)
		found |= !strcmp(needs->os.words[i], os);
	if (!found)
		return outcome_fail(&work->outcome, -ENOEXEC,
				    "this machine runs %s; the item is "
				    "for %s",
				    os, needs->os.words[0]);
	if (needs->kernel && !uname(&system) &&
	    sscanf(needs->kernel, "%u.%u", &least_major, &least_minor) == 2 &&
	    sscanf(system.release, "%u.%u", &major, &minor) == 2 &&
	    (major < least_major || (major == least_major && minor < least_minor)))
		return outcome_fail(&work->outcome, -ENOEXEC, "the kernel is %s; the item needs %s",
				    system.release, needs->kernel);
	if (!statvfs("/", &root) && (uint64_t)root.f_bavail * root.f_frsize < needs->space)
		return outcome_fail(&work->outcome, -ENOSPC,
				    "/ has %llu bytes free; the item "
				    "needs %llu",
				    (unsigned long long)root.f_bavail * root.f_frsize,
				    (unsigned long long)needs->space);
	if (!sysinfo(&info) && (uint64_t)info.totalram * info.mem_unit < needs->memory)
		return outcome_fail(&work->outcome, -ENOMEM,
				    "there are %llu bytes of memory; the "
				    "item needs %llu",
				    (unsigned long long)info.totalram * info.mem_unit,
				    (unsigned long long)needs->memory);
	return 0;
}

static int run_steps(struct work *work, enum bundle_phase phase)
{
	const struct bundle_steps *steps = &work->item->steps[phase];
	int err = 0;

	for (size_t i = 0; i < steps->count && !err; i++)
		err = exec_step(work, &steps->list[i], bundle_phase_name(phase));
	return err;
}

/* Each check until it passes, as often as the bundle says. */
static int check_health(struct work *work)
{
	const struct bundle_steps *steps = &work->item->steps[BUNDLE_HEALTH];
	int err = 0;

	for (size_t i = 0; i < steps->count && !err; i++) {
		const struct bundle_step *step = &steps->list[i];
		unsigned left = step->tries ? step->tries : 1;

		do {
			work->outcome.log[0] = work->outcome.why[0] = '\0';
			err = exec_step(work, step, "health");
			if (err && left > 1)
				for (unsigned s = 0; s < step->interval && !work->node->ending; s++)
					sleep(1);
		} while (err && --left && !work->node->ending);
	}
	return err;
}

static int install_item(struct work *work)
{
	int err = check_needs(work);

	if (!err)
		err = journal_move(work->node, work->desired, "installing", 0, 0, 0, NULL);
	if (!err)
		err = undo_keep_first(work);
	if (!err)
		err = run_steps(work, BUNDLE_PREPARE);
	if (!err)
		err = config_write(work, BUNDLE_BEFORE);
	if (!err)
		err = payload_install(work);
	if (!err)
		err = config_write(work, BUNDLE_AFTER);
	if (!err)
		err = journal_move(work->node, work->desired, "configured", 100, 0, 0, NULL);
	if (!err)
		err = run_steps(work, BUNDLE_INSTALL);
	return err ? err : check_health(work);
}

static int apply_scheme(struct work *work, const char *name)
{
	int err = journal_move(work->node, work->desired, "installing", 0, 0, 0, NULL);

	if (err)
		return err;
	return strcmp(name, DESIRED_NETWORK) ? storage_apply(work) : network_apply(work);
}

/* What an item takes: NULL bundle for schemes. */
static int prepare(struct work *work, const char *name, bool removes)
{
	int err;

	if (*name == '@')
		return 0;
	/* Of a bundle that is new, an item that stays may be the first to be looked at. */
	err = removes ? node_bundle(work->node, work->document, &work->bundle, &work->outcome)
		      : node_bring_bundle(work->node, work->document, &work->bundle,
					  &work->outcome);
	if (err)
		return err;
	work->item = bundle_manifest_item(bundle_manifest(work->bundle), name);
	return work->item
		       ? 0
		       : outcome_fail(&work->outcome, -ENOENT, "the bundle has no item %s", name);
}

static void finish(struct work *work, const char *name, int err, const char *state)
{
	/* Ended in the middle: neither done nor failed, it is gone on with. */
	if (err && work->node->ending)
		return;
	if (err) {
		if (!*work->outcome.why)
			outcome_fail(&work->outcome, err, "%s", strerror(-err));
		log_error("%s: %s", name, work->outcome.why);
	} else {
		work->outcome.why[0] = '\0';
		log_info("%s: %s", name, state);
	}
	err = journal_move(work->node, work->desired, err ? "failed" : state, err ? 0 : 100, 0, 0,
			   &work->outcome);
	if (!err)
		return;
	log_error("the journal cannot be written: %s", strerror(-err));
	node_wait(work->node, JOURNAL_MS);
}

static void do_item(struct node *node, const json_t *document, const json_t *desired,
		    const struct journal_item *known, bool only_check)
{
	const char *name = json_string_value(json_object_get(desired, "name"));
	const char *action = json_string_value(json_object_get(desired, "action"));
	bool removes = !strcmp(action, "uninstall");
	struct work *work = calloc(1, sizeof(*work));
	const char *state = "healthy";
	int err;

	if (!work)
		return;
	work->node = node;
	work->document = document;
	work->desired = desired;
	work->resumed = !strcmp(known->state, "installing") || !strcmp(known->state, "configured");
	err = prepare(work, name, removes);
	/* A link that is down comes back. */
	if (!removes && err == -ECONNRESET) {
		log_warn("%s: %s", name, work->outcome.why);
		journal_complain(node, desired, "sending", 0, &work->outcome);
		node_wait(node, BUNDLE_MS);
		free(work);
		return;
	}
	if (removes) {
		/* Also without its bundle: the journal has what is needed. */
		state = "removed";
		work->outcome.why[0] = '\0';
		err = journal_move(node, desired, "removing", 0, 0, 0, NULL);
		if (!err)
			err = undo_item(node, desired, work->item, document, &work->outcome);
	} else if (!err && only_check && *name != '@') {
		/* An agent before this one may have installed it. */
		err = undo_kept(work) ? 0 : undo_keep(work);
		if (!err)
			err = check_health(work);
	} else if (!err) {
		log_info("%s: installing%s", name, work->resumed ? ", again" : "");
		err = *name == '@' ? apply_scheme(work, name) : install_item(work);
	}
	finish(work, name, err, state);
	bundle_close(work->bundle);
	free(work);
}

enum next { NEXT_SKIP, NEXT_WAIT, NEXT_DO, NEXT_CHECK, NEXT_TELL };

static enum next judge(struct node *node, const json_t *desired, struct journal_item *ret_known)
{
	const char *name = json_string_value(json_object_get(desired, "name"));
	bool known = journal_item(node, name, ret_known);
	bool same =
		known && !strcmp(ret_known->id, json_string_value(json_object_get(desired, "id")));
	bool run = known &&
		   !strcmp(ret_known->run, json_string_value(json_object_get(desired, "run")));
	bool go = json_is_true(json_object_get(desired, "go"));

	if (!strcmp(json_string_value(json_object_get(desired, "action")), "uninstall")) {
		bool gone = !known || !strcmp(ret_known->state, "removed");

		if (gone && run)
			return NEXT_SKIP;
		if (!go || (run && !strcmp(ret_known->state, "failed")))
			return NEXT_WAIT;
		/* Who asks does not know that it is gone, and waits to hear it. */
		return gone ? NEXT_TELL : NEXT_DO;
	}
	if (same && run && !strcmp(ret_known->state, "healthy"))
		return NEXT_SKIP;
	if (!go || (same && run && !strcmp(ret_known->state, "failed")))
		return NEXT_WAIT;
	if (same && !strcmp(ret_known->state, "healthy") &&
	    !json_is_true(json_object_get(desired, "redo")))
		return NEXT_CHECK;
	if (*name == '@')
		return NEXT_DO;
	return same && run &&
			       (!strcmp(ret_known->state, "verified") ||
				!strcmp(ret_known->state, "installing") ||
				!strcmp(ret_known->state, "configured"))
		       ? NEXT_DO
		       : NEXT_WAIT;
}

/* False: nothing to do until something changes. */
static bool install_next(struct node *node, const json_t *document)
{
	struct journal_item known;
	const json_t *desired;
	size_t i;

	json_array_foreach (json_object_get(document, "items"), i, desired) {
		enum next next = judge(node, desired, &known);

		if (next == NEXT_SKIP)
			continue;
		if (next == NEXT_WAIT)
			return false;
		if (next == NEXT_TELL)
			return !journal_move(node, desired, "removed", 100, 0, 0, NULL);
		do_item(node, document, desired, &known, next == NEXT_CHECK);
		return true;
	}
	return false;
}

void *install_thread(void *arg)
{
	struct node *node = arg;
	json_t *document;
	bool busy;

	/* bundle_untar() changes the working directory: for this thread alone. */
	unshare(CLONE_FS);
	if (!leftover_wait(node))
		return NULL;
	do {
		network_settle(node);
		document = journal_document(node);
		busy = document && install_next(node, document);
		json_decref(document);
	} while (busy ? !node->ending : node_wait(node, PAUSE_MS));
	return NULL;
}
