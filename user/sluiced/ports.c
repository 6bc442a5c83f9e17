/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two lists of bindings in the order of tenant and MAC: the operator's file (ports_file.c) and what
 * was said; where both have a machine, what was said counts until it expires.
 */
#include "ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/log.h"
#include "binder.h"
#include "binder_guard.h"
#include "generation.h"
#include "ports_file.h"
#include "ports_store.h"
#include "tenants.h"

#define EXPIRE_MS 1000 /* the clock may be set: looked at again after at most so long */

struct ports {
	struct sluiced *sluiced;
	struct ports_store store;
	struct ports_file file;
	struct binding_list said;
	struct loop_timer expire;
};

/* ---- into force ----------------------------------------------------------------------- */

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
	const struct binding_list *file = &ports->file.list, *said = &ports->said;
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

static int save_said(const struct ports *ports)
{
	return ports_store_save(&ports->store, "ports", &ports->said);
}

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
	save_said(ports);
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

/* ---- life ----------------------------------------------------------------------------- */

static void on_file(struct ports_file *file)
{
	apply(container_of(file, struct ports, file));
}

int ports_new(struct sluiced *sluiced, struct ports **ret, char **ret_why)
{
	struct ports *ports = calloc(1, sizeof(*ports));
	int err;

	*ret_why = NULL;
	if (!ports)
		return -ENOMEM;
	ports->sluiced = sluiced;
	ports_store_init(&ports->store, sluiced);
	err = ports_store_load(&ports->store, "ports", &ports->said, ret_why);
	if (err) {
		free(ports);
		return err;
	}
	err = ports_file_begin(&ports->file, sluiced, &ports->store, on_file, ret_why);
	if (err) {
		ports_free(ports);
		return err;
	}
	*ret = ports;
	return 0;
}

void ports_free(struct ports *ports)
{
	if (!ports)
		return;
	loop_timer_stop(&ports->sluiced->loop, &ports->expire);
	ports_file_end(&ports->file);
	bindings_free(&ports->said);
	free(ports);
}

void ports_begin(struct ports *ports)
{
	apply(ports);
}

void ports_reload(struct ports *ports)
{
	if (!ports_file_reload(&ports->file))
		apply(ports);
}

/* ---- what is said --------------------------------------------------------------------- */

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
	if (!err && !binder_guard_fits(ports->sluiced->generation->conf, &merged))
		err = -ENOSPC;
	bindings_free(&merged);
	if (!err)
		err = save_said(ports);
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
		return bindings_find(&ports->file.list, tenant, mac) ? -EPERM : -ENOENT;
	err = save_said(ports);
	if (err) {
		bindings_put(&ports->said, before);
		return err;
	}
	free(before);
	apply(ports);
	return 0;
}

/* ---- reports -------------------------------------------------------------------------- */

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
		const struct binding_list *from = from_file ? &ports->file.list : &ports->said;

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
	return json_pack("{s:s?, s:s, s:s?, s:I, s:I, s:I, s:b}", "file", ports->file.path, "state",
			 ports_file_state_name(&ports->file), "problem", ports->file.problem,
			 "from_file", (json_int_t)ports->file.list.count, "from_command",
			 (json_int_t)ports->said.count, "in_force",
			 (json_int_t)binder_count(ports->sluiced->binder), "changing",
			 (int)binder_changing(ports->sluiced->binder));
}
