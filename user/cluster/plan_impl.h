/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two ways of planning, apply's (plan.c) and taking away (plan_remove.c), share. */
#ifndef CLUSTER_PLAN_IMPL_H
#define CLUSTER_PLAN_IMPL_H

#include "plan.h"

struct planning {
	struct cluster *cluster;
	const struct config *config;
	const struct bundle_manifest *manifest;
	json_t *manifest_json; /* its items as they were signed: what identities are made of */
	const struct plan_options *options;
	int64_t since; /* agents seen after this are there */
	json_t *last;  /* the report of the last apply or retry, when only what failed is wanted */
};

/* A node's part of a plan, without items yet; *ret_facts: what it tells of itself, or NULL. */
json_t *planning_node(struct planning *planning, const struct config_node *node,
		      json_t **ret_facts);
/* Do the options leave this node in? */
bool planning_wants(const struct planning *planning, const struct config_node *node);
void planning_count(json_t *plan);

#endif
