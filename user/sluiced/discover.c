/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events only mark a namespace; it is then looked at as a whole, a few namespaces at a time, so
 * that a thousand that appear at once neither stall the loop nor need an order of events. A slow
 * sweep looks at everything again and again, for what no event tells.
 *
 *   inotify ──▶ name came ─┐
 *   netlink ──▶ link event ┼─▶ spaces.c: marked ──▶ on_work: look() ──▶ tenants.c
 *   sweep   ──▶ its turn ──┘
 */
#include "discover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../gate/discover.h"
#include "../gate/netns.h"
#include "../lib/glob.h"
#include "../lib/log.h"
#include "generation.h"
#include "spaces.h"
#include "supervise.h"
#include "tenants.h"

#define WORK_MS	    1	/* pause in which others get the loop */
#define WORK_BATCH  16	/* namespaces looked at in a go */
#define RETRY_MS    5	/* a name that is no namespace yet */
#define RETRIES	    400 /* then it is taken for a left-over file */
#define SWEEP_MS    3000
#define SWEEP_PARTS 10
#define LINKS_MAX   4096 /* interfaces of one namespace that are looked at */

struct discover {
	struct sluiced *sluiced;
	int names, links, rules; /* inotify, netlink, and again for packet filters (-1: none) */
	struct loop_watch names_watch, links_watch, rules_watch;
	struct loop_timer work, sweep;
	struct spaces spaces;
	unsigned part;
	uint64_t own; /* inode of the namespace we live in */
	bool stream;  /* a tenant came or went whose bridge needs workers of its own */
};

/* ---- marked: to be looked at ------------------------------------------------------------ */

static void work_soon(struct discover *discover)
{
	if (!discover->work.set)
		loop_timer_start(&discover->sluiced->loop, &discover->work, WORK_MS,
				 discover->work.fire);
}

static void mark(struct discover *discover, struct space *space)
{
	spaces_mark(&discover->spaces, space);
	work_soon(discover);
}

static void learn(struct discover *discover, const char *name, bool listed)
{
	/* Without memory now, the sweep comes again. */
	if (!spaces_learn(&discover->spaces, name, listed))
		work_soon(discover);
}

static bool lives_in(const struct tenant *tenant, const struct space *space)
{
	return !strcmp(want_space(tenant->want.netns), space->name);
}

/* Namespaces that tenants name and no event brought. */
static void learn_from_tenants(struct discover *discover)
{
	struct tenant *tenant = NULL;

	while ((tenant = tenants_next(discover->sluiced->tenants, tenant)))
		if (!spaces_find(&discover->spaces, want_space(tenant->want.netns)))
			learn(discover, want_space(tenant->want.netns), false);
}

/* ---- one namespace --------------------------------------------------------------------------- */

struct link_list {
	struct {
		char name[IFNAMSIZ];
		uint32_t ifindex;
	} * links;
	size_t count;
	bool failed;
};

static void collect_link(const char *name, uint32_t ifindex, void *arg)
{
	struct link_list *list = arg;
	void *grown;

	if (list->count == LINKS_MAX)
		return;
	grown = list->count % 16
			? list->links
			: reallocarray(list->links, list->count + 16, sizeof(*list->links));
	if (!grown) {
		list->failed = true;
		return;
	}
	list->links = grown;
	snprintf(list->links[list->count].name, IFNAMSIZ, "%s", name);
	list->links[list->count++].ifindex = ifindex;
}

static void serve(struct discover *discover, struct space *space, const char *interface)
{
	struct tenants *tenants = discover->sluiced->tenants;
	static struct log_limit limit = LOG_LIMIT(60000, 10);
	char name[SL_NAME_MAX], network[SL_NAME_MAX];
	struct tenant_want want;
	struct tenant *tenant = NULL;
	uint32_t left_out;
	bool fresh;

	if (!want_discovered(&want, discover->sluiced->generation->conf, space->name,
			     (char *)interface, name, network, sizeof(name)))
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
	discover->stream |= fresh && want.bridge == CONF_BRIDGE_STREAM;
}

/* Brings the tenants of a namespace to what it holds; list is empty when it is gone. */
static void settle(struct discover *discover, struct space *space, const struct link_list *list)
{
	struct tenants *tenants = discover->sluiced->tenants;
	struct tenant *tenant = NULL, *next;

	while ((tenant = tenants_next_in(tenants, space->name, tenant))) {
		tenant->kept = false;
		if (!tenant->discovered)
			tenants_tend(tenants, tenant);
	}
	for (size_t i = 0; space->listed && i < list->count; i++)
		serve(discover, space, list->links[i].name);
	for (tenant = tenants_next_in(tenants, space->name, NULL); tenant; tenant = next) {
		next = tenants_next_in(tenants, space->name, tenant);
		if (!tenant->discovered || tenant->kept)
			continue;
		discover->stream |= tenant->want.bridge == CONF_BRIDGE_STREAM;
		tenants_drop(tenants, tenant);
	}
}

