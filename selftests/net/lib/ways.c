/* SPDX-License-Identifier: BSD-2-Clause */
#include "ways.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct way ways[] = {
	{ "inline", false }, { "inline", true }, { "uring", false },
	{ "uring", true },   { "copy", false },	 { "copy", true },
};

void ways_expect(struct bench *bench, bool good, const char *file, int line, const char *text)
{
	if (good)
		return;
	printf("  %s:%d: not so: %s\n", file, line, text);
	bench->failed = true;
}

void ways_expect_body(struct bench *bench, const struct response *response, uint64_t length,
		      const char *file, int line)
{
	uint8_t hash[BODY_HASH_LEN];

	body_expect(length, hash);
	if (response->end == CLIENT_COMPLETE && response->status == 200 &&
	    response->length == length && memcmp(hash, response->hash, sizeof(hash)) == 0)
		return;
	printf("  %s:%d: end %d, status %u, %llu of %llu bytes\n", file, line, response->end,
	       response->status, (unsigned long long)response->length, (unsigned long long)length);
	bench->failed = true;
}

void ways_sleep(unsigned ms)
{
	struct timespec nap = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&nap, NULL);
}

bool ways_counter(struct bench *bench, size_t offset, uint64_t value)
{
	for (int i = 0; i < 3000; i++) {
		struct sl_relay counters = parent_counters(bench->parent);

		if (*(__u64 *)((char *)&counters + offset) >= value)
			return true;
		ways_sleep(10);
	}
	return false;
}

static struct parent *start(const struct bench *bench, const char *extra)
{
	struct parent_setup setup = { .stream = bench->way->stream, .pipes = 4 };
	char yaml[2048];

	setup.yaml = yaml;
	snprintf(yaml, sizeof(yaml),
		 "relay: {engine: %s}\n%s"
		 "routes:\n"
		 "- {path: /, service: o, methods: [GET, HEAD, PUT, POST, DELETE]}\n"
		 "- {path: /get-only, service: o}\n"
		 "- {path: /stall/hasty, service: hasty}\n"
		 "- {path: /echo/hasty, service: hasty}\n"
		 "services:\n"
		 "- {name: o, origins: [{address: \"tcp:127.0.0.1:%u\"}]}\n"
		 "- {name: hasty, response_timeout: 1500, idle_timeout: 1500,\n"
		 "   origins: [{address: \"tcp:127.0.0.1:%u\"}]}\n",
		 bench->way->engine, extra, origin_port(bench->origin), origin_port(bench->origin));
	return parent_start(&setup);
}

static bool stop(struct bench *bench)
{
	bool good = parent_stop(bench->parent);

	bench->parent = NULL;
	return good;
}

static int run_way(struct bench *bench, const struct ways_case *cases, size_t count,
		   const char *extra, bool fresh)
{
	int failed = 0;

	for (size_t i = 0; i < count; i++) {
		bench->failed = false;
		if (!bench->parent)
			bench->parent = start(bench, extra);
		bench->port = parent_port(bench->parent);
		cases[i].run(bench);
		if ((fresh || i + 1 == count) && !stop(bench)) {
			printf("  the workers did not end well\n");
			bench->failed = true;
		}
		printf("%s: %s (%s, %s)\n", bench->failed ? "FAIL" : "ok", cases[i].name,
		       bench->way->engine, bench->way->stream ? "stream" : "fd");
		fflush(stdout);
		failed += bench->failed;
	}
	return failed;
}

static int begin_way(const struct way *way, const struct ways_case *cases, size_t count,
		     const char *extra, bool fresh)
{
	struct bench bench = { .way = way };
	int failed;

	lab_enter();
	bench.origin = origin_start(NULL);
	failed = run_way(&bench, cases, count, extra, fresh);
	origin_stop(bench.origin);
	return failed ? 1 : 0;
}

/* At once, each in a process and a namespace of its own: cases wait more than they work. */
int ways_run(const struct ways_case *cases, size_t count, const char *extra, bool fresh)
{
	const char *only = getenv("WAY");
	int status, result = 0;
	pid_t pid;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (only && (size_t)atoi(only) != i)
			continue;
		pid = fork();
		if (pid < 0)
			return 1;
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			exit(begin_way(&ways[i], cases, count, extra, fresh));
		}
	}
	while (wait(&status) > 0) {
		if (!WIFEXITED(status))
			printf("FAIL: a way ended by signal %d\n", WTERMSIG(status));
		if (!WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != 77))
			result = 1;
		else if (WEXITSTATUS(status) && !result)
			result = 77;
	}
	return result;
}
