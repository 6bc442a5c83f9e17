/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From lines to a state: the first holds all, each further one replaces what had changed. A line
 * counts when its end is there, so a parent that was killed while it wrote leaves the line before.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi.h"
#include "state_priv.h"

#define GENERATIONS_MAX 1024
#define WORKERS_MAX	4096

static int refuse(int err, char **ret_why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(int err, char **ret_why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_why, format, args) < 0)
		*ret_why = NULL;
	va_end(args);
	return err;
}

/* Ids, slots and names are keys. */
static bool tenants_distinct(const struct state *state)
{
	uint8_t *slots = calloc(STATE_TENANTS_MAX / 8, 1);
	bool distinct = slots != NULL;

	for (unsigned i = 0; distinct && i < state->ntenants; i++) {
		const struct tenant *tenant = state->tenants[i];

		distinct = !(slots[tenant->slot / 8] & 1 << tenant->slot % 8);
		slots[tenant->slot / 8] |= (uint8_t)(1 << tenant->slot % 8);
		/* Written in the order of their slots, so names and ids are compared rarely. */
		if (tenant->id >= state->next_id)
			distinct = false;
	}
	free(slots);
	return distinct;
}

static bool read_generations(json_t *list, struct state *state)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > GENERATIONS_MAX)
		return false;
	state->generations = calloc(count + 1, sizeof(*state->generations));
	for (; state->generations && state->ngenerations < count; state->ngenerations++)
		if (!state_read_generation(json_array_get(list, state->ngenerations),
					   &state->generations[state->ngenerations]))
			return false;
	return state->generations;
}

static bool read_workers(json_t *list, struct state *state)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > WORKERS_MAX)
		return false;
	state->workers = calloc(count + 1, sizeof(*state->workers));
	while (state->workers && state->nworkers < count) {
		/* Counted first: what a half-read one holds is freed with the rest. */
		struct state_worker *worker = &state->workers[state->nworkers++];

		if (!state_read_worker(json_array_get(list, state->nworkers - 1), worker))
			return false;
	}
	return state->workers;
}

static bool read_tenants(json_t *list, struct state *state)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > STATE_TENANTS_MAX)
		return false;
	state->tenants = calloc(count + 1, sizeof(*state->tenants));
	for (; state->tenants && state->ntenants < count; state->ntenants++) {
		state->tenants[state->ntenants] =
			state_read_tenant(json_array_get(list, state->ntenants));
		if (!state->tenants[state->ntenants])
			return false;
	}
	return state->tenants && tenants_distinct(state);
}

static int check_layout(json_t *root, char **ret_why)
{
	json_t *mine = state_layout();
	json_t *format = json_object_get(root, "format");
	bool same = json_equal(mine, json_object_get(root, "layout"));
	const char *version = json_string_value(json_object_get(root, "version"));

	json_decref(mine);
	if (!json_is_integer(format))
		return refuse(-EINVAL, ret_why, "it is not a state of sluiced");
	if (json_integer_value(format) != STATE_FORMAT)
		return refuse(-EPROTO, ret_why,
			      "state of format %lld by version %.32s; this is " SLUICE_VERSION
			      ", which reads format %d",
			      (long long)json_integer_value(format), version ? version : "?",
			      STATE_FORMAT);
	if (!same)
		return refuse(-EPROTO, ret_why,
			      "version %.32s lays out its maps, counters or messages to workers in "
			      "another way than " SLUICE_VERSION
			      ": what it has cannot be taken over, "
			      "a restart cuts connections",
			      version ? version : "?");
	return 0;
}

static int read_root(json_t *root, struct state *state, char **ret_why)
{
	json_int_t format, started, upgrades, next_id, next_slot, generation, lock, control;
	json_t *layout, *generations, *workers, *tenants;
	const char *version, *wrong = NULL;
	bool bad = false;
	int err = check_layout(root, ret_why);

	if (err)
		return err;
	if (json_unpack(root, "{s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o !}",
			"format", &format, "version", &version, "layout", &layout, "started_ms",
			&started, "upgrades", &upgrades, "next_id", &next_id, "next_slot",
			&next_slot, "generation", &generation, "lock", &lock, "control", &control,
			"generations", &generations, "workers", &workers, "tenants", &tenants))
		return refuse(-EINVAL, ret_why, "the state lacks something or has too much");
	if (!state_text_fits(state->version, sizeof(state->version), version))
		bad = true;
	state->started_ms = U64(started, &bad);
	state->upgrades = U32(upgrades, &bad);
	state->next_id = U32(next_id, &bad);
	state->next_slot = U32(next_slot, &bad);
	state->generation = U32(generation, &bad);
	state->lock_fd = FD(lock, &bad);
	state->control_fd = FD(control, &bad);
	if (bad)
		wrong = "numbers";
	else if (!read_generations(generations, state))
		wrong = "generations";
	else if (!read_workers(workers, state))
		wrong = "workers";
	else if (!read_tenants(tenants, state))
		wrong = "tenants";
	return wrong ? refuse(-EINVAL, ret_why, "the state's %s are wrong", wrong) : 0;
}

/* ---- changes -------------------------------------------------------------------------------- */

static void clear(struct state *state)
{
	for (unsigned i = 0; i < state->ntenants; i++)
		state_free_tenant(state->tenants[i]);
	for (unsigned i = 0; i < state->nworkers; i++)
		free(state->workers[i].connects);
	free(state->tenants);
	free(state->workers);
	free(state->generations);
}

