/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What would change on each node, before anything does. A plan is JSON, for it is shown, kept and
 * carried out:
 *
 *   {"bundle": {"name", "version", "manifest"}, "changes": N, "problems": ["…"], "mode": "swarm",
 *    "nodes": [{"name", "address", "reachable", "problems": ["…"], "warnings": ["…"],
 *               "variables": {…},
 *               "items": [{"name", "id", "role", "action", "bytes", "new": ["pkg version"],
 *                          "upgrade": ["pkg old -> new"], "downgrade": […], "links"|"stores"}]}]}
 *
 * action: "install" (it is not there), "change" (it is, with other content or settings), "repair"
 * (its packages are not as they were), "keep" (its health is checked, nothing else), "remove".
 * Items stand in the order of doing. A problem says why it must not be done,
 * a warning, if there is any, what may come of it.
 */
#ifndef CLUSTER_PLAN_H
#define CLUSTER_PLAN_H

#include "../lib/bundle.h"
#include "cluster.h"

struct plan_options {
	const char *bundle; /* NULL: the last one */
	bool upgrade;	    /* packages that are there in an older version may be changed */
	bool failed_only;   /* nodes whose last item failed, or that are not done */
	char **nodes;	    /* these alone; none: all */
	unsigned nodes_count;
	uint32_t wait; /* seconds for agents to show up */
};

/* plan_basis.c: opens the bundle: signature, name and version that never goes back. Says why not.
 */
struct bundle *plan_bundle(struct cluster *cluster, const char *path, char **ret_path);
/* Asks agents to come back with fresh facts, and waits; facts are in the database then. */
int plan_refresh(struct cluster *cluster, unsigned seconds, int64_t *ret_since);

/* NULL when memory is out or the database fails (said). */
json_t *plan_make(struct cluster *cluster, const struct config *config, struct bundle *bundle,
		  const struct plan_options *options);
/*
 * A plan that takes away: everything, or what the run of run_plan added; in the reverse order of
 * last_plan. Both may be NULL.
 */
json_t *plan_removal(struct cluster *cluster, const struct config *config, const json_t *run_plan,
		     const json_t *last_plan, const struct plan_options *options);
/* For people. */
void plan_show(const json_t *plan);
/* Number of problems, those of nodes included. */
size_t plan_problems(const json_t *plan);

/* plan_check.c: what a node's own report says against an item; appends to problems. */
void plan_check_node(json_t *node, const json_t *facts, int64_t facts_at);
void plan_check_item(json_t *node, json_t *entry, const struct bundle_item *item,
		     const json_t *facts, bool upgrade);
/* Does the network scheme leave the node the address at which it is known? */
void plan_check_address(json_t *node, const struct config_node *config);
/* A tarball's directory and the storage: neither is in the other's way. facts may be NULL. */
void plan_check_places(json_t *node, const json_t *entry, const struct bundle_item *item,
		       const struct config_node *config, const json_t *facts);
void plan_problem(json_t *object, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
