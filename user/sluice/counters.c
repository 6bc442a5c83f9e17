/* SPDX-License-Identifier: BSD-2-Clause */
#include "counters.h"

#include <stdio.h>
#include <string.h>

#include "../../bpf/abi.h"
#include "render.h"

#define TOP_DROPS 3

const struct counter verdict_counters[] = {
#define X(id, field, drop, text) { #field, text, drop },
	SL_VERDICTS(X)
#undef X
};
const size_t verdict_counters_count = sizeof(verdict_counters) / sizeof(verdict_counters[0]);

const struct counter relay_counters[] = {
#define X(field, text) { #field, text, false },
	SL_RELAY_COUNTERS(X)
#undef X
};
const size_t relay_counters_count = sizeof(relay_counters) / sizeof(relay_counters[0]);

uint64_t verdicts_steered(const json_t *verdicts)
{
	return json_number(verdicts, "established") + json_number(verdicts, "new_connection");
}

uint64_t verdicts_dropped(const json_t *verdicts)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < verdict_counters_count; i++)
		if (verdict_counters[i].drop)
			sum += json_number(verdicts, verdict_counters[i].field);
	return sum;
}

static void append(char *ret, size_t cap, const char *word, const char *value)
{
	size_t len = strlen(ret);

	snprintf(ret + len, cap - len, "%s%s %s", len ? ", " : "", word, value);
}

void verdicts_top_drops(const json_t *verdicts, char *ret, size_t cap)
{
	uint64_t above = UINT64_MAX;
	char human[HUMAN_MAX];
	unsigned shown = 0;

	*ret = '\0';
	while (shown < TOP_DROPS) {
		uint64_t most = 0;

		for (size_t i = 0; i < verdict_counters_count; i++) {
			uint64_t value = json_number(verdicts, verdict_counters[i].field);

			if (verdict_counters[i].drop && value > most && value < above)
				most = value;
		}
		if (!most)
			return;
		for (size_t i = 0; i < verdict_counters_count && shown < TOP_DROPS; i++) {
			if (!verdict_counters[i].drop ||
			    json_number(verdicts, verdict_counters[i].field) != most)
				continue;
			append(ret, cap, verdict_counters[i].field, human_count(most, human));
			shown++;
		}
		above = most;
	}
}

void relay_engines(const json_t *relay, char *ret, size_t cap)
{
	static const char *const engines[][2] = {
		{ "bytes_inline", "inline" },
		{ "bytes_uring", "uring" },
		{ "bytes_copied", "copied" },
	};
	char human[HUMAN_MAX];

	*ret = '\0';
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		uint64_t bytes = json_number(relay, engines[i][0]);

		if (bytes)
			append(ret, cap, engines[i][1], human_bytes(bytes, human));
	}
}
