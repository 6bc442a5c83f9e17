/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three lists: the one in force, the one on its way, the one that came meanwhile. The map of the
 * guard (binder_guard.c) holds nothing that is not in the first; workers get the second as a table
 * in a memfd.
 */
#include "binder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../lib/binding_table.h"
#include "../lib/log.h"
#include "binder_guard.h"
#include "patience.h"
#include "supervise.h"
#include "tenants.h"
#include "worker.h"

#define LATE_MS	    5000 /* worth a line, and the table once more */
#define UNBOUND_MAX 12	 /* so often; one that hangs is ended sooner (patience.h) */

struct binder {
	struct sluiced *sluiced;
	struct binding_list now, next, later;
	bool begun, changing, has_later;
	int table; /* memfd of next's table while changing, else of now's; -1: none was needed */
	struct proto_bindings about;
	struct loop_timer late;
};

int binder_new(struct sluiced *sluiced, struct binder **ret)
{
	struct binder *binder = calloc(1, sizeof(*binder));

	if (!binder)
		return -ENOMEM;
	binder->sluiced = sluiced;
	binder->table = -1;
	*ret = binder;
	return 0;
}

void binder_free(struct binder *binder)
{
	if (!binder)
		return;
	loop_timer_stop(&binder->sluiced->loop, &binder->late);
	if (binder->table >= 0)
		close(binder->table);
	bindings_free(&binder->now);
	bindings_free(&binder->next);
	bindings_free(&binder->later);
	free(binder);
}

static const struct binding_list *target(const struct binder *binder)
{
	return binder->changing ? &binder->next : &binder->now;
}

static bool is_bound(const struct binding_list *list, const char *tenant)
{
	size_t at = bindings_first(list, tenant);

	return at < list->count && !strcmp(list->list[at]->tenant, tenant);
}

bool binder_bound(const struct binder *binder, const char *tenant)
{
	return is_bound(target(binder), tenant);
}

bool binder_holds(const struct binder *binder, const struct binding *binding)
{
	const struct binding *held = bindings_find(&binder->now, binding->tenant, binding->mac);

	return !binder->changing && held && binding_same(held, binding) &&
	       held->naddresses == binding->naddresses &&
	       !memcmp(held->addresses, binding->addresses, 16 * (size_t)held->naddresses);
}

bool binder_changing(const struct binder *binder)
{
	return binder->changing;
}

size_t binder_count(const struct binder *binder)
{
	return binder->now.count;
}

/* ---- the workers ---------------------------------------------------------------------- */

