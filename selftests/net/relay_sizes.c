/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bodies of every size that a threshold lies near arrive unchanged, through each engine
 * and each way through the workers, on kept connections and on new ones.
 *
 * # timeout: 120
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/client.h"
#include "lib/origin.h"
#include "lib/parent.h"

static const uint64_t sizes[] = { 0, 1, 1024, 65535, 65536, 65537, 1 << 20, 64 << 20 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static const struct {
	const char *engine;
	bool stream, over_unix;
	unsigned pipes;
} ways[] = {
	{ "inline", false, false, 4 }, { "uring", false, false, 4 }, { "copy", false, false, 0 },
	{ "inline", true, false, 4 },  { "uring", true, false, 4 },  { "copy", true, false, 0 },
	{ "inline", false, true, 4 },  { "uring", false, true, 4 },  { "inline", false, false, 0 },
};

static bool check(const struct response *got, uint64_t size, uint8_t expect[BODY_HASH_LEN])
{
	return got->end == CLIENT_COMPLETE && got->status == 200 && got->length == size &&
	       memcmp(got->hash, expect, BODY_HASH_LEN) == 0;
}

static bool spliced_as_told(const char *engine, unsigned pipes, const struct sl_relay *counters)
{
	if (strcmp(engine, "copy") == 0)
		return !counters->bytes_inline && !counters->bytes_uring;
	if (!pipes)
		return !counters->bytes_inline && counters->pipe_shortage;
	return (strcmp(engine, "uring") == 0 ? counters->bytes_uring : counters->bytes_inline) >
	       (100 << 20);
}

int main(void)
{
	uint8_t expect[SIZES][BODY_HASH_LEN];
	char yaml[1024], path[64], unix_path[64];
	struct origin_server *tcp, *local;
	int failed = 0;

	lab_enter();
	snprintf(unix_path, sizeof(unix_path), "/tmp/sluice-origin-%d", (int)getpid());
	tcp = origin_start(NULL);
	local = origin_start(unix_path);
	for (size_t i = 0; i < SIZES; i++)
		body_expect(sizes[i], expect[i]);
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		struct parent_setup setup = {
			.yaml = yaml,
			.stream = ways[w].stream,
			.pipes = ways[w].pipes,
		};
		struct response *got = malloc(sizeof(*got));
		struct sl_relay counters;
		struct parent *parent;
		struct client *kept;
		char origin[96];
		bool good = true;

		if (ways[w].over_unix)
			snprintf(origin, sizeof(origin), "unix:%s", unix_path);
		else
			snprintf(origin, sizeof(origin), "tcp:127.0.0.1:%u", origin_port(tcp));
		snprintf(yaml, sizeof(yaml),
			 "relay: {engine: %s}\n"
			 "services:\n- name: o\n  origins:\n  - address: \"%s\"\n"
			 "routes:\n- {path: /, service: o}\n",
			 ways[w].engine, origin);
		parent = parent_start(&setup);
		kept = client_open(parent_port(parent));
		for (size_t i = 0; i < 2 * SIZES; i++) {
			size_t k = i % SIZES;

			snprintf(path, sizeof(path), "/length/%llu", (unsigned long long)sizes[k]);
			if (i < SIZES)
				client_get(parent_port(parent), path, got);
			else
				client_ask(kept, path, "", got);
			if (!check(got, sizes[k], expect[k])) {
				printf("FAIL %s: end %d status %u length %llu\n", path, got->end,
				       got->status, (unsigned long long)got->length);
				good = false;
				break;
			}
		}
		client_close(kept);
		counters = parent_counters(parent);
		good &= spliced_as_told(ways[w].engine, ways[w].pipes, &counters);
		good &= parent_stop(parent);
		printf("%s: %s, %s, %s origin, %u pipes\n", good ? "ok" : "FAIL", ways[w].engine,
		       ways[w].stream ? "stream" : "fd", ways[w].over_unix ? "unix" : "tcp",
		       ways[w].pipes);
		failed += !good;
		free(got);
	}
	origin_stop(tcp);
	origin_stop(local);
	unlink(unix_path);
	return failed ? 1 : 0;
}
