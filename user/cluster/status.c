/* SPDX-License-Identifier: BSD-2-Clause */
/* status and report: how the nodes are, and how a run went. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/file.h"
#include "../lib/opt.h"
#include "../lib/text.h"
#include "documents.h"
#include "renew.h"
#include "runs.h"
#include "swarm.h"

#define HERE_MS (90 * 1000) /* an agent that polls is heard of more often */

static struct values {
	const char *timeline;
	bool list;
} values;

static const struct opt report_options[] = {
	{ OPT_TEXT, 't', "timeline", "FILE.svg", "write when what was sent and installed",
	  offsetof(struct values, timeline), 0, 0, NULL },
	{ OPT_FLAG, 'l', "list", NULL, "all runs, the latest first", offsetof(struct values, list),
	  0, 0, NULL },
};

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static bool ends_soon(const char *certificate)
{
	return certificate && *certificate && renew_days(certificate) < RENEW_WARN_DAYS;
}

static void say_end(const char *whose, const char *certificate, const char *next)
{
	int days = renew_days(certificate);

	if (days < 0)
		cluster_complain("%s certificate has ended; %s", whose, next);
	else
		cluster_complain("%s certificate ends in %d days; %s", whose, days, next);
}

static json_t *node_status(struct cluster *cluster, const struct config_node *node)
{
	json_t *rows = NULL, *row, *items = NULL, *status;
	int64_t seen, now = state_now();
	char *why, whose[80], next[160];

	if (state_run(&cluster->state, &rows,
		      "SELECT address, seen, generation, followed, certificate FROM"
		      " nodes WHERE name = ?",
		      "s", node->name))
		return NULL;
	row = json_array_get(rows, 0);
	seen = (int64_t)json_integer_value(json_object_get(row, "seen"));
	if (state_run(
		    &cluster->state, &items,
		    "SELECT name, state, percent, rate, message, log, at FROM items WHERE node = ?"
		    " ORDER BY at",
		    "s", node->name))
		items = json_array();
	status = json_pack("{s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:o, s:o}", "name", node->name,
			   "address", node->address, "enrolled", row != NULL, "answers",
			   now - seen < HERE_MS, "seen", (json_int_t)seen, "generation",
			   json_integer_value(json_object_get(row, "generation")), "followed",
			   json_integer_value(json_object_get(row, "followed")), "items", items,
			   "sources", swarm_sources(&cluster->state, NULL, node->name));
	why = documents_refusal(&cluster->state, node->name);
	if (why)
		json_object_set_new(status, "refuses", json_string(why));
	if (row)
		json_object_set_new(status, "certificate_days",
				    json_integer(renew_days(text(row, "certificate"))));
	if (ends_soon(text(row, "certificate"))) {
		snprintf(whose, sizeof(whose), "%s's", node->name);
		snprintf(next, sizeof(next), "%s %s",
			 renew_days(text(row, "certificate")) < 0
				 ? "sluice-cluster enrol --replace"
				 : "start its agent, then: sluice-cluster renew",
			 node->name);
		say_end(whose, text(row, "certificate"), next);
	}
	free(why);
	json_decref(rows);
	return status;
}

/* What a node tells of itself may be meant for the terminal that shows it. */
static void show_node(const json_t *told)
{
	json_t *node = text_json(told), *item;
	size_t i;

	printf("%-16s %-20s %s\n", text(node, "name"), text(node, "address"),
	       !json_is_true(json_object_get(node, "enrolled")) ? "not enrolled"
	       : json_is_true(json_object_get(node, "answers")) ? "answers"
								: "silent");
	if (*text(node, "refuses"))
		printf("  does not take what it is to be: %s\n", text(node, "refuses"));
	json_array_foreach (json_object_get(node, "items"), i, item)
		printf("  %-20s %-11s %3lld %%  %s\n", text(item, "name"), text(item, "state"),
		       (long long)json_integer_value(json_object_get(item, "percent")),
		       text(item, "message"));
	swarm_show(json_object_get(node, "sources"));
	json_decref(node);
}

/* {"server_certificate_days", "ca_certificate_days"} */
static json_t *control_status(struct cluster *cluster)
{
	static const char *const names[][2] = { { "server.pem", "server_certificate_days" },
						{ "ca.pem", "ca_certificate_days" } };
	json_t *json = json_object();

	for (size_t i = 0; i < 2; i++) {
		char *certificate = cluster_read(cluster, names[i][0]);

		if (!certificate)
			continue;
		json_object_set_new(json, names[i][1], json_integer(renew_days(certificate)));
		if (ends_soon(certificate))
			say_end(i ? "the CA's" : "the control machine's", certificate,
				i ? "sluice-cluster renew --ca" : "sluice-cluster renew");
		free(certificate);
	}
	return json;
}

