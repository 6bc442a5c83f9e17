/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * That the file has changed is noticed by inotify on its directory, and by a look now and then for
 * what that does not tell: links, a directory that comes later.
 */
#include "ports_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "../lib/log.h"
#include "binder_guard.h"
#include "generation.h"
#include "ports_store.h"

#define READ_MS 20   /* after an event: several come for one change */
#define LOOK_MS 2000 /* between looks without an event */
#define STILL_S 1    /* a file seen by such a look is read when nobody writes to it */

static const char *const state_names[] = {
	[PORTS_FILE_NONE] = "none",
	[PORTS_FILE_OK] = "ok",
	[PORTS_FILE_MISSING] = "missing",
	[PORTS_FILE_WRONG] = "wrong",
};

const char *ports_file_state_name(const struct ports_file *file)
{
	return state_names[file->state];
}

static void set_state(struct ports_file *file, enum ports_file_state state, char *problem)
{
	bool news = state != file->state || !problem != !file->problem ||
		    (problem && strcmp(problem, file->problem));

	free(file->problem);
	file->problem = problem;
	file->state = state;
	if (!news)
		return;
	if (state == PORTS_FILE_MISSING || state == PORTS_FILE_WRONG)
		log_error("port bindings: %s; those read before stay in force (%zu)",
			  problem ? problem : "no memory", file->list.count);
	else if (state == PORTS_FILE_OK)
		log_info("port bindings: %s read: %zu", file->path, file->list.count);
}

/* 0 with the list, or -errno with *ret_why. */
static int load(const struct ports_file *file, struct binding_list *ret, char **ret_why)
{
	int err = bindings_load(file->path, ret, ret_why);

	if (err || binder_guard_fits(file->sluiced->generation->conf, ret))
		return err;
	if (asprintf(ret_why,
		     "%s: %zu machines are more than limits.bindings (%u) allows, with their "
		     "addresses; raise it and restart",
		     file->path, ret->count, file->sluiced->generation->conf->limits.bindings) < 0)
		*ret_why = NULL;
	bindings_free(ret);
	return -ENOSPC;
}

static void read_file(struct ports_file *file)
{
	struct binding_list list = { 0 };
	char *why = NULL;
	int err;

	if (stat(file->path, &file->seen))
		memset(&file->seen, 0, sizeof(file->seen));
	err = load(file, &list, &why);
	if (err) {
		set_state(file, err == -ENOENT ? PORTS_FILE_MISSING : PORTS_FILE_WRONG, why);
		return;
	}
	bindings_free(&file->list);
	file->list = list;
	set_state(file, PORTS_FILE_OK, NULL);
	err = ports_store_save(file->store, "file", &list);
	if (err)
		log_error("%s: %s; a restart would not know the port bindings if their file was "
			  "wrong then",
			  file->store->dir, strerror(-err));
}

static void on_read(struct loop_timer *timer)
{
	struct ports_file *file = container_of(timer, struct ports_file, read);

	if (!file->path)
		return;
	read_file(file);
	file->changed(file);
}

static bool is_name(const struct ports_file *file, const char *name)
{
	return file->path && !strcmp(strrchr(file->path, '/') + 1, name);
}

static void on_event(struct loop_watch *watch, uint32_t ready)
{
	struct ports_file *file = container_of(watch, struct ports_file, watch);
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool ours = false;
	ssize_t n;

	while ((n = read(file->events, bytes, sizeof(bytes))) > 0)
		for (char *at = bytes; at < bytes + n;) {
			const struct inotify_event *event = (const void *)at;

			at += sizeof(*event) + event->len;
			ours |= (event->mask & (IN_Q_OVERFLOW | IN_IGNORED)) ||
				(event->len && is_name(file, event->name));
		}
	if (ours)
		loop_timer_start(&file->sluiced->loop, &file->read, READ_MS, on_read);
}

static void watch_directory(struct ports_file *file)
{
	const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
	char directory[PATH_MAX];
	const char *slash = strrchr(file->path, '/');

	if (file->events < 0)
		return;
	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - file->path + 1), file->path);
	/* Adding it again changes nothing; one that is not there is tried at the next look. */
	inotify_add_watch(file->events, directory, mask);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void on_look(struct loop_timer *timer)
{
	struct ports_file *file = container_of(timer, struct ports_file, look);
	struct stat now = { 0 };

	if (!file->path)
		return;
	watch_directory(file);
	stat(file->path, &now);
	if (!same_file(&now, &file->seen) && time(NULL) - now.st_mtime > STILL_S)
		on_read(&file->read);
	loop_timer_start(&file->sluiced->loop, timer, LOOK_MS, on_look);
}

static void watch_file(struct ports_file *file)
{
	if (file->events < 0) {
		file->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (file->events < 0 ||
		    loop_watch(&file->sluiced->loop, &file->watch, file->events, EPOLLIN, on_event))
			log_warn("port bindings: no inotify: changes are seen after %d s",
				 LOOK_MS / 1000);
	}
	watch_directory(file);
	loop_timer_start(&file->sluiced->loop, &file->look, LOOK_MS, on_look);
}

/* ---- life ----------------------------------------------------------------------------- */

static int set_path(struct ports_file *file, const char *path)
{
	char *copy = path ? strdup(path) : NULL;

	if (path && !copy)
		return -ENOMEM;
	free(file->path);
	file->path = copy;
	return 0;
}

/* At the start: a file that is wrong is replaced by what it said before, if that is known. */
static int read_first(struct ports_file *file, char **ret_why)
{
	char *store_why = NULL;
	int err;

	read_file(file);
	if (file->state == PORTS_FILE_OK)
		return 0;
	err = ports_store_load(file->store, "file", &file->list, &store_why);
	free(store_why);
	if (!err && (file->list.count || file->state == PORTS_FILE_MISSING)) {
		log_warn("port bindings: going on with the %zu that were read last",
			 file->list.count);
		return 0;
	}
	*ret_why = file->problem ? strdup(file->problem) : NULL;
	return -EINVAL;
}

int ports_file_begin(struct ports_file *file, struct sluiced *sluiced,
		     const struct ports_store *store, void (*changed)(struct ports_file *file),
		     char **ret_why)
{
	int err;

	*file = (struct ports_file){
		.sluiced = sluiced,
		.store = store,
		.changed = changed,
		.events = -1,
		.watch.fd = -1,
	};
	err = set_path(file, sluiced->generation->conf->bindings.file);
	if (err || !file->path)
		return err;
	err = read_first(file, ret_why);
	if (!err)
		watch_file(file);
	return err;
}

int ports_file_reload(struct ports_file *file)
{
	int err = set_path(file, file->sluiced->generation->conf->bindings.file);

	if (err)
		return err;
	if (file->path) {
		read_file(file);
		watch_file(file);
	} else {
		loop_timer_stop(&file->sluiced->loop, &file->look);
		bindings_free(&file->list);
		set_state(file, PORTS_FILE_NONE, NULL);
		ports_store_save(file->store, "file", &file->list);
	}
	return 0;
}

void ports_file_end(struct ports_file *file)
{
	struct loop *loop = &file->sluiced->loop;

	loop_timer_stop(loop, &file->read);
	loop_timer_stop(loop, &file->look);
	loop_unwatch(loop, &file->watch);
	if (file->events >= 0)
		close(file->events);
	bindings_free(&file->list);
	free(file->problem);
	free(file->path);
}
