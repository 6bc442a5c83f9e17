/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RUN_DIR/state, which a successor finds after a crash. It holds no secret and no descriptor, and
 * is only believed from root's directory. Whatever changes becomes a further line of it, so that
 * saving costs what has changed, however many tenants there are. When most of it is superseded it
 * is written anew, a part at a time, and takes the old one's place by rename.
 *
 *   handover_tenant(), handover_touch() ─ 50 ms ─┐
 *     and handover_hurry() ─ at this turn's end ──┼──▶ on_save: the changes, a part of what is
 *     and handover_flush() ─ now ─────────────────┘    written anew
 *
 * What a successor does with a state that lacks the last changes decides how soon each is saved.
 * Workers that it does not name are ended, with the connections they serve, and XDP that it does
 * not know of is lowered under fire: both stand in it before the next event is handled. A tenant
 * attached by command is known from nowhere else, and one that was detached would be attached
 * again: they stand in it before the command is answered. All else a successor finds again, in the
 * configuration, by discover rules or in the pinned maps, and may be 50 ms late: a tenant that it
 * has to attach anew loses its connections, one that is gone is noticed at the first look, and
 * counters of workers that ended go on from what was saved.
 */
#include "handover_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"
#include "tenants.h"

#define SAVE_MS	 50
#define RETRY_MS 1000
#define SLACK	 1024 /* superseded records that are not worth writing it anew */
#define PART	 256  /* tenants written anew in a turn of the loop: some milliseconds */
#define PART_MS	 10   /* in which others get the loop */

struct file {
	int fd;		/* -1: there is none */
	off_t end;	/* of its last line */
	size_t records; /* lines, workers and tenants, superseded ones, too */
};

struct handover {
	struct sluiced *sluiced;
	struct loop_timer save;
	struct file file, fresh; /* the one there is, and the one to take its place */
	uint32_t next;		 /* from this slot on, tenants are not in fresh yet */
	/* What has changed and is not in file. */
	bool workers;
	uint32_t *slots;
	size_t nslots, room;
	uint8_t marked[STATE_TENANTS_MAX / 8]; /* those of slots */
};

static void path_of(const struct handover *handover, const char *name, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/%s", handover->sluiced->run_dir, name);
}

static void close_file(struct file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

/*
 * A line's end is written last, so a part of it is nothing to a reader, and what stands behind the
 * last line is overwritten by the next. text is taken over.
 */
static int add_line(struct file *file, char *text, size_t len, size_t records)
{
	int err = text ? handover_write_at(file->fd, text, len, file->end) : -ENOMEM;

	free(text);
	if (err)
		return err;
	file->end += (off_t)len;
	file->records += records;
	return 0;
}

/* ---- changes -------------------------------------------------------------------------------- */

static bool has_changed(const struct handover *handover)
{
	return handover->workers || handover->nslots;
}

static int add_changes(struct handover *handover, struct file *file)
{
	struct sluiced *sluiced = handover->sluiced;
	struct state *state = handover_collect(sluiced, handover->nslots);
	uint32_t *gone = calloc(handover->nslots + 1, sizeof(*gone));
	size_t ngone = 0, len;
	int err = state && gone ? 0 : -ENOMEM;

	if (!err && handover->workers)
		err = handover_collect_workers(sluiced, state);
	for (size_t i = 0; !err && i < handover->nslots; i++) {
		struct tenant *tenant = tenants_at(sluiced->tenants, handover->slots[i]);

		if (tenant)
			state->tenants[state->ntenants++] = tenant;
		else
			gone[ngone++] = handover->slots[i];
	}
	if (!err) {
		char *text = state_write_change(state, gone, ngone, &len);

		err = add_line(file, text, len, 1 + state->nworkers + state->ntenants + ngone);
	}
	if (state)
		handover_release(state);
	free(gone);
	return err;
}

/* They are in the file. */
static void forget_changes(struct handover *handover)
{
	for (size_t i = 0; i < handover->nslots; i++)
		handover->marked[handover->slots[i] / 8] = 0;
	handover->nslots = 0;
	handover->workers = false;
}

/* ---- written anew -----------------------------------------------------------------------------
 */

static void abandon(struct handover *handover)
{
	char path[PATH_MAX];

	if (handover->fresh.fd < 0)
		return;
	path_of(handover, HANDOVER_FRESH, path);
	unlink(path);
	close_file(&handover->fresh);
}

/* Its first line: everything but tenants. */
static int begin(struct handover *handover)
{
	struct state *state = handover_collect(handover->sluiced, 0);
	char path[PATH_MAX], *text;
	size_t len;
	int err = state ? handover_collect_workers(handover->sluiced, state) : -ENOMEM;

	if (err)
		goto out;
	path_of(handover, HANDOVER_FRESH, path);
	handover->fresh = (struct file){
		.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600),
	};
	if (handover->fresh.fd < 0) {
		err = -errno;
		goto out;
	}
	handover->next = 0;
	text = state_write(state, false, &len);
	err = add_line(&handover->fresh, text, len, 1 + state->nworkers);
out:
	if (state)
		handover_release(state);
	return err;
}

