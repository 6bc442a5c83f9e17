/* SPDX-License-Identifier: BSD-2-Clause */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/conf_impl.h"
#include "../lib/desired.h"
#include "config_check.h"

#define FILE_MAX (1u << 20)
#define TEXT_MAX 4096

const char *const config_mode_names[CONFIG_MODES + 1] = { "auto", "parallel", "stream", "swarm",
							  NULL };

/* clang-format off */
#define OPT CYAML_FLAG_OPTIONAL
#define UINT(key, type, member) CYAML_FIELD_UINT(key, OPT, type, member)
#define TEXT(key, type, member) CYAML_FIELD_STRING_PTR(key, OPT | CYAML_FLAG_POINTER, type, member, 1, TEXT_MAX)
#define NEED(key, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, TEXT_MAX)
#define LIST(key, type, member, entry, most) CYAML_FIELD_SEQUENCE(key, OPT | CYAML_FLAG_POINTER, type, member, entry, 1, most)

static const cyaml_strval_t mode_words[] = {
	{ "auto", CONFIG_AUTO },
	{ "parallel", CONFIG_PARALLEL },
	{ "stream", CONFIG_STREAM },
	{ "swarm", CONFIG_SWARM },
};

static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255) };

static const cyaml_schema_field_t variable_fields[] = {
	NEED("name", struct config_variable, name),
	NEED("value", struct config_variable, value),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t variable_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_variable, variable_fields) };

static const cyaml_schema_field_t route_fields[] = {
	NEED("to", struct config_route, to),
	NEED("via", struct config_route, via),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t route_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_route, route_fields) };

static const cyaml_schema_field_t link_fields[] = {
	NEED("interface", struct config_link, interface),
	TEXT("parent", struct config_link, parent),
	UINT("vlan", struct config_link, vlan),
	UINT("mtu", struct config_link, mtu),
	LIST("addresses", struct config_link, addresses, &text_entry, 16),
	TEXT("gateway", struct config_link, gateway),
	LIST("routes", struct config_link, routes, &route_entry, 64),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t link_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_link, link_fields) };

static const cyaml_schema_field_t store_fields[] = {
	NEED("path", struct config_store, path),
	TEXT("device", struct config_store, device),
	TEXT("fs", struct config_store, fs),
	TEXT("group", struct config_store, group),
	TEXT("volume", struct config_store, volume),
	TEXT("size", struct config_store, size),
	TEXT("owner", struct config_store, owner),
	TEXT("mode", struct config_store, mode),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t store_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_store, store_fields) };

static const cyaml_schema_field_t node_fields[] = {
	NEED("name", struct config_node, name),
	NEED("address", struct config_node, address),
	LIST("network", struct config_node, network, &link_entry, 32),
	LIST("storage", struct config_node, storage, &store_entry, 32),
	LIST("components", struct config_node, components, &text_entry, CONFIG_ITEMS_MAX),
	LIST("software", struct config_node, software, &text_entry, CONFIG_ITEMS_MAX),
	LIST("variables", struct config_node, variables, &variable_entry, 256),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t node_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_node, node_fields) };

static const cyaml_schema_field_t control_fields[] = {
	NEED("address", struct config_control, address),
	UINT("port", struct config_control, port),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t root_fields[] = {
	NEED("cluster", struct config, cluster),
	CYAML_FIELD_MAPPING("control", CYAML_FLAG_DEFAULT, struct config, control, control_fields),
	CYAML_FIELD_ENUM("mode", OPT | CYAML_FLAG_STRICT, struct config, mode, mode_words, CYAML_ARRAY_LEN(mode_words)),
	UINT("parallel", struct config, parallel),
	UINT("peer_port", struct config, peer_port),
	UINT("peer_trust", struct config, peer_trust),
	UINT("max_failed", struct config, max_failed),
	UINT("deadline", struct config, deadline),
	UINT("step_deadline", struct config, step_deadline),
	LIST("components", struct config, components, &text_entry, CONFIG_ITEMS_MAX),
	LIST("software", struct config, software, &text_entry, CONFIG_ITEMS_MAX),
	LIST("variables", struct config, variables, &variable_entry, 256),
	CYAML_FIELD_SEQUENCE("nodes", CYAML_FLAG_POINTER, struct config, nodes, &node_entry, 1, CONFIG_NODES_MAX),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t root = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, root_fields) };
