/* SPDX-License-Identifier: BSD-2-Clause */
#include "runs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fault.h"
#include "../lib/file.h"
#include "../lib/text.h"
#include "swarm.h"

#define REPORT_MAX (64 * 1024 * 1024)

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static int save(const struct schedule *schedule, const char *suffix, const char *content)
{
	char name[64];

	snprintf(name, sizeof(name), "runs/%s%s", schedule->run, suffix);
	return content ? file_write(cluster_path(schedule->cluster, name), content, strlen(content),
				    0600)
		       : -ENOMEM;
}

static int save_json(const struct schedule *schedule, const char *suffix, const json_t *json)
{
	char *content = json_dumps(json, JSON_INDENT(1));
	int err = save(schedule, suffix, content);

	free(content);
	return err;
}

/* What is known before anything is done: enough to roll back a run that was killed. */
static int save_plan(const struct schedule *schedule, const char *kind)
{
	json_t *report =
		json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:i, s:[], s:O}", "run", schedule->run,
			  "kind", kind, "mode", config_mode_names[schedule->mode], "state",
			  "running", "failed", 0, "started", (json_int_t)schedule->started,
			  "milliseconds", 0, "nodes", "plan", schedule->plan);
	int err = report ? save_json(schedule, ".json", report) : -ENOMEM;

	json_decref(report);
	return err;
}

int runs_begin(const struct schedule *schedule, const char *kind)
{
	const json_t *bundle = json_object_get(schedule->plan, "bundle");
	const char *name = json_string_value(json_object_get(bundle, "name"));
	struct state *state = &schedule->cluster->state;
	int err = file_make_directories(cluster_path(schedule->cluster, "runs"), 0700);

	if (!err)
		err = save_plan(schedule, kind);
	/* There is one run at a time: whatever else is running was killed. */
	if (!err)
		err = state_run(state, NULL,
				"UPDATE runs SET ended = ?, state = 'cut short' WHERE state ="
				" 'running'",
				"i", state_now());
	if (!err)
		err = state_run(state, NULL,
				"INSERT INTO runs VALUES (?, ?, ?, ?, ?, 0, 'running')", "ssssi",
				schedule->run, kind, config_mode_names[schedule->mode],
				name ? name : "", schedule->started);
	fault_point("run-begun");
	return err;
}

static json_t *make_node(const struct schedule *schedule, const struct member *member)
{
	json_t *items = json_array();
	size_t done = 0;

	for (size_t i = 0; i < member->count; i++) {
		const struct entry *entry = &member->entries[i];

		done += entry_done(entry);
		json_array_append_new(
			items,
			json_pack("{s:s, s:s, s:s, s:s}", "name", entry->name, "action",
				  entry->action, "state", *entry->state ? entry->state : "waiting",
				  "message", strcmp(entry->state, "failed") ? "" : entry->message));
	}
	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", member->name, "state",
			 member->failed		 ? "failed"
			 : done == member->count ? "done"
						 : "not finished",
			 "why", member->why, "items", items, "sources",
			 swarm_sources(&schedule->cluster->state, schedule->run, member->name));
}

json_t *runs_end(const struct schedule *schedule, const char *kind)
{
	const char *mode = config_mode_names[schedule->mode];
	int64_t ended = state_now();
	json_t *nodes = json_array(), *report, *timeline;
	bool whole = !schedule->failed && !schedule->aborted;
	const char *state;
	char *svg;

	fault_point("run-done");
	for (size_t i = 0; i < schedule->count; i++) {
		json_t *node = make_node(schedule, &schedule->members[i]);

		whole &= !strcmp(text(node, "state"), "done");
		json_array_append_new(nodes, node);
	}
	state = whole ? "done" : schedule->failed || schedule->aborted ? "failed" : "not finished";
	report = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:O}", "run", schedule->run,
			   "kind", kind, "mode", mode, "state", state, "failed",
			   (json_int_t)schedule->failed, "started", (json_int_t)schedule->started,
			   "milliseconds", (json_int_t)(ended - schedule->started), "nodes", nodes,
			   "plan", schedule->plan);
	timeline = timeline_make(schedule->cluster, schedule->run, mode, schedule->started, ended);
	svg = timeline ? timeline_svg(timeline) : NULL;
	if (!report || !timeline || save_json(schedule, ".json", report) ||
	    save_json(schedule, ".timeline.json", timeline) || save(schedule, ".svg", svg))
		cluster_complain("%s: the report cannot be written",
				 cluster_path(schedule->cluster, "runs"));
	state_run(&schedule->cluster->state, NULL,
		  "UPDATE runs SET ended = ?, state = ? WHERE id = ?", "iss", ended, state,
		  schedule->run);
	free(svg);
	json_decref(timeline);
	return report;
}

json_t *runs_read(struct cluster *cluster, const char *id, const char *kind)
{
	char *last = NULL, *content = NULL, *state = NULL, name[64];
	json_t *report = NULL;

	if (!id)
		id = last = state_text(&cluster->state,
				       "SELECT id FROM runs WHERE kind LIKE ? OR (? = 'install'"
				       " AND kind IN ('apply', 'retry'))"
				       " ORDER BY started DESC LIMIT 1",
				       "ss", kind ? kind : "%", kind ? kind : "");
	if (id && name_hex_valid(id, DESIRED_RUN_LEN)) {
		snprintf(name, sizeof(name), "runs/%s.json", id);
		if (!file_read(cluster_path(cluster, name), REPORT_MAX, &content, NULL))
			report = json_loads(content, 0, NULL);
		state = state_text(&cluster->state, "SELECT state FROM runs WHERE id = ?", "s", id);
	}
	/* Of a run that was killed, its database row knows. */
	if (report && state)
		json_object_set_new(report, "state", json_string(state));
	free(state);
	free(content);
	free(last);
	return report;
}

void runs_show(const json_t *made)
{
	json_t *report = text_json(made);
	const json_t *nodes = json_object_get(report, "nodes"), *node, *item;
	size_t i, k;

	printf("%s %s: %s, %.1f s, mode %s\n", text(report, "kind"), text(report, "run"),
	       text(report, "state"),
	       (double)json_integer_value(json_object_get(report, "milliseconds")) / 1000,
	       text(report, "mode"));
	json_array_foreach (nodes, i, node) {
		printf("  %-16s %s%s%s\n", text(node, "name"), text(node, "state"),
		       *text(node, "why") ? ": " : "", text(node, "why"));
		json_array_foreach (json_object_get(node, "items"), k, item)
			printf("    %-20s %-8s %s\n", text(item, "name"), text(item, "action"),
			       text(item, "state"));
		swarm_show(json_object_get(node, "sources"));
	}
	json_decref(report);
}
