/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A state that one parent leaves to the next: a line for all and a line for each change. What is
 * read is what stood in the last line that was finished, whatever came after it.
 */
#include <errno.h>

#include "../../user/sluiced/state_priv.h"
#include "unit.h"

#define NOBODY UINT32_MAX

static struct tenant *make_tenant(uint32_t id, uint32_t slot, const char *name)
{
	const struct tenant_want want = { .name = (char *)(uintptr_t)name,
					  .netns = (char *)(uintptr_t) "qrouter",
					  .interface = (char *)(uintptr_t) "qr0",
					  .ports = { 80 },
					  .nports = 1 };
	struct tenant *tenant = calloc(1, sizeof(*tenant));

	if (!tenant || want_copy(&tenant->want, &want))
		exit(1);
	tenant->id = id;
	tenant->slot = slot;
	tenant->gate.tenant = id;
	/* Of one whose gate stands, that gate's says as much. */
	tenant->cookie = id % 2 ? 0 : 2000 + id;
	tenant->gate.attached = id % 4;
	if (!tenant->gate.attached)
		return tenant;
	tenant->gate.key.netns_cookie = 1000 + id;
	tenant->gate.key.ifindex = tenant->gate.l3_ifindex = 2;
	strcpy(tenant->gate.interface, "qr0");
	strcpy(tenant->gate.l3_interface, "qr0");
	strcpy(tenant->gate.kind, "veth");
	tenant->gate.listeners = calloc(1, sizeof(*tenant->gate.listeners));
	if (!tenant->gate.listeners)
		exit(1);
	tenant->gate.nlisteners = 1;
	tenant->gate.listeners[0] = (struct gate_listener){ -1, 4, 0, 80, 5000 + id };
	return tenant;
}

/* Tenants 1 to 4 in slots 0 to 3 and two workers; changes are made to such a one. */
static struct state *make_state(void)
{
	static const char *const names[] = { "red", "green", "blue", "white" };
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		exit(1);
	strcpy(state->version, "0");
	state->lock_fd = state->control_fd = -1;
	state->generation = 1;
	state->next_id = 5;
	state->next_slot = 4;
	state->generations = calloc(1, sizeof(*state->generations));
	state->workers = calloc(2, sizeof(*state->workers));
	state->tenants = calloc(8, sizeof(struct tenant *));
	if (!state->generations || !state->workers || !state->tenants)
		exit(1);
	state->ngenerations = 1;
	state->generations[0] = (struct state_generation){
		.number = 1, .conf_fd = -1, .access_fd = -1, .nworkers = 2
	};
	for (state->nworkers = 0; state->nworkers < 2; state->nworkers++)
		state->workers[state->nworkers] =
			(struct state_worker){ .pid = 100 + (pid_t)state->nworkers,
					       .index = state->nworkers,
					       .generation = 1,
					       .nstats = 16,
					       .sock = -1,
					       .stats_fd = -1 };
	for (; state->ntenants < 4; state->ntenants++)
		state->tenants[state->ntenants] =
			make_tenant(state->ntenants + 1, state->ntenants, names[state->ntenants]);
	return state;
}

/* One thing that happens between two savings. */
struct event {
	uint32_t slot;	    /* whose tenant it is about, or NOBODY */
	const char *name;   /* who is new there; NULL: the tenant goes */
	const char *reason; /* what became of the one there */
	pid_t worker;	    /* the first one is this one now */
};

static void apply(struct state *state, const struct event *event)
{
	unsigned at = 0;

	if (event->worker)
		state->workers[0].pid = event->worker;
	if (event->slot == NOBODY)
		return;
	while (at < state->ntenants && state->tenants[at]->slot < event->slot)
		at++;
	if (event->reason) {
		strcpy(state->tenants[at]->reason, event->reason);
		return;
	}
	if (at < state->ntenants && state->tenants[at]->slot == event->slot) {
		state_free_tenant(state->tenants[at]);
		memmove(&state->tenants[at], &state->tenants[at + 1],
			(--state->ntenants - at) * sizeof(struct tenant *));
	}
	if (!event->name)
		return;
	memmove(&state->tenants[at + 1], &state->tenants[at],
		(state->ntenants++ - at) * sizeof(struct tenant *));
	state->tenants[at] = make_tenant(state->next_id++, event->slot, event->name);
	state->next_slot = event->slot + 1;
}

