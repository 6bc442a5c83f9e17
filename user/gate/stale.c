/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a daemon that crashed left behind: the pinned maps say which interfaces (by
 * namespace cookie and ifindex) still carry its filters, the namespaces are looked for
 * under /run/netns and in /proc. A new daemon calls this before it attaches anything.
 */
#include "gate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/log.h"
#include "link.h"
#include "netns.h"

struct stale_iface {
	struct sl_iface_key key;
	uint32_t l3_ifindex;
	bool marked, visited;
};

struct stale {
	struct gate_load *load;
	bool (*keep)(const struct sl_iface_key *key, void *arg);
	void *keep_arg;
	struct stale_iface *ifaces;
	size_t count, left;
	uint64_t *inodes; /* namespaces looked at */
	size_t ninodes;
};

static int add(struct stale *stale, const struct stale_iface *iface)
{
	struct stale_iface *grown =
		reallocarray(stale->ifaces, stale->count + 1, sizeof(*stale->ifaces));

	if (!grown)
		return -ENOMEM;
	stale->ifaces = grown;
	stale->ifaces[stale->count++] = *iface;
	stale->left = stale->count;
	return 0;
}

static int collect(const struct sl_iface_key *key, const struct sl_iface *iface, void *arg)
{
	struct stale *stale = arg;

	if (stale->keep(key, stale->keep_arg))
		return 0;
	return add(stale, &(struct stale_iface){ .key = *key,
						 .l3_ifindex = iface->l3_ifindex,
						 .marked = iface->mark });
}

static int collect_relics(struct stale *stale, const struct relics *relics)
{
	int err = 0;

	/* What marked meant then is unknown; where there is no such rule, none is removed. */
	for (size_t i = 0; !err && i < relics->count; i++)
		err = add(stale, &(struct stale_iface){
					 .key = { .netns_cookie = relics->list[i].netns_cookie,
						  .ifindex = relics->list[i].ifindex },
					 .l3_ifindex = relics->list[i].l3_ifindex,
					 .marked = true });
	return err;
}

/* Ids are copied first: the map must not change while it is walked. */
struct id_list {
	const struct stale *stale;
	uint32_t *ids;
	size_t count;
};

static int collect_tenant(uint32_t id, const struct sl_tenant *tenant, void *arg)
{
	struct id_list *list = arg;
	const struct sl_iface_key key = { .netns_cookie = tenant->netns_cookie,
					  .ifindex = tenant->ifindex };
	uint32_t *grown;

	if (list->stale->keep(&key, list->stale->keep_arg))
		return 0;
	grown = reallocarray(list->ids, list->count + 1, sizeof(*list->ids));
	if (!grown)
		return -ENOMEM;
	list->ids = grown;
	list->ids[list->count++] = id;
	return 0;
}

/* In the namespace with this cookie. */
static void clean_here(struct stale *stale, uint64_t cookie)
{
	for (size_t i = 0; i < stale->count; i++) {
		struct stale_iface *iface = &stale->ifaces[i];

		if (iface->visited || iface->key.netns_cookie != cookie)
			continue;
		gate_load_detach_tc(stale->load, iface->key.ifindex);
		link_route_remove(AF_INET, iface->l3_ifindex);
		link_route_remove(AF_INET6, iface->l3_ifindex);
		if (iface->marked)
			notrack_remove(&(struct notrack){ 0 }, iface->key.ifindex);
		iface->visited = true;
		stale->left--;
	}
}

static bool seen_before(struct stale *stale, uint64_t inode)
{
	uint64_t *grown;

	for (size_t i = 0; i < stale->ninodes; i++)
		if (stale->inodes[i] == inode)
			return true;
	grown = reallocarray(stale->inodes, stale->ninodes + 1, sizeof(*stale->inodes));
	if (grown) {
		stale->inodes = grown;
		stale->inodes[stale->ninodes++] = inode;
	}
	return false;
}

static void visit_namespace(struct stale *stale, const char *spec)
{
	struct netns_visit visit;
	uint64_t cookie;
	int ns = netns_open(spec);

	if (ns < 0)
		return;
	if (!seen_before(stale, netns_inode_of(ns)) && !netns_enter(&visit, ns)) {
		if (!netns_cookie(&cookie))
			clean_here(stale, cookie);
		netns_leave(&visit);
	}
	close(ns);
}

static void visit_all(struct stale *stale, const char *dir_path, bool processes)
{
	struct dirent *entry;
	char spec[NAME_MAX + 8];
	DIR *dir = opendir(dir_path);

	if (!dir)
		return;
	while (stale->left && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    (processes && !isdigit((unsigned char)entry->d_name[0])))
			continue;
		snprintf(spec, sizeof(spec), "%s%s", processes ? "pid:" : "", entry->d_name);
		visit_namespace(stale, spec);
	}
	closedir(dir);
}

int gate_clean_stale(struct gate_load *load, const struct relics *relics,
		     bool (*keep)(const struct sl_iface_key *key, void *arg), void *arg)
{
	struct stale stale = { .load = load, .keep = keep, .keep_arg = arg };
	struct id_list tenants = { .stale = &stale };
	int err = gate_load_iface_each(load, collect, &stale);

	if (!err)
		err = collect_relics(&stale, relics);
	if (!err)
		err = gate_load_tenant_each(load, collect_tenant, &tenants);
	if (err)
		goto out;
	visit_all(&stale, "/run/netns", false);
	visit_all(&stale, "/proc", true);
	if (stale.left)
		log_info("%zu interfaces of an earlier run are in namespaces that no longer exist",
			 stale.left);
	for (size_t i = 0; i < stale.count; i++) {
		struct stale_iface *iface = &stale.ifaces[i];

		gate_load_detach_xdp(load, &iface->key);
		gate_load_listener_del_all(load, iface->key.netns_cookie, iface->l3_ifindex);
		gate_load_iface_del(load, &iface->key);
	}
	for (size_t i = 0; i < tenants.count; i++)
		gate_load_tenant_del(load, tenants.ids[i]);
	gate_load_collect_links(load);
	err = (int)stale.count;
out:
	free(stale.ifaces);
	free(stale.inodes);
	free(tenants.ids);
	return err;
}