static uint64_t new_serial(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int make_table(struct binder *binder)
{
	size_t size, done = 0;
	char *bytes = binding_table_build(&binder->next, &size);
	int fd = bytes ? memfd_create("sluice-bindings", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
	int err = bytes ? (fd < 0 ? -errno : 0) : -ENOMEM;

	while (!err && done < size) {
		ssize_t n = write(fd, bytes + done, size - done);

		if (n < 0)
			err = -errno;
		else
			done += (size_t)n;
	}
	/* Cut short, it would kill whoever maps it. */
	if (!err &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		err = -errno;
	free(bytes);
	if (err) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	if (binder->table >= 0)
		close(binder->table);
	binder->table = fd;
	binder->about = (struct proto_bindings){ .serial = new_serial(), .size = size };
	return 0;
}

/* A BACK worker learns who a client is from FRONT ones. */
static bool concerns(const struct worker *worker)
{
	return worker->role != PROTO_ROLE_BACK && worker->state != WORKER_ENDING;
}

static int send_table(struct binder *binder, struct worker *worker)
{
	return worker_send(worker, PROTO_BINDINGS, 0, &binder->about, sizeof(binder->about),
			   &binder->table, 1);
}

int binder_equip(struct binder *binder, struct worker *worker)
{
	int err;

	if (binder->table < 0 || !concerns(worker))
		return 0;
	err = send_table(binder, worker);
	/* It can accept nothing before it has read this. */
	if (!err)
		worker->bound = binder->about.serial;
	return err;
}

/* ---- one change ----------------------------------------------------------------------- */

static void finish(struct binder *binder)
{
	struct tenants *tenants = binder->sluiced->tenants;
	struct tenant *tenant = NULL;

	loop_timer_stop(&binder->sluiced->loop, &binder->late);
	while ((tenant = tenants_next(tenants, tenant))) {
		bool whole = !binder->begun || tenant->unopened;

		if (!tenant->gate.attached)
			continue;
		tenant->unopened = false;
		binder_guard_open(binder->sluiced, tenant, &binder->next,
				  whole ? NULL : &binder->now);
		if (!is_bound(&binder->next, tenant->want.name) &&
		    (!binder->begun || is_bound(&binder->now, tenant->want.name)))
			binder_guard_enforce(binder->sluiced, tenant, false);
	}
	if (binder->begun || binder->next.count)
		log_info("port bindings in force: %zu", binder->next.count);
	bindings_free(&binder->now);
	binder->now = binder->next;
	binder->next = (struct binding_list){ 0 };
	binder->begun = true;
	binder->changing = false;
}

static void start(struct binder *binder, struct binding_list *list);

void binder_look(struct binder *binder)
{
	struct worker *worker = NULL;

	if (!binder || !binder->changing)
		return;
	while ((worker = supervise_next(binder->sluiced->supervise, worker)))
		if (concerns(worker) && worker->bound != binder->about.serial)
			return;
	finish(binder);
	if (binder->has_later) {
		binder->has_later = false;
		start(binder, &binder->later);
	}
}

void binder_said(struct binder *binder, struct worker *worker, uint64_t serial)
{
	worker->bound = serial;
	worker->unbound = 0;
	binder_look(binder);
}

/* It turns, and yet has not said that the table is in force. */
static void remind(struct binder *binder, struct worker *worker)
{
	if (++worker->unbound > UNBOUND_MAX) {
		worker_kill(worker, "takes no port bindings");
		return;
	}
	log_warn("worker %s/%u (pid %d) has not taken the port bindings yet, for want of time, "
		 "or of what its lines here say; what changed is kept out; it is sent them again",
		 worker_role_name(worker->role), worker->index, worker->pid);
	send_table(binder, worker);
}

static void on_late(struct loop_timer *timer)
{
	struct binder *binder = container_of(timer, struct binder, late);
	struct worker *worker = NULL;
	uint64_t now = loop_now();

	loop_timer_start(&binder->sluiced->loop, timer, LATE_MS, on_late);
	while ((worker = supervise_next(binder->sluiced->supervise, worker)))
		if (concerns(worker) && worker->state != WORKER_STARTING &&
		    worker->bound != binder->about.serial && !worker->mailbox.count &&
		    !patience_silent(worker, now))
			remind(binder, worker);
	binder_look(binder);
}

static bool equal(const struct binding_list *a, const struct binding_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct binding *x = a->list[i], *y = b->list[i];

		if (strcmp(x->tenant, y->tenant) || memcmp(x->mac, y->mac, sizeof(x->mac)) ||
		    !binding_same(x, y) || x->naddresses != y->naddresses ||
		    memcmp(x->addresses, y->addresses, 16 * (size_t)x->naddresses))
			return false;
	}
	return true;
}

static void close_all(struct binder *binder)
{
	struct tenant *tenant = NULL;

	if (!binder->begun)
		binder_guard_sweep(binder->sluiced, &binder->next);
	while ((tenant = tenants_next(binder->sluiced->tenants, tenant))) {
		if (!tenant->gate.attached)
			continue;
		binder_guard_close(binder->sluiced, tenant, &binder->now, &binder->next);
		/* From here on nobody gets in whose SYN was not kept. */
		if (is_bound(&binder->next, tenant->want.name) &&
		    (!binder->begun || !is_bound(&binder->now, tenant->want.name)))
			binder_guard_enforce(binder->sluiced, tenant, true);
	}
}

/* Takes list over. */
static void start(struct binder *binder, struct binding_list *list)
{
	struct worker *worker = NULL;
	int err;

	if (binder->begun && equal(&binder->now, list)) {
		bindings_free(list);
		return;
	}
	binder->next = *list;
	*list = (struct binding_list){ 0 };
	err = make_table(binder);
	if (err) {
		log_error("port bindings: %s; the old ones stay in force", strerror(-err));
		bindings_free(&binder->next);
		return;
	}
	binder->changing = true;
	close_all(binder);
	while ((worker = supervise_next(binder->sluiced->supervise, worker))) {
		worker->unbound = 0;
		if (concerns(worker))
			send_table(binder, worker);
	}
	loop_timer_start(&binder->sluiced->loop, &binder->late, LATE_MS, on_late);
	binder_look(binder);
}

void binder_change(struct binder *binder, struct binding_list *list)
{
	if (!binder->changing) {
		start(binder, list);
		return;
	}
	bindings_free(&binder->later);
	binder->later = *list;
	binder->has_later = true;
	*list = (struct binding_list){ 0 };
}

/* ---- tenants that come and go --------------------------------------------------------- */

void binder_attached(struct binder *binder, struct tenant *tenant)
{
	/* While a change is on its way, its end opens the guard. */
	tenant->unopened = binder->changing;
	if (!binder->changing)
		binder_guard_open(binder->sluiced, tenant, &binder->now, NULL);
}

void binder_detached(struct binder *binder, const struct tenant *tenant)
{
	binder_guard_close(binder->sluiced, tenant, &binder->now, NULL);
	/* What an earlier parent left may be of the first list. */
	if (!binder->begun)
		binder_guard_close(binder->sluiced, tenant, &binder->next, NULL);
}
