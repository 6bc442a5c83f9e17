/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a namespace holds is read as a whole and the namespace left again before anything is
 * decided. Rules make and drop only tenants that a rule made; the others are only tended.
 *
 *   interfaces ──▶ want.c: by a rule, whom? ──▶ tenants.c: added, changed, tended, dropped
 */
#include "settle.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../gate/discover.h"
#include "../gate/netns.h"
#include "../lib/glob.h"
#include "../lib/log.h"
#include "generation.h"
#include "spaces.h"
#include "tenants.h"

#define LINKS_MAX 4096 /* interfaces of one namespace that are looked at */

/* ---- what it holds ------------------------------------------------------------------------ */

struct link_list {
	char (*names)[IFNAMSIZ];
	size_t count;
	bool failed;
};

static void collect_link(const char *name, void *arg)
{
	struct link_list *list = arg;
	void *grown;

	if (list->count == LINKS_MAX)
		return;
	grown = list->count % 16
			? list->names
			: reallocarray(list->names, list->count + 16, sizeof(*list->names));
	if (!grown) {
		list->failed = true;
		return;
	}
	list->names = grown;
	snprintf(list->names[list->count++], IFNAMSIZ, "%s", name);
}

/* The namespace is left before anything is decided. 0 or -errno. */
static int list_links(int ns, struct link_list *list)
{
	struct netns_visit visit;
	int err = netns_enter(&visit, ns);

	if (err)
		return err;
	err = discover_each_link(collect_link, list);
	netns_leave(&visit);
	return !err && list->failed ? -ENOMEM : err;
}

/* ---- who is there for it ------------------------------------------------------------------ */

static bool lives_in(const struct tenant *tenant, const struct space *space)
{
	return !strcmp(want_space(tenant->want.netns), space->name);
}

static void serve(struct sluiced *sluiced, const struct space *space, const char *interface,
		  bool *stream)
{
	struct tenants *tenants = sluiced->tenants;
	static struct log_limit limit = LOG_LIMIT(60000, 10);
	char name[SL_NAME_MAX], network[SL_NAME_MAX];
	struct tenant_want want;
	struct tenant *tenant = NULL;
	uint32_t left_out;
	bool fresh;

	if (!want_discovered(&want, sluiced->generation->conf, space->name, (char *)interface, name,
			     network, sizeof(name)))
		return;
	/* Somebody asked for this interface in so many words: theirs. */
	while ((tenant = tenants_next_in(tenants, space->name, tenant)))
		if (!tenant->discovered && !strcmp(tenant->want.interface, interface))
			return;
	tenant = tenants_find(tenants, name);
	if (tenant && (!tenant->discovered || !lives_in(tenant, space) ||
		       (strcmp(tenant->want.interface, interface) && tenant->kept))) {
		if (log_allowed(&limit, &left_out))
			log_warn("%s in %s would be tenant %s, a name that %s in %s has already: "
				 "not served",
				 interface, space->name, name, tenant->want.interface,
				 tenant->want.netns);
		return;
	}
	fresh = !tenant;
	tenant = tenants_discovered(tenants, &want);
	if (tenant)
		tenant->kept = true;
	else if (log_allowed(&limit, &left_out))
		log_error("no room for tenant %s: raise limits.tenants", name);
	*stream |= fresh && want.bridge == CONF_BRIDGE_STREAM;
}

/* list is empty when the namespace is gone; torn: it may lack what is there. */
static void settle(struct sluiced *sluiced, const struct space *space, const struct link_list *list,
		   bool torn, bool *stream)
{
	struct tenants *tenants = sluiced->tenants;
	struct tenant *tenant, *next;

	for (tenant = tenants_next_in(tenants, space->name, NULL); tenant; tenant = next) {
		next = tenants_next_in(tenants, space->name, tenant);
		tenant->kept = false;
		if (!tenant->discovered)
			tenants_tend(tenants, tenant);
	}
	for (size_t i = 0; space->listed && i < list->count; i++)
		serve(sluiced, space, list->names[i], stream);
	if (torn)
		return;
	for (tenant = tenants_next_in(tenants, space->name, NULL); tenant; tenant = next) {
		next = tenants_next_in(tenants, space->name, tenant);
		if (!tenant->discovered || tenant->kept)
			continue;
		*stream |= tenant->want.bridge == CONF_BRIDGE_STREAM;
		tenants_drop(tenants, tenant);
	}
}

bool settle_concerns(const struct sluiced *sluiced, const struct space *space)
{
	const struct conf *conf = sluiced->generation->conf;

	for (unsigned i = 0; space->listed && i < conf->discover_count; i++) {
		struct glob_captures captures = { 0 };

		if (glob_match(conf->discover[i].namespaces, space->name, &captures))
			return true;
	}
	return tenants_next_in(sluiced->tenants, space->name, NULL);
}

int settle_space(struct sluiced *sluiced, const struct space *space, int ns, bool *stream)
{
	struct link_list list = { 0 };
	int err = ns < 0 ? ns : list_links(ns, &list);

	if (!err || err == -EAGAIN || err == -ENOENT || err == -ESRCH || err == -EINVAL)
		settle(sluiced, space, &list, err == -EAGAIN, stream);
	else
		log_error("namespace %s cannot be looked into: %s", space->name, strerror(-err));
	free(list.names);
	return err;
}
