/* SPDX-License-Identifier: BSD-2-Clause */
#include "schedule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "documents.h"

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static bool is(const struct entry *entry, const char *state)
{
	return !strcmp(entry->state, state);
}

bool entry_done(const struct entry *entry)
{
	return is(entry, "healthy") || is(entry, "removed");
}

/* Are its bytes there? Items that keep what they have need none. */
static bool entry_arrived(const struct entry *entry)
{
	return !strcmp(entry->action, "keep") || !strcmp(entry->action, "remove") ||
	       *entry->name == '@' || is(entry, "staged") || is(entry, "verified") ||
	       is(entry, "installing") || is(entry, "configured") || entry_done(entry);
}

static void fail(struct schedule *schedule, struct member *member, const char *item,
		 const char *why)
{
	if (member->failed)
		return;
	member->failed = true;
	schedule->failed++;
	snprintf(member->why, sizeof(member->why), "%s%s%.250s", item, *item ? ": " : "", why);
	schedule->aborted |= schedule->failed > schedule->config->max_failed;
}

static int add_member(struct schedule *schedule, struct member *member, const json_t *plan)
{
	const json_t *items = json_object_get(plan, "items"), *item;
	size_t i;

	member->plan = plan;
	member->heard = member->moved = schedule->now;
	member->name = text(plan, "name");
	member->count = json_array_size(items);
	member->entries = calloc(member->count + 1, sizeof(*member->entries));
	if (!member->entries)
		return -ENOMEM;
	json_array_foreach (items, i, item) {
		struct entry *entry = &member->entries[i];

		entry->plan = item;
		entry->name = text(item, "name");
		entry->action = text(item, "action");
		entry->component = !strcmp(text(item, "role"), "component");
	}
	return 0;
}

int schedule_begin(struct schedule *schedule, struct cluster *cluster, const struct config *config,
		   const json_t *plan, enum config_mode mode)
{
	const json_t *nodes = json_object_get(plan, "nodes"), *node;
	size_t i;
	int err;

	memset(schedule, 0, sizeof(*schedule));
	schedule->cluster = cluster;
	schedule->config = config;
	schedule->plan = plan;
	schedule->mode = mode;
	schedule->started = state_now();
	schedule->now = awake_ms(&schedule->awake, state_ticks(), SCHEDULE_LOOK_MS);
	schedule->control_key = cluster_read(cluster, "control.key");
	schedule->members = calloc(json_array_size(nodes) + 1, sizeof(*schedule->members));
	err = schedule->control_key && schedule->members ? 0 : -ENOENT;
	json_array_foreach (nodes, i, node)
		if (!err)
			err = add_member(schedule, &schedule->members[schedule->count++], node);
	for (i = 0; i < schedule->count && !err; i++)
		if (!json_is_true(json_object_get(schedule->members[i].plan, "reachable")))
			fail(schedule, &schedule->members[i], "", "its agent does not answer");
	return err ? err : cluster_run_id(schedule->run);
}

/* ---- what the nodes report ---- */

static struct entry *find_entry(struct member *member, const char *name)
{
	for (size_t i = 0; i < member->count; i++)
		if (!strcmp(member->entries[i].name, name))
			return &member->entries[i];
	return NULL;
}

/* A transfer that begins again and again is none. */
static void note_progress(const struct schedule *schedule, struct member *member,
			  struct entry *entry, const json_t *row)
{
	int64_t percent = json_integer_value(json_object_get(row, "percent"));
	bool other = !is(entry, text(row, "state"));

	if (!other && percent <= entry->most &&
	    json_integer_value(json_object_get(row, "bytes")) <= entry->bytes)
		return;
	member->moved = schedule->now;
	entry->most = other || percent > entry->most ? percent : entry->most;
}

static int read_items(struct schedule *schedule, struct member *member)
{
	json_t *rows = NULL, *row;
	struct entry *entry;
	size_t i;
	int err = state_run(&schedule->cluster->state, &rows,
			    "SELECT name, state, percent, bytes, rate, message FROM items"
			    " WHERE node = ? AND run = ?",
			    "ss", member->name, schedule->run);

	json_array_foreach (rows, i, row) {
		entry = find_entry(member, text(row, "name"));
		if (!entry)
			continue;
		note_progress(schedule, member, entry, row);
		snprintf(entry->state, sizeof(entry->state), "%s", text(row, "state"));
		snprintf(entry->message, sizeof(entry->message), "%s", text(row, "message"));
		entry->percent = json_integer_value(json_object_get(row, "percent"));
		entry->bytes = json_integer_value(json_object_get(row, "bytes"));
		entry->rate = json_integer_value(json_object_get(row, "rate"));
	}
	json_decref(rows);
	return err;
}

static bool member_done(const struct member *member)
{
	for (size_t i = 0; i < member->count; i++)
		if (!entry_done(&member->entries[i]))
			return false;
	return true;
}

/* The first thing that it can do, and has not; NULL: it waits for others, or for its turn. */
static const struct entry *at_hand(const struct member *member)
{
	for (size_t i = 0; i < member->count; i++) {
		const struct entry *entry = &member->entries[i];

		if (!entry_arrived(entry) ? entry->stage : entry->go && !entry_done(entry))
			return entry;
	}
	return NULL;
}