/* The namespace is left before anything is decided. 0 or -errno. */
static int look_inside(struct discover *discover, struct space *space, int ns,
		       struct link_list *list)
{
	struct netns_visit visit;
	int32_t nsid = DISCOVER_NO_NSID;
	/* Before the look: what changes after it is an event. */
	int err = netns_inode_of(ns) == discover->own ? 0 : discover_assign_nsid(ns, &nsid);

	if (err)
		return err;
	spaces_set_nsid(&discover->spaces, space, nsid);
	err = netns_enter(&visit, ns);
	if (err)
		return err;
	err = discover_each_link(collect_link, list);
	netns_leave(&visit);
	return !err && list->failed ? -ENOMEM : err;
}

/* The namespaces of others are not even looked into. */
static bool concerns_us(const struct discover *discover, const struct space *space)
{
	const struct conf *conf = discover->sluiced->generation->conf;

	for (unsigned i = 0; space->listed && i < conf->discover_count; i++) {
		struct glob_captures captures = { 0 };

		if (glob_match(conf->discover[i].namespaces, space->name, &captures))
			return true;
	}
	return tenants_next_in(discover->sluiced->tenants, space->name, NULL);
}

/* A namespace that is gone is forgotten. */
static void look(struct discover *discover, struct space *space)
{
	struct link_list list = { 0 };
	int ns, err;

	if (!concerns_us(discover, space)) {
		if (!space->listed || !netns_inode(space->name))
			spaces_forget(&discover->spaces, space);
		return;
	}
	ns = netns_open(space->name);
	err = ns < 0 ? ns : 0;
	if (err == -EINVAL && space->retries < RETRIES) {
		/* Made, but not mounted yet: ip-netns(8) does one after the other. */
		space->retries++;
		mark(discover, space);
		return;
	}
	if (!err) {
		err = look_inside(discover, space, ns, &list);
		close(ns);
	}
	if (!err || err == -ENOENT || err == -ESRCH || err == -EINVAL)
		settle(discover, space, &list);
	else if (err == -EAGAIN)
		mark(discover, space); /* it changed under the look */
	else
		log_error("namespace %s cannot be looked into: %s", space->name, strerror(-err));
	free(list.links);
	if (err == -ENOENT || err == -ESRCH)
		spaces_forget(&discover->spaces, space);
}

/* ---- turns --------------------------------------------------------------------------------- */

static void on_work(struct loop_timer *timer)
{
	struct discover *discover = container_of(timer, struct discover, work);
	struct spaces *spaces = &discover->spaces;
	/* What is marked again meanwhile has its turn in the next batch. */
	size_t batch = spaces->ndirty < WORK_BATCH ? spaces->ndirty : WORK_BATCH;

	while (batch--)
		look(discover, spaces_take(spaces));
	if (discover->stream) {
		discover->stream = false;
		supervise_apply(discover->sluiced->supervise);
	}
	if (spaces->dirty)
		loop_timer_start(&discover->sluiced->loop, timer,
				 spaces->dirty->retries ? RETRY_MS : WORK_MS, on_work);
}

static void list_name(const char *name, void *arg)
{
	learn(arg, name, true);
}

static void learn_all(struct discover *discover)
{
	int err = discover_each_name(list_name, discover);

	if (err && err != -ENOENT)
		log_error("/run/netns cannot be read: %s", strerror(-err));
	learn_from_tenants(discover);
	for (size_t i = 0; i < discover->spaces.count; i++)
		mark(discover, discover->spaces.list[i]);
}

static void on_name(enum discover_name_event event, const char *name, void *arg)
{
	struct discover *discover = arg;
	struct space *space = name ? spaces_find(&discover->spaces, name) : NULL;

	if (event == DISCOVER_NAMES_LOST)
		learn_all(discover);
	else if (event == DISCOVER_NAME_CAME)
		learn(discover, name, true);
	else if (space)
		mark(discover, space);
}

static void on_names(struct loop_watch *watch, uint32_t events)
{
	struct discover *discover = container_of(watch, struct discover, names_watch);
	int err = discover_read_names(discover->names, on_name, discover);

	if (err) {
		log_error("inotify: %s; namespaces are found by sweeps alone", strerror(-err));
		loop_unwatch(&discover->sluiced->loop, watch);
	}
}

static void on_link(int32_t nsid, const char *name, void *arg)
{
	struct discover *discover = arg;
	struct space *space = NULL;

	while ((space = spaces_next_with(&discover->spaces, nsid, space)))
		mark(discover, space);
}

