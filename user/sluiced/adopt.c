/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The second half of a handover: a state with its descriptors becomes generations, workers and
 * tenants of this process. What cannot be taken over is let go, and made anew where it is wanted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../gate/load.h"
#include "../lib/log.h"
#include "generation.h"
#include "handover.h"
#include "origins.h"
#include "rendezvous.h"
#include "state.h"
#include "supervise.h"
#include "tenants.h"
#include "worker_start.h"

static void drop_fd(int *fd, void *arg)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static struct generation *generation_of(struct generation **all, unsigned count, uint32_t number)
{
	for (unsigned i = 0; i < count; i++)
		if (all[i] && all[i]->number == number)
			return all[i];
	return NULL;
}

static void ask_again(struct sluiced *sluiced, struct worker *worker,
		      const struct state_worker *from)
{
	for (unsigned i = 0; i < from->nconnects; i++) {
		struct proto_connect connect = { .service = from->connects[i].service,
						 .origin = from->connects[i].origin };

		if (worker->state != WORKER_ENDING)
			origins_connect(sluiced->origins, worker, from->connects[i].id, &connect);
	}
}

static bool adopt_worker(struct sluiced *sluiced, struct generation *generation,
			 struct state_worker *from)
{
	struct worker *worker;
	int err;

	if (from->sock < 0 || from->stats_fd < 0)
		return false; /* it ended with its parent, or was ended */
	err = generation ? worker_adopt(sluiced, generation, from, &worker) : -ESTALE;
	if (err) {
		log_warn("worker %d cannot be taken over (%s): ended", from->pid, strerror(-err));
		rendezvous_end(from->pid);
		rendezvous_remove(sluiced->run_dir, from->pid);
		return false;
	}
	from->sock = from->stats_fd = -1;
	supervise_adopt(sluiced->supervise, worker);
	return true;
}

static unsigned adopt_workers(struct sluiced *sluiced, struct state *state)
{
	struct generation **generations = calloc(state->ngenerations + 1, sizeof(*generations));
	unsigned count = 0;

	for (unsigned i = 0; generations && i < state->ngenerations; i++) {
		struct state_generation *from = &state->generations[i];

		if (from->conf_fd >= 0 && !generation_adopt(from, &generations[i]))
			from->conf_fd = from->access_fd = -1;
	}
	for (unsigned i = 0; generations && i < state->nworkers; i++)
		count += adopt_worker(sluiced,
				      generation_of(generations, state->ngenerations,
						    state->workers[i].generation),
				      &state->workers[i]);
	/* Workers hold references. */
	for (unsigned i = 0; generations && i < state->ngenerations; i++)
		generation_unref(generations[i]);
	free(generations);
	return count;
}

static unsigned adopt_tenants(struct sluiced *sluiced, struct state *state)
{
	unsigned attached = 0;

	for (unsigned i = 0; i < state->ntenants; i++) {
		struct tenant *tenant = state->tenants[i];

		if (tenants_adopt(sluiced->tenants, tenant)) {
			log_warn("tenant %s: no room to take it over", tenant->want.name);
			continue;
		}
		attached += tenant->gate.attached;
		/* The table owns it now. */
		state->tenants[i] = NULL;
	}
	return attached;
}

/* Closes what is left of tenants that could not be kept, and packs the list. */
static void drop_rest(struct state *state)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < state->ntenants; i++)
		if (state->tenants[i])
			state->tenants[kept++] = state->tenants[i];
	state->ntenants = kept;
	state_each_fd(state, drop_fd, NULL);
}

static int note_highest(uint32_t id, const struct sl_tenant *tenant, void *arg)
{
	uint32_t *highest = arg;

	if (id > *highest)
		*highest = id;
	return 0;
}

/*
 * Workers may know tenants that were attached after the state was written. Their numbers are in the
 * pinned map, and must not become those of others.
 */
static uint32_t first_unused(struct sluiced *sluiced, const struct state *state)
{
	uint32_t highest = 0;

	gate_load_tenant_each(sluiced->load, note_highest, &highest);
	return highest < state->next_id ? state->next_id : highest + 1;
}

void handover_adopt(struct sluiced *sluiced, struct state *state)
{
	unsigned workers, attached;

	sluiced->started_ms = state->started_ms;
	sluiced->upgrades = state->upgrades;
	workers = adopt_workers(sluiced, state);
	tenants_number_from(sluiced->tenants, first_unused(sluiced, state), state->next_slot);
	attached = adopt_tenants(sluiced, state);
	for (unsigned i = 0; i < state->nworkers; i++) {
		struct worker *worker = supervise_find(sluiced->supervise, state->workers[i].pid);

		if (worker)
			ask_again(sluiced, worker, &state->workers[i]);
	}
	drop_rest(state);
	log_info("taken over from %s: %u workers, %u tenants attached", state->version, workers,
		 attached);
}