/* The line that a parent adds for it. */
static char *change_of(const struct state *state, const struct event *event, size_t *ret_len)
{
	struct tenant *list[1];
	struct state change = *state;
	size_t ngone = event->slot != NOBODY;

	change.tenants = list;
	change.ntenants = 0;
	for (unsigned i = 0; i < state->ntenants; i++)
		if (state->tenants[i]->slot == event->slot) {
			list[change.ntenants++] = state->tenants[i];
			ngone = 0;
		}
	if (!event->worker)
		change.ngenerations = change.nworkers = 0;
	return state_write_change(&change, &event->slot, ngone, ret_len);
}

struct file {
	char text[65536];
	size_t len;
};

static void add(struct file *file, const char *text, size_t len)
{
	if (!text || file->len + len > sizeof(file->text))
		exit(1);
	memcpy(file->text + file->len, text, len);
	file->len += len;
}

/* That reading len bytes of the file yields what wanted says. */
static void check_reads(const struct file *file, size_t len, const struct state *wanted)
{
	struct state *got;
	char *why, *first, *second;
	size_t first_len, second_len;
	int err = state_read(unit_guarded(file->text, len), len, &got, &why);

	if (!CHECK_THAT(!err, "%zu bytes: %d, %s", len, err, why ? why : "no word")) {
		free(why);
		return;
	}
	first = state_write(wanted, false, &first_len);
	second = state_write(got, false, &second_len);
	CHECK_THAT(first && second && first_len == second_len && !memcmp(first, second, first_len),
		   "%zu bytes: wanted %.*s got %.*s", len, (int)first_len, first, (int)second_len,
		   second);
	for (unsigned i = 0; i < wanted->ntenants && i < got->ntenants; i++)
		CHECK_THAT(got->tenants[i]->cookie == (wanted->tenants[i]->gate.attached
							       ? 0
							       : wanted->tenants[i]->cookie),
			   "%zu bytes: tenant %u has another cookie", len, i);
	free(first);
	free(second);
	state_free(got);
}

static const struct {
	const char *name;
	struct event events[4];
} cases[] = {
	{ "nothing", { { NOBODY, NULL, NULL, 0 } } },
	{ "one changed", { { 1, NULL, "gone", 0 } } },
	{ "one changed twice", { { 1, NULL, "gone", 0 }, { 1, NULL, "somebody is there", 0 } } },
	{ "one more", { { 4, "black", NULL, 0 } } },
	{ "one less", { { 2, NULL, NULL, 0 } } },
	{ "the first and the last less", { { 0, NULL, NULL, 0 }, { 3, NULL, NULL, 0 } } },
	{ "another in its place", { { 2, "black", NULL, 0 } } },
	{ "gone, and another in its place", { { 2, NULL, NULL, 0 }, { 2, "black", NULL, 0 } } },
	{ "come and gone", { { 9, "black", NULL, 0 }, { 9, NULL, NULL, 0 } } },
	{ "gone before it was saved", { { 9, NULL, NULL, 0 } } },
	{ "another worker", { { NOBODY, NULL, NULL, 7 } } },
	{ "another worker, then a tenant alone",
	  { { NOBODY, NULL, NULL, 7 }, { 65535, "black", NULL, 0 } } },
	{ "all of it",
	  { { 3, NULL, "gone", 8 },
	    { 1, NULL, NULL, 0 },
	    { 1, "red", NULL, 9 },
	    { 7, "x", NULL, 0 } } },
};

/* Each event becomes a line; the file reads as the state after the last whole line, cut anywhere.
 */
static void test_changes(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct state *state = make_state();
		struct file file = { .len = 0 };
		size_t len;
		char *text = state_write(state, false, &len);

		unit_case = cases[i].name;
		add(&file, text, len);
		free(text);
		check_reads(&file, file.len, state);
		for (size_t e = 0; e < 4; e++) {
			const struct event *event = &cases[i].events[e];
			size_t whole = file.len;
			struct state *before = state;

			if (e && !event->slot && !event->name && !event->reason && !event->worker)
				break;
			/* What was there stays to be compared with. */
			state = make_state();
			for (size_t b = 0; b <= e; b++)
				apply(state, &cases[i].events[b]);
			text = change_of(state, event, &len);
			add(&file, text, len);
			free(text);
			for (size_t cut = whole; cut < file.len; cut += 1 + cut % 7)
				check_reads(&file, cut, before);
			check_reads(&file, file.len - 1, before);
			check_reads(&file, file.len, state);
			state_free(before);
		}
		state_free(state);
	}
}

/* A parent of before wrote one line without its end. */
static void test_single(void)
{
	struct state *state = make_state();
	struct file file = { .len = 0 };
	size_t len;
	char *text = state_write(state, false, &len);

	unit_case = "one line without its end";
	add(&file, text, len - 1);
	check_reads(&file, file.len, state);
	free(text);
	state_free(state);
}

