/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an agent in a VM reads beside documents: its own state after a crash, and what apt-get, dpkg
 * and dnf say, whose packages' scripts say anything.
 *
 * The first byte says what the rest is. Lines come in pieces as short as the input says.
 */
#include "../../user/agent/agent_dpkg.c"
#include "../../user/agent/agent_run.c"
#include "fuzz.h"

volatile sig_atomic_t agent_ending;

static unsigned told;

static void on_percent(unsigned percent, void *arg)
{
	assert(percent > told && percent <= 99);
	told = percent;
}

static void read_lines(const uint8_t *data, size_t size, void (*read)(struct run *, char *))
{
	struct agent_result *result = calloc(1, sizeof(*result));
	struct run *run = calloc(1, sizeof(*run));

	assert(run && result);
	run->tell = on_percent;
	run->result = result;
	run->read = read;
	run->dnf = read == read_dnf;
	strcpy(run->native, "amd64");
	told = 0;
	for (size_t len; size; data += len, size -= len) {
		char *piece;

		len = 1 + data[0] % 61;
		len = len < size ? len : size;
		piece = fuzz_copy(data, len);
		/* dpkg-query's output comes as lines alone; others' is kept. */
		if (read == read_torn)
			take_status(piece, len, run);
		else
			take_output(piece, len, run);
		if (read == run_read_status)
			take_status(piece, len, run);
		free(piece);
	}
	assert(run->percent == told);
	assert(run->torn_count <= TORN_MAX);
	assert(strlen(result->log) <= AGENT_LOG_MAX && strlen(run->error) <= AGENT_MESSAGE_MAX);
	child_last_line(result->log, result->message, sizeof(result->message));
	assert(strlen(result->message) <= AGENT_MESSAGE_MAX);
	for (unsigned i = 0; i < run->torn_count; i++) {
		const struct torn *torn = &run->torn[i];

		assert(torn_name_valid(torn->name));
		assert(torn->said == strlen(torn->name) || torn->name[torn->said] == ':');
	}
	free(run);
	free(result);
}

/* What is read is read again from what is written of it. */
static void read_state(const uint8_t *data, size_t size)
{
	struct agent_state state = { .seen = 0 }, again = { .seen = 0 };
	char *copy = fuzz_copy(data, size), *text;
	json_t *ended, *result;
	const char *id;

	if (agent_state_parse(&state, copy, size)) {
		assert(!state.ended);
		free(copy);
		return;
	}
	free(copy);
	assert(state.seen > 0 && strlen(state.running) < sizeof(state.running));
	json_object_foreach (state.ended, id, result)
		assert(!json_is_true(json_object_get(result, "told")) ||
		       !json_object_get(result, "log"));
	ended = json_pack("{s:I, s:I, s:O}", "generation", (json_int_t)state.generation, "seen",
			  (json_int_t)state.seen, "ended", state.ended);
	text = json_dumps(ended, JSON_COMPACT);
	assert(text && !agent_state_parse(&again, text, strlen(text)));
	assert(json_equal(state.ended, again.ended) && again.seen == state.seen);
	free(text);
	json_decref(ended);
	agent_state_free(&again);
	agent_state_free(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(struct run *, char *) = { run_read_status, read_dnf,
								 read_torn };

	if (!size)
		return 0;
	if (data[0] % 4 == 3)
		read_state(data + 1, size - 1);
	else
		read_lines(data + 1, size - 1, readers[data[0] % 4]);
	return 0;
}
