/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records on disk, DHCP servers watched by their pidfds. A server that ends is started again,
 * after a second, then two, and so on to half a minute.
 */
#include "created.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../gate/dhcp.h"
#include "../gate/netns.h"
#include "../lib/log.h"
#include "generation.h"
#include "tenants.h"

#define RETRY_MS      1000
#define RETRY_MAX_MS  30000
#define RECORD_SUFFIX "/record.json"

struct one {
	struct created *created;
	struct one *next;
	json_t *record;
	char dir[PATH_MAX - 32];
	pid_t pid; /* of its DHCP server; 0: none */
	int pidfd;
	uint64_t started_ms, retry_ms;
	struct loop_watch ended;
	struct loop_timer retry;
};

struct created {
	struct sluiced *sluiced;
	char dir[128];
	struct one *list;
};

/* ---- records -------------------------------------------------------------------------- */

static const char *text(const json_t *record, const char *key)
{
	return json_string_value(json_object_get(record, key));
}

static struct subnet subnet_of(const json_t *record, const char *key)
{
	const char *value = text(record, key);
	struct subnet subnet;

	return value && !subnet_parse(value, &subnet) ? subnet : (struct subnet){ 0 };
}

/* The strings are the record's. */
static struct create_spec to_spec(const json_t *record)
{
	struct create_spec spec = {
		.netns = text(record, "netns"),
		.inner = text(record, "inner"),
		.outer = text(record, "outer"),
		.into = text(record, "into"),
		.bridge = text(record, "bridge"),
		.move = text(record, "move"),
		.vlan = (uint16_t)json_integer_value(json_object_get(record, "vlan")),
		.address = subnet_of(record, "address"),
		.forward = json_is_true(json_object_get(record, "forward")),
	};
	json_t *route;
	size_t i;

	json_array_foreach (json_object_get(record, "routes"), i, route) {
		if (spec.nroutes == CREATE_ROUTES_MAX)
			break;
		spec.routes[spec.nroutes++] = (struct create_route){
			.to = subnet_of(route, "to"),
			.via = subnet_of(route, "via"),
		};
	}
	return spec;
}

static struct one *find(struct created *created, const char *kind, const char *name)
{
	for (struct one *one = created->list; one; one = one->next)
		if (!strcmp(text(one->record, "kind"), kind) &&
		    !strcmp(text(one->record, "name"), name))
			return one;
	return NULL;
}

const json_t *created_find(struct created *created, const char *kind, const char *name)
{
	struct one *one = find(created, kind, name);

	return one ? one->record : NULL;
}

static int save(const struct one *one)
{
	char path[PATH_MAX];

	if (mkdir(one->dir, 0755) && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s" RECORD_SUFFIX, one->dir);
	return json_dump_file(one->record, path, JSON_INDENT(1)) ? -EIO : 0;
}

static void erase(const struct one *one)
{
	char path[PATH_MAX];

	dhcp_forget(one->dir);
	snprintf(path, sizeof(path), "%s" RECORD_SUFFIX, one->dir);
	unlink(path);
	rmdir(one->dir);
	rmdir(one->created->dir);
}

/* Takes the record over. NULL: no memory. */
static struct one *add(struct created *created, json_t *record)
{
	struct one *one = calloc(1, sizeof(*one));

	if (!one) {
		json_decref(record);
		return NULL;
	}
	one->created = created;
	one->record = record;
	one->pidfd = one->ended.fd = -1;
	one->retry_ms = RETRY_MS;
	snprintf(one->dir, sizeof(one->dir), "%s/%s-%s", created->dir, text(record, "kind"),
		 text(record, "name"));
	one->next = created->list;
	created->list = one;
	return one;
}

/* ---- DHCP ------------------------------------------------------------------------------- */

static void on_retry(struct loop_timer *timer);

static void dhcp_close(struct one *one)
{
	loop_unwatch(&one->created->sluiced->loop, &one->ended);
	if (one->pidfd >= 0)
		close(one->pidfd);
	one->pidfd = -1;
	one->pid = 0;
}

/* It keeps its leases by itself after every change: there is nothing to finish. */
static void dhcp_end(struct one *one)
{
	loop_timer_stop(&one->created->sluiced->loop, &one->retry);
	if (!one->pid)
		return;
	syscall(SYS_pidfd_send_signal, one->pidfd, SIGKILL, NULL, 0);
	waitpid(one->pid, NULL, 0);
	dhcp_close(one);
}

static void on_end(struct loop_watch *watch, uint32_t events)
{
	struct one *one = container_of(watch, struct one, ended);
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)one->pid, &info, WEXITED | WNOHANG) || !info.si_pid)
		return;
	dhcp_close(one);
	if (loop_now() - one->started_ms > RETRY_MAX_MS)
		one->retry_ms = RETRY_MS;
	log_error("tenant %s: its dnsmasq ended: %s %d; starting it again in %llu s",
		  text(one->record, "name"), info.si_code == CLD_EXITED ? "exit code" : "signal",
		  info.si_status, (unsigned long long)one->retry_ms / 1000);
	loop_timer_start(&one->created->sluiced->loop, &one->retry, one->retry_ms, on_retry);
	one->retry_ms = 2 * one->retry_ms < RETRY_MAX_MS ? 2 * one->retry_ms : RETRY_MAX_MS;
}