#define LINE "{\"next_id\":5,\"next_slot\":4,\"generation\":1,\"tenants\":[],\"gone\":[]"

static const struct {
	const char *name, *line;
	bool good;
} lines[] = {
	{ "nothing changed", LINE "}\n", true },
	{ "not JSON", "x\n", false },
	{ "an empty line", "\n", false },
	{ "a line that is no object", "[]\n", false },
	{ "nothing in it", "{}\n", false },
	{ "an unknown key", LINE ",\"more\":1}\n", false },
	{ "a key twice", LINE ",\"gone\":[]}\n", false },
	{ "two in a line", LINE "}" LINE "}\n", false },
	{ "workers without their generations", LINE ",\"workers\":[]}\n", false },
	{ "generations without their workers", LINE ",\"generations\":[]}\n", false },
	{ "nobody is left at work", LINE ",\"generations\":[],\"workers\":[]}\n", true },
	{ "workers that are none", LINE ",\"generations\":[],\"workers\":[1]}\n", false },
	{ "a bad change before a good one", "{}\n" LINE "}\n", false },
	{ "a bad change after a good one", LINE "}\n{}\n", false },
	{ "a number that is too large",
	  "{\"next_id\":5,\"next_slot\":4,\"generation\":4294967296,\"tenants\":[],\"gone\":[]}\n",
	  false },
	{ "a next id that somebody has",
	  "{\"next_id\":4,\"next_slot\":4,\"generation\":1,\"tenants\":[],\"gone\":[]}\n", false },
	{ "a next id of somebody who goes",
	  "{\"next_id\":4,\"next_slot\":4,\"generation\":1,\"tenants\":[],\"gone\":[3]}\n", true },
	{ "the last slot",
	  "{\"next_id\":5,\"next_slot\":4,\"generation\":1,\"tenants\":[],\"gone\":[65535]}\n",
	  true },
	{ "beyond it",
	  "{\"next_id\":5,\"next_slot\":4,\"generation\":1,\"tenants\":[],\"gone\":[65536]}\n",
	  false },
	{ "below the first",
	  "{\"next_id\":5,\"next_slot\":4,\"generation\":1,\"tenants\":[],\"gone\":[-1]}\n",
	  false },
	{ "a slot that is a word",
	  "{\"next_id\":5,\"next_slot\":4,\"generation\":1,\"tenants\":[],\"gone\":[\"0\"]}\n",
	  false },
	{ "slots that are no list",
	  "{\"next_id\":5,\"next_slot\":4,\"generation\":1,\"tenants\":[],\"gone\":{}}\n", false },
	{ "tenants that are none",
	  "{\"next_id\":5,\"next_slot\":4,\"generation\":1,\"tenants\":[{}],\"gone\":[]}\n",
	  false },
};

static void test_lines(void)
{
	struct state *state = make_state(), *got;
	size_t len;
	char *text = state_write(state, false, &len), *why;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct file file = { .len = 0 };
		int err;

		unit_case = lines[i].name;
		add(&file, text, len);
		add(&file, lines[i].line, strlen(lines[i].line));
		err = state_read(unit_guarded(file.text, file.len), file.len, &got, &why);
		CHECK_THAT(err == (lines[i].good ? 0 : -EINVAL), "returned %d", err);
		free(why);
		if (!err)
			state_free(got);
	}
	unit_case = "a second state";
	{
		struct file file = { .len = 0 };

		add(&file, text, len);
		add(&file, text, len);
		CHECK(state_read(unit_guarded(file.text, file.len), file.len, &got, &why) ==
		      -EINVAL);
		free(why);
	}
	free(text);
	state_free(state);
}

/* Who waits for a connection is told to an upgraded program alone: after a crash workers ask again.
 */
static void test_connects(void)
{
	struct state *state = make_state(), *got;
	struct state_connect connect = { .id = 3, .service = 1, .origin = 2 };

	unit_case = "connections that are waited for";
	state->workers[0].connects = &connect;
	state->workers[0].nconnects = 1;
	for (int fds = 0; fds < 2; fds++) {
		size_t len;
		char *text = state_write(state, fds, &len), *why;

		if (!CHECK(!state_read(text, len, &got, &why)))
			continue;
		CHECK_THAT(got->workers[0].nconnects == (unsigned)fds, "%u read",
			   got->workers[0].nconnects);
		state_free(got);
		free(text);
	}
	state->workers[0].connects = NULL;
	state_free(state);
}

int main(void)
{
	test_changes();
	test_single();
	test_lines();
	test_connects();
	return unit_end();
}