/* err: events were lost, and which they were nobody knows. */
static void read_ended(struct discover *discover, int err)
{
	static struct log_limit limit = LOG_LIMIT(60000, 1);
	uint32_t left_out;

	if (!err)
		return;
	if (log_allowed(&limit, &left_out))
		log_warn("netlink events were lost (%s): looking at every namespace",
			 strerror(-err));
	learn_all(discover);
}

static void on_links(struct loop_watch *watch, uint32_t events)
{
	struct discover *discover = container_of(watch, struct discover, links_watch);

	read_ended(discover, discover_read_links(discover->links, on_link, discover));
}

static void on_rules(struct loop_watch *watch, uint32_t events)
{
	struct discover *discover = container_of(watch, struct discover, rules_watch);

	read_ended(discover, discover_read_rules(discover->rules, on_link, discover));
}

/* ---- the sweep ------------------------------------------------------------------------------- */

struct stray_list {
	struct tenants *tenants;
	struct sl_iface_key *keys;
	size_t count;
};

static int collect_stray(const struct sl_iface_key *key, const struct sl_iface *iface, void *arg)
{
	struct stray_list *list = arg;
	struct sl_iface_key *grown;

	if (tenants_by_iface(list->tenants, key))
		return 0;
	grown = reallocarray(list->keys, list->count + 1, sizeof(*list->keys));
	if (!grown)
		return -ENOMEM;
	list->keys = grown;
	list->keys[list->count++] = *key;
	return 0;
}

/* Entries nobody stands for and links whose interface is gone: none, unless something failed. */
static void collect_garbage(struct discover *discover)
{
	struct gate_load *load = discover->sluiced->load;
	struct stray_list list = { .tenants = discover->sluiced->tenants };
	int links = gate_load_collect_links(load);

	gate_load_iface_each(load, collect_stray, &list);
	for (size_t i = 0; i < list.count; i++)
		gate_load_iface_del(load, &list.keys[i]);
	if (links > 0 || list.count)
		log_warn("removed %d links and %zu interface entries that belonged to nobody",
			 links > 0 ? links : 0, list.count);
	free(list.keys);
}

static void on_sweep(struct loop_timer *timer)
{
	struct discover *discover = container_of(timer, struct discover, sweep);

	discover->part = (discover->part + 1) % SWEEP_PARTS;
	for (size_t i = discover->part; i < discover->spaces.count; i += SWEEP_PARTS)
		mark(discover, discover->spaces.list[i]);
	if (!discover->part) {
		learn_from_tenants(discover);
		collect_garbage(discover);
	}
	loop_timer_start(&discover->sluiced->loop, timer, SWEEP_MS, on_sweep);
}

/* ---- life ---------------------------------------------------------------------------------- */

int discover_new(struct sluiced *sluiced, struct discover **ret)
{
	struct discover *discover = calloc(1, sizeof(*discover));
	int err = 0;

	if (!discover)
		return -ENOMEM;
	discover->sluiced = sluiced;
	discover->names_watch.fd = discover->links_watch.fd = discover->rules_watch.fd = -1;
	discover->work.fire = on_work;
	discover->own = netns_inode("/proc/self/ns/net");
	discover->names = discover_open_names();
	discover->links = discover_open_links();
	discover->rules = discover_open_rules();
	if (discover->names < 0 || discover->links < 0)
		err = discover->names < 0 ? discover->names : discover->links;
	if (!err)
		err = loop_watch(&sluiced->loop, &discover->names_watch, discover->names, EPOLLIN,
				 on_names);
	if (!err)
		err = loop_watch(&sluiced->loop, &discover->links_watch, discover->links, EPOLLIN,
				 on_links);
	/* Without it the sweep finds out. */
	if (!err && discover->rules >= 0)
		err = loop_watch(&sluiced->loop, &discover->rules_watch, discover->rules, EPOLLIN,
				 on_rules);
	if (err) {
		discover_free(discover);
		return err;
	}
	loop_timer_start(&sluiced->loop, &discover->sweep, SWEEP_MS, on_sweep);
	*ret = discover;
	return 0;
}

void discover_free(struct discover *discover)
{
	struct loop *loop;

	if (!discover)
		return;
	loop = &discover->sluiced->loop;
	loop_timer_stop(loop, &discover->work);
	loop_timer_stop(loop, &discover->sweep);
	loop_unwatch(loop, &discover->names_watch);
	loop_unwatch(loop, &discover->links_watch);
	loop_unwatch(loop, &discover->rules_watch);
	if (discover->names >= 0)
		close(discover->names);
	if (discover->links >= 0)
		close(discover->links);
	if (discover->rules >= 0)
		close(discover->rules);
	spaces_free(&discover->spaces);
	free(discover);
}

void discover_apply(struct discover *discover)
{
	learn_all(discover);
}

void discover_tenant(struct discover *discover, const struct tenant *tenant)
{
	learn(discover, want_space(tenant->want.netns), false);
}