/* Heard of it lately, and does what it does lead to something? */
static void check_deadlines(struct schedule *schedule, struct member *member)
{
	const struct config *config = schedule->config;
	const struct entry *entry = at_hand(member);
	int64_t now = schedule->now;
	char why[sizeof(member->why)];

	member->silent = now - member->heard > (int64_t)config->deadline * 1000;
	if (!entry)
		member->moved = now;
	if (member->silent && !member_done(member)) {
		snprintf(why, sizeof(why), "nothing was heard of it for %u s", config->deadline);
		fail(schedule, member, "", why);
	} else if (entry && now - member->moved > (int64_t)config->step_deadline * 1000) {
		snprintf(why, sizeof(why), "%s at %lld %% for %u s, and no progress%s%.200s",
			 *entry->state ? entry->state : "not begun", (long long)entry->percent,
			 config->step_deadline, *entry->message ? ": " : "", entry->message);
		fail(schedule, member, entry->name, why);
	}
}

/* Does it refuse the document that it was given? */
static void check_refusal(struct schedule *schedule, struct member *member)
{
	char *said =
		member->told ? documents_refusal(&schedule->cluster->state, member->name) : NULL;
	char why[sizeof(member->why)];

	if (said) {
		snprintf(why, sizeof(why), "it does not take its document: %.250s", said);
		fail(schedule, member, "", why);
	}
	free(said);
}

static int read_member(struct schedule *schedule, struct member *member)
{
	int64_t seen = 0;
	int err = read_items(schedule, member);

	if (!err)
		err = state_number(&schedule->cluster->state, &seen,
				   "SELECT seen FROM nodes WHERE name = ?", "s", member->name);
	if (err == -ENOENT) {
		fail(schedule, member, "", "it was shut out meanwhile");
		return 0;
	}
	if (err)
		return err;
	if (seen != member->seen) {
		member->seen = seen;
		member->heard = schedule->now;
	}
	for (size_t i = 0; i < member->count; i++)
		if (is(&member->entries[i], "failed"))
			fail(schedule, member, member->entries[i].name, member->entries[i].message);
	check_refusal(schedule, member);
	check_deadlines(schedule, member);
	return 0;
}

/* ---- what they may do ---- */

static bool arrived(const struct member *member)
{
	for (size_t i = 0; i < member->count; i++)
		if (!entry_arrived(&member->entries[i]))
			return false;
	return true;
}

static bool staging(const struct member *member)
{
	for (size_t i = 0; i < member->count; i++)
		if (member->entries[i].stage && !entry_arrived(&member->entries[i]))
			return true;
	return false;
}

static void release_stage(struct member *member)
{
	for (size_t i = 0; i < member->count; i++)
		if (!member->entries[i].stage) {
			member->entries[i].stage = true;
			member->changed = true;
		}
}

/* As many nodes fetch at once as the mode allows; the next begins when one has its copy. */
static void release_stages(struct schedule *schedule)
{
	size_t most = schedule->mode == CONFIG_STREAM  ? 1
		      : schedule->mode == CONFIG_SWARM ? schedule->count
						       : schedule->config->parallel;
	size_t now = 0;

	for (size_t i = 0; i < schedule->count; i++)
		now += !schedule->members[i].failed && staging(&schedule->members[i]);
	for (size_t i = 0; i < schedule->count && now < most; i++) {
		struct member *member = &schedule->members[i];

		if (member->failed || !member->count || member->entries[0].stage)
			continue;
		release_stage(member);
		now += !arrived(member);
	}
}

/* Is this component healthy wherever it is wanted? Nodes that failed do not hold up the others. */
static bool healthy_everywhere(const struct schedule *schedule, const char *name)
{
	for (size_t i = 0; i < schedule->count; i++) {
		const struct entry *entry = find_entry(&schedule->members[i], name);

		if (entry && !schedule->members[i].failed && strcmp(entry->action, "remove") &&
		    !is(entry, "healthy"))
			return false;
	}
	return true;
}

static void release_items(struct schedule *schedule, struct member *member)
{
	for (size_t i = 0; i < member->count; i++) {
		struct entry *entry = &member->entries[i];

		if (!entry->go) {
			entry->go = true;
			member->changed = true;
		}
		/* The next one waits for this one here; for a component, everywhere. */
		if (entry->component && strcmp(entry->action, "remove") &&
		    !healthy_everywhere(schedule, entry->name))
			return;
	}
}

int schedule_step(struct schedule *schedule)
{
	int err = 0;

	/* After a standstill of this machine its server has yet to hear of the nodes, too. */
	schedule->now = awake_ms(&schedule->awake, state_ticks(), SCHEDULE_LOOK_MS);
	for (size_t i = 0; i < schedule->count && !err; i++)
		err = read_member(schedule, &schedule->members[i]);
	if (err || schedule->aborted)
		return err;
	release_stages(schedule);
	for (size_t i = 0; i < schedule->count; i++)
		if (!schedule->members[i].failed)
			release_items(schedule, &schedule->members[i]);
	for (size_t i = 0; i < schedule->count && !err; i++) {
		if (!schedule->members[i].changed)
			continue;
		err = documents_write(schedule, &schedule->members[i]);
		schedule->members[i].changed = false;
		schedule->members[i].moved = schedule->now;
	}
	return err;
}

bool schedule_done(const struct schedule *schedule)
{
	for (size_t i = 0; i < schedule->count; i++) {
		const struct member *member = &schedule->members[i];
		bool busy = false;

		if (member->failed || member_done(member))
			continue;
		if (!schedule->aborted)
			return false;
		/* Who is in the middle of something is waited for also then. */
		for (size_t k = 0; k < member->count; k++)
			busy |= is(&member->entries[k], "installing") ||
				is(&member->entries[k], "configured") ||
				is(&member->entries[k], "removing");
		if (busy)
			return false;
	}
	return true;
}

void schedule_end(struct schedule *schedule)
{
	for (size_t i = 0; i < schedule->count; i++)
		free(schedule->members[i].entries);
	free(schedule->members);
	free(schedule->control_key);
}
