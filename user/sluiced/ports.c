/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file that is wrong, or gone, changes nothing; so that this also holds over a restart, its last
 * good content is kept. It is noticed by inotify on its directory, and by a look now and then for
 * what that does not tell: links, a directory that comes later.
 */
#include "ports.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/log.h"
#include "binder.h"
#include "generation.h"
#include "tenants.h"

#define STORE	  "/var/lib/sluice"
#define READ_MS	  20   /* after an event: several come for one change */
#define LOOK_MS	  2000 /* between looks without an event */
#define STILL_S	  1    /* a file seen by such a look is read when nobody writes to it */
#define EXPIRE_MS 1000 /* the clock may be set: looked at again after at most so long */

enum file_state { FILE_NONE, FILE_OK, FILE_MISSING, FILE_WRONG };

struct ports {
	struct sluiced *sluiced;
	char store[PATH_MAX - 16]; /* directory */
	char *path;		   /* of the operator's file, or NULL */
	struct binding_list file, said;
	enum file_state state;
	char *problem; /* while it is missing or wrong */
	struct stat seen;
	int events; /* inotify; -1: none */
	struct loop_watch watch;
	struct loop_timer read, look, expire;
};

static const char *const state_names[] = {
	[FILE_NONE] = "none",
	[FILE_OK] = "ok",
	[FILE_MISSING] = "missing",
	[FILE_WRONG] = "wrong",
};

/* ---- into force -------------------------------------------------------------------------------
 */

static bool expired(const struct binding *binding, int64_t now)
{
	return binding->expires && binding->expires <= now;
}

/* The first place of both lists where one of them is next. */
static int order(const struct binding *a, const struct binding *b)
{
	int order;

	if (!a || !b)
		return !a - !b;
	order = strcmp(a->tenant, b->tenant);
	return order ? order : memcmp(a->mac, b->mac, sizeof(a->mac));
}

/* What is to be in force, copied. *ret_next: when that changes by itself, 0: never. */
static int merge(const struct ports *ports, struct binding_list *ret, int64_t *ret_next)
{
	const struct binding_list *file = &ports->file, *said = &ports->said;
	size_t f = 0, s = 0, most = file->count + said->count;
	struct binding_list list = { .list = calloc(most + 1, sizeof(struct binding *)),
				     .room = most + 1 };
	int64_t now = time(NULL);

	*ret_next = 0;
	if (!list.list)
		return -ENOMEM;
	while (f < file->count || s < said->count) {
		const struct binding *a = f < file->count ? file->list[f] : NULL;
		const struct binding *b = s < said->count ? said->list[s] : NULL;
		int which = order(a, b);
		const struct binding *chosen = which < 0 ? a : b;

		f += which <= 0;
		s += which >= 0;
		if (expired(chosen, now))
			continue;
		if (chosen->expires && (!*ret_next || chosen->expires < *ret_next))
			*ret_next = chosen->expires;
		list.list[list.count] = binding_copy(chosen);
		if (!list.list[list.count++]) {
			list.count--;
			bindings_free(&list);
			return -ENOMEM;
		}
	}
	*ret = list;
	return 0;
}

static void apply(struct ports *ports);

static void on_expire(struct loop_timer *timer)
{
	apply(container_of(timer, struct ports, expire));
}

static int save(const struct ports *ports, const char *name, const struct binding_list *list);

/* What was said until a time that is past is forgotten: the file's is then in force again. */
static void forget_expired(struct ports *ports)
{
	struct binding_list *said = &ports->said;
	int64_t now = time(NULL);
	size_t kept = 0;

	for (size_t i = 0; i < said->count; i++)
		if (expired(said->list[i], now))
			free(said->list[i]);
		else
			said->list[kept++] = said->list[i];
	if (kept == said->count)
		return;
	log_info("port bindings: %zu have expired", said->count - kept);
	said->count = kept;
	/* A store that cannot be written has them forgotten again at the next start. */
	save(ports, "ports", said);
}