static int dhcp_begin(struct one *one)
{
	char interface[IFNAMSIZ];
	struct create_spec spec = to_spec(one->record);
	struct dhcp_spec dhcp = {
		.netns = spec.netns,
		.interface = interface,
		.dir = one->dir,
		.gateway = spec.address,
		.router = subnet_of(one->record, "router"),
	};
	json_t *dns;
	size_t i;
	int err;

	if (!json_is_true(json_object_get(one->record, "dhcp")))
		return 0;
	create_interface(&spec, interface);
	json_array_foreach (json_object_get(one->record, "dns"), i, dns)
		if (dhcp.ndns < DHCP_DNS_MAX &&
		    !subnet_parse(json_string_value(dns), &dhcp.dns[dhcp.ndns]))
			dhcp.ndns++;
	err = dhcp_configure(&dhcp);
	if (!err)
		err = dhcp_start(&dhcp, &one->pid, &one->pidfd);
	if (err)
		return err;
	one->started_ms = loop_now();
	err = loop_watch(&one->created->sluiced->loop, &one->ended, one->pidfd, EPOLLIN, on_end);
	if (err)
		dhcp_end(one);
	return err;
}

/* Now, or as soon as it can be. */
static void dhcp_keep(struct one *one)
{
	int err = dhcp_begin(one);

	if (!err)
		return;
	log_error("tenant %s: cannot start dnsmasq: %s", text(one->record, "name"), strerror(-err));
	loop_timer_start(&one->created->sluiced->loop, &one->retry, RETRY_MAX_MS, on_retry);
}

static void on_retry(struct loop_timer *timer)
{
	dhcp_keep(container_of(timer, struct one, retry));
}

/* ---- building and taking away -------------------------------------------------------------- */

static void drop(struct one *one)
{
	struct one **at = &one->created->list;

	while (*at != one)
		at = &(*at)->next;
	*at = one->next;
	dhcp_end(one);
	json_decref(one->record);
	free(one);
}

static int attach(struct one *one, char *why)
{
	struct sluiced *sluiced = one->created->sluiced;
	const struct conf *conf = sluiced->generation->conf;
	struct create_spec spec = to_spec(one->record);
	struct tenant_want want = { .guard = conf->guard.mode, .ipv6 = conf->listen.ipv6 };
	char interface[IFNAMSIZ], gate_why[GATE_WHY_MAX] = "";
	struct tenant *tenant;

	if (strcmp(text(one->record, "kind"), "tenant"))
		return 0;
	/* Taken over from an earlier parent, it stays as it was then, whatever listen says now. */
	tenant = tenants_find(sluiced->tenants, text(one->record, "name"));
	if (tenant && !strcmp(want_space(tenant->want.netns), spec.netns))
		return 0;
	create_interface(&spec, interface);
	want.name = (char *)text(one->record, "name");
	want.netns = want.network = (char *)spec.netns;
	want.interface = interface;
	want_set_ports(&want, conf->listen.ports, conf->listen.ports_count);
	switch (tenants_attach(sluiced->tenants, &want, &tenant, gate_why)) {
	case TENANTS_OK:
		return 0;
	case TENANTS_FULL:
		snprintf(why, CREATE_WHY_MAX, "no room for another tenant: raise limits.tenants");
		return -ENOSPC;
	default:
		snprintf(why, CREATE_WHY_MAX, "%.250s", gate_why);
		return -EIO;
	}
}