/* clang-format on */

static const cyaml_config_t *cyaml_config(cyaml_config_t *config)
{
	*config = conf_cyaml_quiet;
	config->flags |= CYAML_CFG_NO_ALIAS;
	return config;
}

static void fill_defaults(struct config *config)
{
	if (!config->control.port)
		config->control.port = 8443;
	if (!config->peer_port)
		config->peer_port = 8444;
	if (!config->peer_trust)
		config->peer_trust = DESIRED_TRUST;
	if (!config->parallel)
		config->parallel = 5;
	if (!config->deadline)
		config->deadline = 600;
	if (!config->step_deadline)
		config->step_deadline = 1800;
}

int config_parse(const char *name, const void *text, size_t len, struct config **ret_config,
		 char **ret_why)
{
	struct conf_report report = { .name = name };
	struct config *config = NULL;
	struct conf_doc doc = { 0 };
	cyaml_config_t settings;
	int err = conf_doc_open(&doc, &report, text, len);

	if (!err && conf_doc_empty(&doc))
		conf_report_at(&report, 0, 0, "the file is empty; see sluice-cluster(1)");
	else if (!err)
		conf_doc_compare(&doc, &root, &report);
	if (!err && !report.count &&
	    cyaml_load_data(text, len, cyaml_config(&settings), &root, (cyaml_data_t **)&config,
			    NULL) != CYAML_OK)
		conf_report_at(&report, 0, 0, "this cannot be read; see sluice-cluster(1)");
	if (config) {
		fill_defaults(config);
		config_check(config, &doc, &report);
	}
	conf_doc_close(&doc);
	if (!err)
		err = report.oom ? -ENOMEM : report.count ? -EINVAL : 0;
	if (err) {
		*ret_why = report.text;
		config_free(config);
		return err;
	}
	free(report.text);
	*ret_config = config;
	return 0;
}

int config_load(const char *path, struct config **ret_config, char **ret_why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	char *text = fd < 0 ? NULL : malloc(FILE_MAX + 1);
	ssize_t n = text ? read(fd, text, FILE_MAX + 1) : -1;

	*ret_why = NULL;
	if (n < 0 || n > (ssize_t)FILE_MAX) {
		err = n > 0 ? -EFBIG : -errno;
		if (asprintf(ret_why, "%s: %s", path, strerror(-err)) < 0)
			*ret_why = NULL;
	} else {
		err = config_parse(path, text, (size_t)n, ret_config, ret_why);
	}
	free(text);
	if (fd >= 0)
		close(fd);
	return err;
}

void config_free(struct config *config)
{
	cyaml_config_t settings;

	if (config)
		cyaml_free(cyaml_config(&settings), &root, config, 0);
}

const struct config_node *config_node(const struct config *config, const char *name)
{
	for (unsigned i = 0; i < config->nodes_count; i++)
		if (!strcmp(config->nodes[i].name, name))
			return &config->nodes[i];
	return NULL;
}

static const char *find_variable(const struct config_variable *variables, unsigned count,
				 const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(variables[i].name, name))
			return variables[i].value;
	return NULL;
}

const char *config_variable(const struct config *config, const struct config_node *node,
			    const char *name)
{
	const char *value = find_variable(node->variables, node->variables_count, name);

	if (!value)
		value = find_variable(config->variables, config->variables_count, name);
	if (value)
		return value;
	if (!strcmp(name, "node"))
		return node->name;
	if (!strcmp(name, "address"))
		return node->address;
	if (!strcmp(name, "cluster"))
		return config->cluster;
	return !strcmp(name, "control") ? config->control.address : NULL;
}