static void apply(struct ports *ports)
{
	struct loop *loop = &ports->sluiced->loop;
	struct binding_list merged;
	int64_t next, left;
	int err;

	forget_expired(ports);
	err = merge(ports, &merged, &next);
	loop_timer_stop(loop, &ports->expire);
	if (err) {
		log_error("port bindings: %s; the old ones stay in force", strerror(-err));
		return;
	}
	binder_change(ports->sluiced->binder, &merged);
	if (!next)
		return;
	left = (next - time(NULL)) * 1000;
	loop_timer_start(loop, &ports->expire,
			 left > EXPIRE_MS ? EXPIRE_MS : (uint64_t)(left > 0 ? left : 1), on_expire);
}

/* Whether so many find room. */
static bool fits(const struct ports *ports, const struct binding_list *list)
{
	size_t most = ports->sluiced->generation->conf->limits.bindings, keys = 0;

	for (size_t i = 0; i < list->count; i++)
		keys += 1 + list->list[i]->naddresses;
	return list->count <= most && keys <= most * PORTS_KEYS;
}

/* ---- the operator's file ------------------------------------------------------------------------
 */

static int store_path(const struct ports *ports, const char *name, char ret[PATH_MAX])
{
	if ((mkdir(STORE, 0755) && errno != EEXIST) ||
	    (mkdir(ports->store, 0700) && errno != EEXIST))
		return -errno;
	snprintf(ret, PATH_MAX, "%s/%s", ports->store, name);
	return 0;
}

static int save(const struct ports *ports, const char *name, const struct binding_list *list)
{
	char path[PATH_MAX];
	int err = store_path(ports, name, path);

	if (!err)
		err = bindings_save(path, list);
	/* Only when nothing is left in them. */
	rmdir(ports->store);
	rmdir(STORE);
	return err;
}

static void set_state(struct ports *ports, enum file_state state, char *problem)
{
	bool news = state != ports->state || !problem != !ports->problem ||
		    (problem && strcmp(problem, ports->problem));

	free(ports->problem);
	ports->problem = problem;
	ports->state = state;
	if (!news)
		return;
	if (state == FILE_MISSING || state == FILE_WRONG)
		log_error("port bindings: %s; those read before stay in force (%zu)",
			  problem ? problem : "no memory", ports->file.count);
	else if (state == FILE_OK)
		log_info("port bindings: %s read: %zu", ports->path, ports->file.count);
}

/* 0 with the list, or -errno with *ret_why. */
static int load(const struct ports *ports, struct binding_list *ret, char **ret_why)
{
	int err = bindings_load(ports->path, ret, ret_why);

	if (err || fits(ports, ret))
		return err;
	if (asprintf(ret_why,
		     "%s: %zu machines are more than limits.bindings (%u) allows, with their "
		     "addresses; raise it and restart",
		     ports->path, ret->count,
		     ports->sluiced->generation->conf->limits.bindings) < 0)
		*ret_why = NULL;
	bindings_free(ret);
	return -ENOSPC;
}

static void read_file(struct ports *ports)
{
	struct binding_list list = { 0 };
	char *why = NULL;
	int err;

	if (stat(ports->path, &ports->seen))
		memset(&ports->seen, 0, sizeof(ports->seen));
	err = load(ports, &list, &why);
	if (err) {
		set_state(ports, err == -ENOENT ? FILE_MISSING : FILE_WRONG, why);
		return;
	}
	bindings_free(&ports->file);
	ports->file = list;
	set_state(ports, FILE_OK, NULL);
	err = save(ports, "file", &list);
	if (err)
		log_error("%s: %s; a restart would not know the port bindings if their file was "
			  "wrong then",
			  ports->store, strerror(-err));
}

static void on_read(struct loop_timer *timer)
{
	struct ports *ports = container_of(timer, struct ports, read);

	if (!ports->path)
		return;
	read_file(ports);
	apply(ports);
}

static bool is_name(const struct ports *ports, const char *name)
{
	return ports->path && !strcmp(strrchr(ports->path, '/') + 1, name);
}

static void on_event(struct loop_watch *watch, uint32_t ready)
{
	struct ports *ports = container_of(watch, struct ports, watch);
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool ours = false;
	ssize_t n;

	while ((n = read(ports->events, bytes, sizeof(bytes))) > 0)
		for (char *at = bytes; at < bytes + n;) {
			const struct inotify_event *event = (const void *)at;

			at += sizeof(*event) + event->len;
			ours |= (event->mask & (IN_Q_OVERFLOW | IN_IGNORED)) ||
				(event->len && is_name(ports, event->name));
		}
	if (ours)
		loop_timer_start(&ports->sluiced->loop, &ports->read, READ_MS, on_read);
}

