/* SPDX-License-Identifier: BSD-2-Clause */
/* renew: certificates anew, now. revoke: a node is none any more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/opt.h"
#include "documents.h"
#include "renew.h"

static struct values {
	bool ca;
	uint32_t wait;
} values = { .wait = STATE_AWAIT };

static const struct opt renew_options[] = {
	{ OPT_FLAG, 0, "ca", NULL, "the CA's as well; tokens given out before end",
	  offsetof(struct values, ca), 0, 0, NULL },
	{ OPT_NUMBER, 'w', "wait", "SECONDS", "for agents to renew (default 20)",
	  offsetof(struct values, wait), 0, 600, NULL },
};

static bool wanted(const char *node, char **arguments, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(arguments[i], node))
			return true;
	return !count;
}

static int order(struct cluster *cluster, const char *node)
{
	return state_run(&cluster->state, NULL,
			 "INSERT INTO agents SELECT name, '', '', '', 0, 1 FROM nodes WHERE name ="
			 " ? ON CONFLICT (node) DO UPDATE SET renew = 1",
			 "s", node);
}

/* Polls that wait are sent back by a new request for facts; they find the order then. */
static int wake(struct cluster *cluster)
{
	char *last = state_meta(&cluster->state, "refresh"), text[24];
	int64_t before = last ? strtoll(last, NULL, 10) : 0, now = state_now();

	free(last);
	snprintf(text, sizeof(text), "%lld", (long long)(now > before ? now : before + 1));
	return state_meta_set(&cluster->state, "refresh", text);
}

static json_t *report_node(struct cluster *cluster, const char *name)
{
	char *certificate = state_text(&cluster->state,
				       "SELECT certificate FROM nodes WHERE name = ?", "s", name);
	int64_t waits = 0;
	json_t *json;

	state_number(&cluster->state, &waits, "SELECT renew FROM agents WHERE node = ?", "s", name);
	json = json_pack("{s:s, s:s, s:i}", "name", name, "state",
			 !certificate ? "not enrolled"
			 : waits      ? "asked"
				      : "renewed",
			 "days", certificate ? renew_days(certificate) : 0);
	free(certificate);
	return json;
}

static enum cluster_exit show(struct cluster *cluster, json_t *nodes, bool control)
{
	enum cluster_exit status = CLUSTER_DONE;
	json_t *node;
	size_t i;

	json_array_foreach (nodes, i, node) {
		const char *state = json_string_value(json_object_get(node, "state"));

		if (strcmp(state, "renewed") != 0)
			status = CLUSTER_FAILED;
		if (cluster->json)
			continue;
		printf("%-16s %s%s\n", json_string_value(json_object_get(node, "name")), state,
		       !strcmp(state, "asked") ? ": it renews when its agent answers" : "");
	}
	if (cluster->json)
		cluster_print(json_pack("{s:b, s:O}", "control", control, "nodes", nodes));
	else if (control)
		puts("the control machine's certificate is new; a server that runs takes it up");
	return status;
}

static enum cluster_exit run_renew(struct cluster *cluster, char **arguments, unsigned count)
{
	struct config *config = cluster_config(cluster, NULL);
	json_t *nodes = json_array();
	bool control = false;
	enum cluster_exit status;
	int err = 0;

	if (!config)
		return CLUSTER_USAGE;
	if (!count || values.ca)
		err = renew_control(cluster, config, values.ca, true, &control);
	for (unsigned i = 0; i < config->nodes_count && !err; i++)
		if (wanted(config->nodes[i].name, arguments, count))
			err = order(cluster, config->nodes[i].name);
	if (!err)
		err = wake(cluster);
	if (!err)
		state_await_none(&cluster->state, values.wait,
				 "SELECT count(*) FROM agents WHERE renew != ?", 0);
	for (unsigned i = 0; i < config->nodes_count; i++)
		if (wanted(config->nodes[i].name, arguments, count))
			json_array_append_new(nodes, report_node(cluster, config->nodes[i].name));
	if (err)
		cluster_complain("%s: %s", cluster->directory, strerror(-err));
	status = err ? CLUSTER_ERROR : show(cluster, nodes, control);
	if (!err && !json_array_size(nodes)) {
		cluster_complain("the cluster file has no such node");
		status = CLUSTER_USAGE;
	}
	json_decref(nodes);
	config_free(config);
	return status;
}

static int forget(struct cluster *cluster, const char *node)
{
	static const char *const statements[] = {
		"DELETE FROM tokens WHERE node = ?", "DELETE FROM pending WHERE node = ?",
		"DELETE FROM items WHERE node = ?",  "DELETE FROM agents WHERE node = ?",
		"DELETE FROM nodes WHERE name = ?",
	};
	int err = state_begin(&cluster->state);

	if (err)
		return err;
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]) && !err; i++)
		err = state_run(&cluster->state, NULL, statements[i], "s", node);
	if (!err && sqlite3_changes(cluster->state.db) != 1)
		err = -ENOENT;
	if (!err)
		err = documents_shut_out(cluster, node);
	return state_end(&cluster->state, err);
}

static enum cluster_exit run_revoke(struct cluster *cluster, char **arguments, unsigned count)
{
	enum cluster_exit status = CLUSTER_DONE;
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++) {
		int err = forget(cluster, arguments[i]);

		if (err) {
			cluster_complain("%s: %s", arguments[i],
					 err == -ENOENT ? "it is not enrolled"
							: state_why(&cluster->state));
			status = CLUSTER_ERROR;
			continue;
		}
		json_array_append_new(list, json_string(arguments[i]));
		if (!cluster->json)
			printf("%s is shut out; what is installed there stays. Let it in again: "
			       "sluice-cluster enrol %s\n",
			       arguments[i], arguments[i]);
	}
	if (cluster->json)
		cluster_print(json_pack("{s:O}", "revoked", list));
	json_decref(list);
	return status;
}

const struct cluster_command command_renew = {
	.name = "renew",
	.arguments = "[NODE]...",
	.summary = "new certificates, now (they renew by themselves)",
	.most = CONFIG_NODES_MAX,
	.options = renew_options,
	.options_count = sizeof(renew_options) / sizeof(renew_options[0]),
	.values = &values,
	.run = run_renew,
};

const struct cluster_command command_revoke = {
	.name = "revoke",
	.arguments = "NODE...",
	.summary = "shut machines out: their certificates count no more",
	.least = 1,
	.most = CONFIG_NODES_MAX,
	.run = run_revoke,
};