static int serve(struct one *one, char *why)
{
	int err = attach(one, why);

	if (err)
		return err;
	err = dhcp_begin(one);
	if (err == -ENOENT)
		snprintf(why, CREATE_WHY_MAX,
			 "dnsmasq is not installed: install dnsmasq-base, or "
			 "create without DHCP");
	else if (err)
		snprintf(why, CREATE_WHY_MAX, "cannot start dnsmasq: %s", strerror(-err));
	return err;
}

static int take_away(struct one *one)
{
	struct create_spec spec = to_spec(one->record);
	int err;

	if (!strcmp(text(one->record, "kind"), "tenant"))
		tenants_detach(one->created->sluiced->tenants, text(one->record, "name"));
	dhcp_end(one);
	err = create_remove(&spec);
	if (err)
		return err;
	erase(one);
	drop(one);
	return 0;
}

int created_build(struct created *created, json_t *record, char why[CREATE_WHY_MAX])
{
	const char *name = text(record, "name");
	struct create_spec spec;
	struct one *one;
	int err;

	if (find(created, text(record, "kind"), name) ||
	    (!strcmp(text(record, "kind"), "tenant") &&
	     tenants_find(created->sluiced->tenants, name))) {
		snprintf(why, CREATE_WHY_MAX, "there is a %s %.64s already", text(record, "kind"),
			 name);
		json_decref(record);
		return -EEXIST;
	}
	one = add(created, record);
	if (!one)
		return -ENOMEM;
	spec = to_spec(record);
	err = create_build(&spec, why);
	if (err) {
		drop(one);
		return err;
	}
	if (mkdir(created->dir, 0755) && errno != EEXIST)
		err = -errno;
	/* First, so that what follows is never without a record. */
	if (!err)
		err = save(one);
	if (err)
		snprintf(why, CREATE_WHY_MAX, "%.200s: %s", one->dir, strerror(-err));
	else
		err = serve(one, why);
	if (err)
		take_away(one);
	return err;
}

int created_remove(struct created *created, const char *kind, const char *name)
{
	struct one *one = find(created, kind, name);

	return one ? take_away(one) : -ENOENT;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void load(struct created *created, const char *entry)
{
	char path[PATH_MAX];
	json_error_t error;
	json_t *record;
	struct subnet address;

	snprintf(path, sizeof(path), "%s/%s" RECORD_SUFFIX, created->dir, entry);
	record = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!record || !text(record, "kind") || !text(record, "name") || !text(record, "netns") ||
	    !text(record, "address") || subnet_parse(text(record, "address"), &address) ||
	    (!text(record, "move") && (!text(record, "inner") || !text(record, "outer")))) {
		log_error("%s is no record of a gateway: %s", path,
			  record ? "something is missing" : error.text);
		json_decref(record);
		return;
	}
	add(created, record);
}

int created_new(struct sluiced *sluiced, struct created **ret)
{
	struct created *created = calloc(1, sizeof(*created));
	struct dirent *entry;
	DIR *dir;

	if (!created)
		return -ENOMEM;
	created->sluiced = sluiced;
	snprintf(created->dir, sizeof(created->dir), "%s/created", sluiced->run_dir);
	dir = opendir(created->dir);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			load(created, entry->d_name);
	if (dir)
		closedir(dir);
	*ret = created;
	return 0;
}

void created_resume(struct created *created)
{
	struct one *one, *next;
	char why[CREATE_WHY_MAX];

	for (one = created->list; one; one = next) {
		next = one->next;
		dhcp_end_stale(one->dir);
		if (!netns_inode(text(one->record, "netns"))) {
			log_warn("%s %s: its namespace is gone; forgotten",
				 text(one->record, "kind"), text(one->record, "name"));
			erase(one);
			drop(one);
			continue;
		}
		if (attach(one, why))
			log_error("%s %s: %s", text(one->record, "kind"), text(one->record, "name"),
				  why);
		/* VMs need their addresses all the same. */
		dhcp_keep(one);
	}
}

void created_free(struct created *created)
{
	if (!created)
		return;
	while (created->list)
		drop(created->list);
	free(created);
}