static void watch_directory(struct ports *ports)
{
	const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
	char directory[PATH_MAX];
	const char *slash = strrchr(ports->path, '/');

	if (ports->events < 0)
		return;
	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - ports->path + 1), ports->path);
	/* Adding it again changes nothing; one that is not there is tried at the next look. */
	inotify_add_watch(ports->events, directory, mask);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void on_look(struct loop_timer *timer)
{
	struct ports *ports = container_of(timer, struct ports, look);
	struct stat now = { 0 };

	if (!ports->path)
		return;
	watch_directory(ports);
	stat(ports->path, &now);
	if (!same_file(&now, &ports->seen) && time(NULL) - now.st_mtime > STILL_S)
		on_read(&ports->read);
	loop_timer_start(&ports->sluiced->loop, timer, LOOK_MS, on_look);
}

static void watch_file(struct ports *ports)
{
	if (ports->events < 0) {
		ports->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (ports->events < 0 || loop_watch(&ports->sluiced->loop, &ports->watch,
						    ports->events, EPOLLIN, on_event))
			log_warn("port bindings: no inotify: changes are seen after %d s",
				 LOOK_MS / 1000);
	}
	watch_directory(ports);
	loop_timer_start(&ports->sluiced->loop, &ports->look, LOOK_MS, on_look);
}

/* ---- life
 * ------------------------------------------------------------------------------------------
 */

static int set_path(struct ports *ports, const char *path)
{
	char *copy = path ? strdup(path) : NULL;

	if (path && !copy)
		return -ENOMEM;
	free(ports->path);
	ports->path = copy;
	return 0;
}

/* What the store has; a file of the store that is not there is an empty list. */
static int restore(const struct ports *ports, const char *name, struct binding_list *ret,
		   char **ret_why)
{
	char path[PATH_MAX];
	int err;

	snprintf(path, sizeof(path), "%s/%s", ports->store, name);
	err = bindings_load(path, ret, ret_why);
	if (err != -ENOENT)
		return err;
	free(*ret_why);
	*ret_why = NULL;
	return 0;
}

/* At the start: a file that is wrong is replaced by what it said before, if that is known. */
static int begin_file(struct ports *ports, char **ret_why)
{
	char *store_why = NULL;
	int err;

	read_file(ports);
	if (ports->state == FILE_OK)
		return 0;
	err = restore(ports, "file", &ports->file, &store_why);
	free(store_why);
	if (!err && (ports->file.count || ports->state == FILE_MISSING)) {
		log_warn("port bindings: going on with the %zu that were read last",
			 ports->file.count);
		return 0;
	}
	*ret_why = ports->problem ? strdup(ports->problem) : NULL;
	return -EINVAL;
}

int ports_new(struct sluiced *sluiced, struct ports **ret, char **ret_why)
{
	const struct conf_bindings *conf = &sluiced->generation->conf->bindings;
	struct ports *ports = calloc(1, sizeof(*ports));
	int err = -ENOMEM;

	*ret_why = NULL;
	if (!ports)
		return err;
	ports->sluiced = sluiced;
	ports->events = ports->watch.fd = -1;
	if (conf->store)
		snprintf(ports->store, sizeof(ports->store), "%s", conf->store);
	else
		snprintf(ports->store, sizeof(ports->store), STORE "/%s", sluiced->instance);
	err = set_path(ports, conf->file);
	if (!err)
		err = restore(ports, "ports", &ports->said, ret_why);
	if (!err && ports->path)
		err = begin_file(ports, ret_why);
	if (err) {
		ports_free(ports);
		return err;
	}
	if (ports->path)
		watch_file(ports);
	*ret = ports;
	return 0;
}

void ports_free(struct ports *ports)
{
	struct loop *loop;

	if (!ports)
		return;
	loop = &ports->sluiced->loop;
	loop_timer_stop(loop, &ports->read);
	loop_timer_stop(loop, &ports->look);
	loop_timer_stop(loop, &ports->expire);
	loop_unwatch(loop, &ports->watch);
	if (ports->events >= 0)
		close(ports->events);
	bindings_free(&ports->file);
	bindings_free(&ports->said);
	free(ports->problem);
	free(ports->path);
	free(ports);
}

