/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events only mark a namespace; it is then looked at as a whole, a few namespaces at a time, so
 * that a thousand that appear at once neither stall the loop nor need an order of events. A slow
 * sweep looks at everything again and again, for what no event tells.
 *
 *   inotify ──▶ name came ─┐
 *   netlink ──▶ link event ┼─▶ spaces.c: marked ──▶ on_work: look() ──▶ settle.c
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
#include "../lib/log.h"
#include "settle.h"
#include "spaces.h"
#include "supervise.h"
#include "tenants.h"

#define WORK_MS	    1	/* pause in which others get the loop */
#define WORK_BATCH  16	/* namespaces looked at in a go */
#define TORN_MS	    50	/* a namespace that changed under a look may be changing still */
#define RETRY_MS    5	/* a name that is no namespace yet */
#define RETRIES	    400 /* then it is taken for a left-over file */
#define SWEEP_MS    3000
#define SWEEP_PARTS 10

struct discover {
	struct sluiced *sluiced;
	int names, links, rules; /* inotify, netlink, and again for packet filters (-1: none) */
	struct loop_watch names_watch, links_watch, rules_watch;
	struct loop_timer work, sweep;
	struct spaces spaces;
	unsigned part;
	uint64_t own; /* inode of the namespace we live in */
	bool stream;  /* supervise_apply() is due */
	bool torn;    /* a namespace changed under a look */
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

/* Namespaces that tenants name and no event brought. */
static void learn_from_tenants(struct discover *discover)
{
	struct tenant *tenant = NULL;

	while ((tenant = tenants_next(discover->sluiced->tenants, tenant)))
		if (!spaces_find(&discover->spaces, want_space(tenant->want.netns)))
			learn(discover, want_space(tenant->want.netns), false);
}

/* ---- one namespace --------------------------------------------------------------------------- */

/* Before the look: what changes after it is an event. 0 or -errno. */
static int know_by_nsid(struct discover *discover, struct space *space, int ns)
{
	int32_t nsid = DISCOVER_NO_NSID;
	int err = netns_inode_of(ns) == discover->own ? 0 : discover_assign_nsid(ns, &nsid);

	if (!err)
		spaces_set_nsid(&discover->spaces, space, nsid);
	return err;
}

/* A namespace that is gone is forgotten. */
static void look(struct discover *discover, struct space *space)
{
	int ns, err;

	if (!settle_concerns(discover->sluiced, space)) {
		if (!space->listed || !netns_inode(space->name))
			spaces_forget(&discover->spaces, space);
		return;
	}
	ns = netns_open(space->name);
	if (ns == -EINVAL && space->retries < RETRIES) {
		/* Made, but not mounted yet: ip-netns(8) does one after the other. */
		space->retries++;
		mark(discover, space);
		return;
	}
	err = ns < 0 ? ns : know_by_nsid(discover, space, ns);
	err = settle_space(discover->sluiced, space, err ? err : ns, &discover->stream);
	if (ns >= 0)
		close(ns);
	if (err == -EAGAIN) {
		discover->torn = true;
		mark(discover, space);
	} else if (err == -ENOENT || err == -ESRCH) {
		spaces_forget(&discover->spaces, space);
	}
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
				 discover->torn		  ? TORN_MS
				 : spaces->dirty->retries ? RETRY_MS
							  : WORK_MS,
				 on_work);
	discover->torn = false;
}

static void list_name(const char *name, void *arg)
{
	learn(arg, name, true);
}

static void list_new(const char *name, void *arg)
{
	struct discover *discover = arg;
	const struct space *space = spaces_find(&discover->spaces, name);

	if (!space || !space->listed)
		learn(discover, name, true);
}

/* Calls fn for every name there is, and is told of those to come. */
static void read_names(struct discover *discover, void (*fn)(const char *name, void *arg))
{
	static struct log_limit limit = LOG_LIMIT(60000, 1);
	int watched = discover_watch_names(discover->names);
	int err = discover_each_name(fn, discover);
	uint32_t left_out;

	err = watched ? watched : err;
	if (err && err != -ENOENT && log_allowed(&limit, &left_out))
		log_error("/run/netns cannot be read: %s", strerror(-err));
}

static void learn_all(struct discover *discover)
{
	read_names(discover, list_name);
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

static void on_link(int32_t nsid, void *arg)
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
		read_names(discover, list_new);
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