/* From a list to one place for each slot, NULL where there is nobody; and back. */
static bool spread_tenants(struct state *state)
{
	struct tenant **slots = calloc(STATE_TENANTS_MAX, sizeof(struct tenant *));

	if (!slots)
		return false;
	for (unsigned i = 0; i < state->ntenants; i++)
		slots[state->tenants[i]->slot] = state->tenants[i];
	free(state->tenants);
	state->tenants = slots;
	state->ntenants = STATE_TENANTS_MAX;
	return true;
}

static void gather_tenants(struct state *state)
{
	unsigned count = 0;

	for (unsigned i = 0; i < state->ntenants; i++)
		if (state->tenants[i])
			state->tenants[count++] = state->tenants[i];
	state->ntenants = count;
}

/* Slots that nobody has any more; somebody who is new may have one of them again. */
static bool drop_tenants(struct state *state, json_t *gone)
{
	bool bad = !json_is_array(gone);

	for (size_t i = 0; !bad && i < json_array_size(gone); i++) {
		json_t *slot = json_array_get(gone, i);
		int64_t at =
			state_bounded(json_integer_value(slot), 0, STATE_TENANTS_MAX - 1, &bad);

		bad |= !json_is_integer(slot);
		state_free_tenant(state->tenants[at]);
		state->tenants[at] = NULL;
	}
	return !bad;
}

/* What change holds goes into state, what it replaces into change. */
static void merge(struct state *state, struct state *change)
{
	struct state before = *state;

	state->next_id = change->next_id;
	state->next_slot = change->next_slot;
	state->generation = change->generation;
	for (unsigned i = 0; i < change->ntenants; i++) {
		struct tenant *tenant = change->tenants[i];

		change->tenants[i] = state->tenants[tenant->slot];
		state->tenants[tenant->slot] = tenant;
	}
	if (!change->workers)
		return;
	state->generations = change->generations;
	state->ngenerations = change->ngenerations;
	state->workers = change->workers;
	state->nworkers = change->nworkers;
	change->generations = before.generations;
	change->ngenerations = before.ngenerations;
	change->workers = before.workers;
	change->nworkers = before.nworkers;
}

/* Workers stand in it together with their generations, or not at all: they are as they were. */
static bool read_change(json_t *root, struct state *state)
{
	json_t *generations = NULL, *workers = NULL, *tenants, *gone;
	json_int_t next_id, next_slot, generation;
	struct state change = { 0 };
	bool bad = false, good;

	if (json_unpack(root, "{s:I, s:I, s:I, s?o, s?o, s:o, s:o !}", "next_id", &next_id,
			"next_slot", &next_slot, "generation", &generation, "generations",
			&generations, "workers", &workers, "tenants", &tenants, "gone", &gone))
		return false;
	change.next_id = U32(next_id, &bad);
	change.next_slot = U32(next_slot, &bad);
	change.generation = U32(generation, &bad);
	good = !bad && !generations == !workers &&
	       (!workers ||
		(read_generations(generations, &change) && read_workers(workers, &change))) &&
	       read_tenants(tenants, &change) && drop_tenants(state, gone);
	if (good)
		merge(state, &change);
	clear(&change);
	return good;
}

static int read_changes(const char *text, size_t len, struct state *state, char **ret_why)
{
	const char *end = memchr(text, '\n', len);
	bool good = true;

	if (!end)
		return 0;
	if (!spread_tenants(state))
		return -ENOMEM;
	for (; good && end; end = memchr(text, '\n', len)) {
		size_t line = (size_t)(end - text);
		json_t *root = json_loadb(text, line, JSON_REJECT_DUPLICATES, NULL);

		good = root && read_change(root, state);
		json_decref(root);
		text += line + 1;
		len -= line + 1;
	}
	gather_tenants(state);
	return good && tenants_distinct(state)
		       ? 0
		       : refuse(-EINVAL, ret_why, "a change of the state is wrong");
}

int state_read(const char *text, size_t len, struct state **ret, char **ret_why)
{
	struct state *state = calloc(1, sizeof(*state));
	const char *end = len ? memchr(text, '\n', len) : NULL;
	size_t first = end ? (size_t)(end - text) : len;
	json_t *root;
	int err;

	*ret_why = NULL;
	if (!state)
		return -ENOMEM;
	root = json_loadb(text, first, JSON_REJECT_DUPLICATES, NULL);
	err = root ? read_root(root, state, ret_why)
		   : refuse(-EINVAL, ret_why, "the state is not JSON");
	json_decref(root);
	if (!err && end)
		err = read_changes(end + 1, len - first - 1, state, ret_why);
	if (err) {
		state_free(state);
		return err;
	}
	*ret = state;
	return 0;
}

void state_free(struct state *state)
{
	if (!state)
		return;
	clear(state);
	free(state);
}

void state_each_fd(struct state *state, void (*fn)(int *fd, void *arg), void *arg)
{
	fn(&state->lock_fd, arg);
	fn(&state->control_fd, arg);
	for (unsigned i = 0; i < state->ngenerations; i++) {
		fn(&state->generations[i].conf_fd, arg);
		fn(&state->generations[i].access_fd, arg);
	}
	for (unsigned i = 0; i < state->nworkers; i++) {
		fn(&state->workers[i].sock, arg);
		fn(&state->workers[i].stats_fd, arg);
	}
	for (unsigned i = 0; i < state->ntenants; i++)
		for (unsigned l = 0; l < state->tenants[i]->gate.nlisteners; l++)
			fn(&state->tenants[i]->gate.listeners[l].fd, arg);
}