void ports_begin(struct ports *ports)
{
	apply(ports);
}

void ports_reload(struct ports *ports)
{
	const char *path = ports->sluiced->generation->conf->bindings.file;

	if (set_path(ports, path))
		return;
	if (path) {
		read_file(ports);
		watch_file(ports);
	} else {
		loop_timer_stop(&ports->sluiced->loop, &ports->look);
		bindings_free(&ports->file);
		set_state(ports, FILE_NONE, NULL);
		save(ports, "file", &ports->file);
	}
	apply(ports);
}

/* ---- what is said
 * --------------------------------------------------------------------------------
 */

int ports_set(struct ports *ports, struct binding *binding)
{
	struct binding *before = bindings_take(&ports->said, binding->tenant, binding->mac);
	struct binding_list merged = { 0 };
	int64_t next;
	int err = bindings_put(&ports->said, binding);

	if (err) {
		free(binding);
		goto back;
	}
	err = merge(ports, &merged, &next);
	if (!err && !fits(ports, &merged))
		err = -ENOSPC;
	bindings_free(&merged);
	if (!err)
		err = save(ports, "ports", &ports->said);
	if (err) {
		free(bindings_take(&ports->said, binding->tenant, binding->mac));
		goto back;
	}
	free(before);
	apply(ports);
	return 0;
back:
	/* Where one was taken out there is room. */
	if (before)
		bindings_put(&ports->said, before);
	return err;
}

int ports_del(struct ports *ports, const char *tenant, const uint8_t mac[6])
{
	struct binding *before = bindings_take(&ports->said, tenant, mac);
	int err;

	if (!before)
		return bindings_find(&ports->file, tenant, mac) ? -EPERM : -ENOENT;
	err = save(ports, "ports", &ports->said);
	if (err) {
		bindings_put(&ports->said, before);
		return err;
	}
	free(before);
	apply(ports);
	return 0;
}

/* ---- reports
 * ---------------------------------------------------------------------------------------
 */

static const char *state_of(const struct ports *ports, const struct binding *binding)
{
	struct tenant *tenant;

	if (expired(binding, time(NULL)))
		return "expired";
	tenant = tenants_find(ports->sluiced->tenants, binding->tenant);
	if (!tenant || !tenant->gate.attached)
		return "waiting";
	return binder_holds(ports->sluiced->binder, binding) ? "in-force" : "changing";
}

static int list_one(const struct ports *ports, json_t *list, const struct binding *binding,
		    bool from_file)
{
	json_t *object = binding_write(binding);

	if (!object)
		return -ENOMEM;
	json_object_set_new(object, "source", json_string(from_file ? "file" : "command"));
	json_object_set_new(object, "state", json_string(state_of(ports, binding)));
	return json_array_append_new(list, object);
}

json_t *ports_list(struct ports *ports, const char *tenant, const uint8_t *mac)
{
	json_t *list = json_array();

	for (int from_file = 0; from_file < 2; from_file++) {
		const struct binding_list *from = from_file ? &ports->file : &ports->said;

		for (size_t i = 0; i < from->count; i++) {
			const struct binding *binding = from->list[i];

			if ((tenant && strcmp(binding->tenant, tenant)) ||
			    (mac && memcmp(binding->mac, mac, sizeof(binding->mac))))
				continue;
			/* What was said stands above it. */
			if (from_file && bindings_find(&ports->said, binding->tenant, binding->mac))
				continue;
			if (list_one(ports, list, binding, from_file)) {
				json_decref(list);
				return NULL;
			}
		}
	}
	return list;
}

json_t *ports_report(const struct ports *ports)
{
	return json_pack("{s:s?, s:s, s:s?, s:I, s:I, s:I, s:b}", "file", ports->path, "state",
			 state_names[ports->state], "problem", ports->problem, "from_file",
			 (json_int_t)ports->file.count, "from_command",
			 (json_int_t)ports->said.count, "in_force",
			 (json_int_t)binder_count(ports->sluiced->binder), "changing",
			 (int)binder_changing(ports->sluiced->binder));
}
