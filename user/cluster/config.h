/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cluster.yaml: which machines there are and what is wanted on each. Read by libcyaml against
 * a schema, as strictly as sluice.yaml; what is returned is complete and checked.
 */
#ifndef CLUSTER_CONFIG_H
#define CLUSTER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_NODES_MAX   256
#define CONFIG_ITEMS_MAX   64
#define CONFIG_SWARM_ABOVE 3

/* auto: swarm above CONFIG_SWARM_ABOVE nodes, else parallel. */
enum config_mode { CONFIG_AUTO, CONFIG_PARALLEL, CONFIG_STREAM, CONFIG_SWARM, CONFIG_MODES };
extern const char *const config_mode_names[CONFIG_MODES + 1];

struct config_variable {
	char *name, *value;
};

struct config_route {
	char *to, *via;
};

struct config_link {
	char *interface;    /* of the VLAN, when there is one */
	char *parent;	    /* the interface the VLAN is on; NULL: none */
	uint16_t vlan, mtu; /* 0: none, unchanged */
	char **addresses;
	unsigned addresses_count;
	char *gateway;
	struct config_route *routes;
	unsigned routes_count;
};

struct config_store {
	char *path, *device, *fs;
	char *group, *volume, *size; /* LVM: the device becomes a physical volume of the group */
	char *owner, *mode;
};

struct config_node {
	char *name, *address;
	struct config_link *network;
	unsigned network_count;
	struct config_store *storage;
	unsigned storage_count;
	char **components, **software; /* instead of the cluster's */
	unsigned components_count, software_count;
	struct config_variable *variables; /* win over the cluster's */
	unsigned variables_count;
};

struct config_control {
	char *address;
	uint16_t port;
};

#define CONFIG_DEADLINE_LEAST	   20
#define CONFIG_STEP_DEADLINE_LEAST 10

struct config {
	char *cluster;
	struct config_control control;
	enum config_mode mode;
	uint16_t parallel, max_failed;
	uint16_t peer_port;	/* where nodes dial each other, in mode swarm */
	uint32_t peer_trust;	/* seconds, after a node heard of the control machine last */
	uint32_t deadline;	/* seconds a node may be silent */
	uint32_t step_deadline; /* seconds without progress of what a node does */
	char **components, **software;
	unsigned components_count, software_count;
	struct config_variable *variables;
	unsigned variables_count;
	struct config_node *nodes;
	unsigned nodes_count;
};

/* 0, or -errno with *ret_why, malloc'd: one line for each mistake, "FILE:LINE:COL: …". */
int config_load(const char *path, struct config **ret_config, char **ret_why);
int config_parse(const char *name, const void *text, size_t len, struct config **ret_config,
		 char **ret_why);
void config_free(struct config *config);

const struct config_node *config_node(const struct config *config, const char *name);
/* A variable's value for a node; NULL: there is none. "node", "address", "cluster" and
 * "control" always have one. */
const char *config_variable(const struct config *config, const struct config_node *node,
			    const char *name);

/* What names of clusters, nodes and variables look like. */
bool config_name_valid(const char *text);

#endif
