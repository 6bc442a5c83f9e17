/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state that one parent leaves to the next. What can be read is within its bounds, and is
 * the same after being written and read again.
 */
#include <stdio.h>

#include "../../user/sluiced/state.c"
#include "../../user/sluiced/state_parts.c"
#include "../../user/sluiced/state_write.c"
#include "../../user/sluiced/want.c"
#include "fuzz.h"

static void check_fd(int *fd, void *arg)
{
	assert(*fd >= -1 && *fd <= FD_MAX_VALUE);
}

static void check(struct state *state)
{
	state_each_fd(state, check_fd, NULL);
	for (unsigned i = 0; i < state->nworkers; i++) {
		assert(state->workers[i].pid > 1);
		assert(state->workers[i].index < SL_WORKERS_MAX);
		assert(state->workers[i].nconnects <= STATE_CONNECTS_MAX);
	}
	for (unsigned i = 0; i < state->ntenants; i++) {
		const struct tenant *tenant = state->tenants[i];

		assert(want_name_valid(tenant->want.name));
		assert(tenant->want.nports && tenant->want.nports <= SL_PORTS_MAX);
		assert(tenant->gate.attached == (tenant->gate.nlisteners > 0));
	}
}

/*
 * The input with this program's layout instead of the one that it names, which would be refused:
 * what was kept of older programs still reaches all that comes after.
 */
static char *with_our_layout(const uint8_t *data, size_t size, size_t *ret_len)
{
	static const char key[] = "\"layout\":{";
	const uint8_t *at = memmem(data, size, key, sizeof(key) - 1), *end = NULL;
	json_t *layout;
	char *ours, *text;
	size_t before, len;

	if (at)
		end = memchr(at, '}', size - (size_t)(at - data));
	*ret_len = size;
	if (!end)
		return fuzz_copy(data, size);
	layout = state_layout();
	ours = json_dumps(layout, JSON_COMPACT);
	assert(ours);
	json_decref(layout);
	before = (size_t)(at - data) + sizeof(key) - 2;
	len = strlen(ours);
	*ret_len = before + len + (size_t)(data + size - end - 1);
	text = malloc(*ret_len);
	assert(text);
	memcpy(text, data, before);
	memcpy(text + before, ours, len);
	memcpy(text + before + len, end + 1, *ret_len - before - len);
	free(ours);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = with_our_layout(data, size, &size), *why = NULL, *first, *second;
	size_t first_len, second_len;
	struct state *state;
	int err = state_read(text, size, &state, &why);

	free(text);
	assert(err <= 0);
	free(why);
	if (err)
		return 0;
	check(state);
	first = state_write(state, true, &first_len);
	assert(first);
	state_free(state);
	err = state_read(first, first_len, &state, &why);
	assert(!err);
	second = state_write(state, true, &second_len);
	assert(second && first_len == second_len && !memcmp(first, second, first_len));
	state_free(state);
	free(first);
	free(second);
	return 0;
}
