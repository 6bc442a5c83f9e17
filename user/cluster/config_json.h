/* SPDX-License-Identifier: BSD-2-Clause */
/* What the cluster file says of a node, as plans and documents carry it. */
#ifndef CLUSTER_CONFIG_JSON_H
#define CLUSTER_CONFIG_JSON_H

#include <jansson.h>

struct config;
struct config_node;

/* {NAME: VALUE}: the cluster's and the node's own, and those that every node has. */
json_t *config_json_variables(const struct config *config, const struct config_node *node);
/* The two schemes: [{"interface", …}], [{"path", …}]. */
json_t *config_json_links(const struct config_node *node);
json_t *config_json_stores(const struct config_node *node);

#endif