/* The next tenants; none are left when that was the last part. */
static int add_part(struct handover *handover)
{
	struct tenants *tenants = handover->sluiced->tenants;
	struct tenant *tenant = tenants_from(tenants, handover->next);
	struct state *state = handover_collect(handover->sluiced, PART);
	char *text;
	size_t len;
	int err;

	if (!state)
		return -ENOMEM;
	for (; tenant && state->ntenants < PART; tenant = tenants_next(tenants, tenant))
		state->tenants[state->ntenants++] = tenant;
	handover->next = tenant ? tenant->slot : UINT32_MAX;
	text = state_write_change(state, NULL, 0, &len);
	err = add_line(&handover->fresh, text, len, 1 + state->ntenants);
	handover_release(state);
	return err;
}

static int replace(struct handover *handover)
{
	char path[PATH_MAX], fresh[PATH_MAX];

	path_of(handover, HANDOVER_FILE, path);
	path_of(handover, HANDOVER_FRESH, fresh);
	if (rename(fresh, path))
		return -errno;
	close_file(&handover->file);
	handover->file = handover->fresh;
	handover->fresh.fd = -1;
	return 0;
}

/* One part more, or all parts. What changes meanwhile is in fresh, too. */
static int go_on(struct handover *handover, bool all)
{
	int err = handover->fresh.fd < 0 ? begin(handover) : 0;

	do {
		if (!err)
			err = add_part(handover);
	} while (!err && all && handover->next != UINT32_MAX);
	if (!err && handover->next == UINT32_MAX)
		err = replace(handover);
	if (err)
		abandon(handover);
	return err;
}

/* ---- saving -----------------------------------------------------------------------------------
 */

static bool is_there(const struct file *file)
{
	struct stat st;

	/* Whoever has removed it gets it back. */
	return file->fd >= 0 && !fstat(file->fd, &st) && st.st_nlink;
}

static bool is_stale(const struct handover *handover)
{
	size_t live = tenants_count(handover->sluiced->tenants);

	return handover->file.records > 2 * live + SLACK;
}

static int save_changes(struct handover *handover)
{
	int err = add_changes(handover, &handover->file);

	if (err)
		return err;
	if (handover->fresh.fd >= 0 && add_changes(handover, &handover->fresh))
		abandon(handover);
	forget_changes(handover);
	return 0;
}

static int save(struct handover *handover)
{
	int err = 0;

	/* What an earlier parent left names none of our workers: no time is to be lost. */
	if (!is_there(&handover->file)) {
		abandon(handover);
		err = go_on(handover, true);
		if (!err)
			forget_changes(handover);
		return err;
	}
	if (has_changed(handover))
		err = save_changes(handover);
	/* What is half written anew may hold the room that a change needs. */
	if (err)
		abandon(handover);
	/* Where that fails, the old one goes on being right; the next change tries again. */
	if (!err && (handover->fresh.fd >= 0 || is_stale(handover)))
		go_on(handover, false);
	return err;
}

static void on_save(struct loop_timer *timer);

static int save_now(struct handover *handover)
{
	static struct log_limit limit = LOG_LIMIT(60000, 1);
	uint32_t left_out;
	int err = save(handover);

	loop_timer_stop(&handover->sluiced->loop, &handover->save);
	if (err || handover->fresh.fd >= 0)
		loop_timer_start(&handover->sluiced->loop, &handover->save,
				 err ? RETRY_MS : PART_MS, on_save);
	if (err && log_allowed(&limit, &left_out))
		log_error("%s/" HANDOVER_FILE ": %s; a successor after a crash would know nothing "
			  "of what has changed since",
			  handover->sluiced->run_dir, strerror(-err));
	return err;
}

static void on_save(struct loop_timer *timer)
{
	save_now(container_of(timer, struct handover, save));
}

static void save_soon(struct handover *handover)
{
	if (!handover->save.set)
		loop_timer_start(&handover->sluiced->loop, &handover->save, SAVE_MS, on_save);
}

void handover_touch(struct handover *handover)
{
	if (!handover)
		return;
	handover->workers = true;
	save_soon(handover);
}

void handover_hurry(struct handover *handover)
{
	if (handover && handover->save.set)
		loop_timer_start(&handover->sluiced->loop, &handover->save, 0, on_save);
}

void handover_tenant(struct handover *handover, const struct tenant *tenant)
{
	uint8_t *marks, bit = (uint8_t)(1 << tenant->slot % 8);

	if (!handover)
		return;
	save_soon(handover);
	marks = &handover->marked[tenant->slot / 8];
	if (*marks & bit)
		return;
	if (handover->nslots == handover->room) {
		size_t room = handover->room ? 2 * handover->room : 64;
		uint32_t *grown = reallocarray(handover->slots, room, sizeof(*grown));

		if (!grown) {
			close_file(&handover->file); /* all are written, then */
			return;
		}
		handover->slots = grown;
		handover->room = room;
	}
	handover->slots[handover->nslots++] = tenant->slot;
	*marks |= bit;
}

int handover_flush(struct handover *handover)
{
	return handover->save.set ? save_now(handover) : 0;
}

int handover_new(struct sluiced *sluiced, struct handover **ret)
{
	struct handover *handover = calloc(1, sizeof(*handover));

	if (!handover)
		return -ENOMEM;
	handover->sluiced = sluiced;
	handover->file.fd = handover->fresh.fd = -1;
	*ret = handover;
	return 0;
}

void handover_free(struct handover *handover, bool orderly)
{
	char path[PATH_MAX];

	if (!handover)
		return;
	loop_timer_stop(&handover->sluiced->loop, &handover->save);
	abandon(handover);
	if (orderly) {
		path_of(handover, HANDOVER_FILE, path);
		unlink(path);
	}
	close_file(&handover->file);
	free(handover->slots);
	free(handover);
}