static enum cluster_exit run_status(struct cluster *cluster, char **arguments, unsigned count)
{
	struct config *config = cluster_config(cluster, NULL);
	enum cluster_exit status = CLUSTER_DONE;
	json_t *nodes = json_array(), *node, *item, *control;
	size_t i, k;

	if (!config)
		return CLUSTER_USAGE;
	for (unsigned n = 0; n < config->nodes_count; n++)
		json_array_append_new(nodes, node_status(cluster, &config->nodes[n]));
	json_array_foreach (nodes, i, node) {
		if (!json_is_true(json_object_get(node, "answers")) || *text(node, "refuses"))
			status = CLUSTER_FAILED;
		json_array_foreach (json_object_get(node, "items"), k, item)
			if (!strcmp(text(item, "state"), "failed"))
				status = CLUSTER_FAILED;
		if (!cluster->json)
			show_node(node);
	}
	control = control_status(cluster);
	json_object_set_new(control, "serving", json_boolean(cluster_served(config)));
	if (!cluster_served(config))
		cluster_complain(
			"nobody serves at %s port %u, so no agent is heard: systemctl start "
			"sluice-cluster, or sluice-cluster serve",
			config->control.address, config->control.port);
	if (cluster->json)
		cluster_print(json_pack("{s:s, s:O, s:O}", "cluster", config->cluster, "control",
					control, "nodes", nodes));
	json_decref(control);
	json_decref(nodes);
	config_free(config);
	return status;
}

static enum cluster_exit list_runs(struct cluster *cluster)
{
	json_t *rows = NULL, *row;
	size_t i;

	if (state_run(&cluster->state, &rows,
		      "SELECT id, kind, mode, bundle, started, ended, state FROM runs"
		      " ORDER BY started DESC",
		      "")) {
		cluster_complain("cluster.db: %s", state_why(&cluster->state));
		return CLUSTER_ERROR;
	}
	if (cluster->json) {
		cluster_print(rows);
		return CLUSTER_DONE;
	}
	if (!json_array_size(rows))
		cluster_complain("there was no run yet: sluice-cluster apply");
	json_array_foreach (rows, i, row)
		printf("%s %-10s %-9s %-8s %s\n", text(row, "id"), text(row, "kind"),
		       text(row, "mode"), text(row, "state"), text(row, "bundle"));
	json_decref(rows);
	return CLUSTER_DONE;
}

static bool write_timeline(struct cluster *cluster, const json_t *report)
{
	int64_t started = json_integer_value(json_object_get(report, "started"));
	int64_t took = json_integer_value(json_object_get(report, "milliseconds"));
	json_t *timeline = timeline_make(cluster, text(report, "run"), text(report, "mode"),
					 started, started + took);
	char *svg = timeline ? timeline_svg(timeline) : NULL;
	int err = svg ? file_write(values.timeline, svg, strlen(svg), 0644) : -1;

	if (err)
		cluster_complain("%s: %s", values.timeline, strerror(-err));
	json_decref(timeline);
	free(svg);
	return !err;
}

static enum cluster_exit run_report(struct cluster *cluster, char **arguments, unsigned count)
{
	json_t *report;

	if (values.list)
		return list_runs(cluster);
	report = runs_read(cluster, count ? arguments[0] : NULL, NULL);
	if (!report) {
		cluster_complain("%s",
				 count ? "there is no such run; see: sluice-cluster report --list"
				       : "there was no run yet: sluice-cluster apply");
		return CLUSTER_ERROR;
	}
	if (values.timeline && !write_timeline(cluster, report)) {
		json_decref(report);
		return CLUSTER_ERROR;
	}
	if (cluster->json)
		cluster_print(json_incref(report));
	else
		runs_show(report);
	json_decref(report);
	return CLUSTER_DONE;
}

const struct cluster_command command_status = {
	.name = "status",
	.summary = "how the nodes are",
	.run = run_status,
};

const struct cluster_command command_report = {
	.name = "report",
	.arguments = "[RUN]",
	.summary = "how the last run, or another, went",
	.most = 1,
	.options = report_options,
	.options_count = sizeof(report_options) / sizeof(report_options[0]),
	.values = &values,
	.run = run_report,
};
