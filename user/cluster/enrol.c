/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice-cluster enrol: one-time tokens, and the approval of machines that came without one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/opt.h"
#include "cluster.h"
#include "enrolment.h"

static struct enrol_options {
	const char *approve;
	uint32_t valid;
	bool pending, replace;
} values = { .valid = 24 * 3600 };

static const struct opt options[] = {
	{ OPT_TEXT, 0, "approve", "FINGERPRINT", "let in who asked without a token",
	  offsetof(struct enrol_options, approve), 0, 0, NULL },
	{ OPT_FLAG, 0, "pending", NULL, "list who asked without a token",
	  offsetof(struct enrol_options, pending), 0, 0, NULL },
	{ OPT_FLAG, 0, "replace", NULL, "the machine of this name is gone: shut it out",
	  offsetof(struct enrol_options, replace), 0, 0, NULL },
	{ OPT_NUMBER, 0, "valid", "SECONDS", "how long the token may be used (default 86400)",
	  offsetof(struct enrol_options, valid), 60, 30 * 86400, NULL },
};

static enum cluster_exit list_pending(struct cluster *cluster)
{
	json_t *rows = NULL, *row;
	size_t i;
	int err = state_run(&cluster->state, &rows,
			    "SELECT node, address, fingerprint, at FROM pending ORDER BY at", "");

	if (err) {
		cluster_complain("cluster.db: %s", state_why(&cluster->state));
		return CLUSTER_ERROR;
	}
	if (cluster->json) {
		cluster_print(rows);
		return CLUSTER_DONE;
	}
	json_array_foreach (rows, i, row)
		printf("%-16s %-20s %s\n", json_string_value(json_object_get(row, "node")),
		       json_string_value(json_object_get(row, "address")),
		       json_string_value(json_object_get(row, "fingerprint")));
	json_decref(rows);
	return CLUSTER_DONE;
}

static enum cluster_exit approve(struct cluster *cluster, const struct config *config)
{
	const char *node = "", *why = "";
	json_t *rows = NULL, *row;
	int err = name_hex_valid(values.approve, NAME_DIGEST_LEN) ? 0 : -EINVAL;

	if (!err)
		err = state_run(&cluster->state, &rows,
				"SELECT node, address, request FROM pending WHERE fingerprint = ?",
				"s", values.approve);
	row = json_array_get(rows, 0);
	if (err || !row) {
		cluster_complain("nobody with the fingerprint %s waits; see: sluice-cluster enrol "
				 "--pending",
				 values.approve);
		json_decref(rows);
		return CLUSTER_ERROR;
	}
	node = json_string_value(json_object_get(row, "node"));
	err = config_node(config, node) ? 0 : -ENOENT;
	if (err)
		why = "the cluster file has no such node";
	else
		err = enrolment_admit(
			cluster, node, json_string_value(json_object_get(row, "address")),
			json_string_value(json_object_get(row, "request")), NULL, &why);
	if (err)
		cluster_complain("%s: %s", node, why);
	else if (cluster->json)
		cluster_print(json_pack("{s:s, s:s}", "node", node, "fingerprint", values.approve));
	else
		printf("%s is let in\n", node);
	json_decref(rows);
	return err ? CLUSTER_ERROR : CLUSTER_DONE;
}

static enum cluster_exit give_token(struct cluster *cluster, const struct config *config,
				    const char *name)
{
	const struct config_node *node = config_node(config, name);
	char token[ENROLMENT_TOKEN_MAX + 1];
	int64_t enrolled = 0;
	int err;

	if (!node) {
		cluster_complain("the cluster file has no node '%s'", name);
		return CLUSTER_USAGE;
	}
	if (!values.replace &&
	    !state_number(&cluster->state, &enrolled, "SELECT enrolled FROM nodes WHERE name = ?",
			  "s", name)) {
		cluster_complain("%s is enrolled; if that machine is gone: sluice-cluster enrol "
				 "--replace %s",
				 name, name);
		return CLUSTER_REFUSED;
	}
	err = enrolment_token(cluster, node, values.replace, values.valid, token);
	if (err) {
		cluster_complain("%s: %s", name, strerror(-err));
		return CLUSTER_ERROR;
	}
	if (cluster->json)
		cluster_print(json_pack("{s:s, s:s, s:s, s:i, s:s}", "node", name, "address",
					node->address, "server", config->control.address, "port",
					config->control.port, "token", token));
	else
		printf("On %s (%s), within %u s, as root, and the token when it asks for it:\n"
		       "  sluice-agent cluster enrol --server %s:%u --token-file -\n"
		       "  %s\n",
		       name, node->address, values.valid, config->control.address,
		       config->control.port, token);
	return CLUSTER_DONE;
}

static enum cluster_exit run(struct cluster *cluster, char **arguments, unsigned count)
{
	struct config *config;
	enum cluster_exit status;

	if (values.pending)
		return list_pending(cluster);
	if (!values.approve == !count) {
		cluster_complain("enrol: give a NODE, or --approve FINGERPRINT, or --pending");
		return CLUSTER_USAGE;
	}
	config = cluster_config(cluster, NULL);
	if (!config)
		return CLUSTER_USAGE;
	status = values.approve ? approve(cluster, config)
				: give_token(cluster, config, arguments[0]);
	config_free(config);
	return status;
}

const struct cluster_command command_enrol = {
	.name = "enrol",
	.arguments = "[NODE]",
	.summary = "make a one-time token for a node, or approve one",
	.most = 1,
	.options = options,
	.options_count = sizeof(options) / sizeof(options[0]),
	.values = &values,
	.run = run,
};
