/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that say things, end in every way, leave something behind, or do not end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../user/lib/child.h"
#include "unit.h"

static char output[64], status[64];

static void take_output(const char *data, size_t len, void *arg)
{
	child_keep(output, sizeof(output) - 1, data, len);
}

static void take_status(const char *data, size_t len, void *arg)
{
	child_keep(status, sizeof(status) - 1, data, len);
}

static const struct run_case {
	const char *name, *script;
	unsigned timeout, silence;
	int result;
	const char *output, *status;
} run_cases[] = {
	{ "both outputs, in order", "echo a; echo b >&2; echo c", 600, 0, 0, "a\nb\nc\n", "" },
	{ "the status is apart", "echo a; echo 50 >&3", 600, 0, 0, "a\n", "50\n" },
	{ "an exit status", "exit 7", 600, 0, 7, "", "" },
	{ "a signal", "kill -9 $$", 600, 0, 128 + SIGKILL, "", "" },
	{ "stdin is empty", "cat; echo end", 600, 0, 0, "end\n", "" },
	{ "files that are closed", "exec >&- 2>&- 3>&-; sleep 0.2; exit 3", 600, 600, 3, "", "" },
	{ "too long", "trap 'echo term; exit 0' TERM; sleep 6000 & wait", 1, 0, -ETIME, "", "" },
	{ "too silent", "echo a; exec sleep 6000", 0, 1, -ETIME, "a\n", "" },
	{ "long, but not silent", "for i in 1 2 3; do sleep 0.5; echo $i; done", 0, 1, 0,
	  "1\n2\n3\n", "" },
	{ "signals are as they should be", "kill -PIPE $$", 600, 0, 128 + SIGPIPE, "", "" },
	{ "the end of much", "i=0; while [ $i -lt 999 ]; do i=$((i + 1)); echo $i; done", 600, 0, 0,
	  "84\n985\n986\n987\n988\n989\n990\n991\n992\n993\n994\n995\n996\n997\n998\n999\n", "" },
	{ "no plain text", "printf 'a\\tb\\377c\\n'", 600, 0, 0, "a?b?c\n", "" },
};

#define TRIES 20

static int run(const struct run_case *c)
{
	const char *const argv[] = { "/bin/sh", "-c", c->script, NULL };
	const struct child child = { .argv = argv,
				     .input = -1,
				     .timeout = c->timeout,
				     .silence = c->silence,
				     .output = take_output,
				     .status = take_status };

	output[0] = status[0] = '\0';
	return child_run(&child);
}

static void test_run(void)
{
	for (size_t i = 0; i < sizeof(run_cases) / sizeof(run_cases[0]); i++) {
		const struct run_case *c = &run_cases[i];
		/* The script does things within that second, unless somebody holds it up. */
		const bool timed = c->silence == 1;
		int result, tries = 1;

		unit_case = c->name;
		result = run(c);
		while (timed && (result != c->result || strcmp(output, c->output) != 0) &&
		       tries++ < TRIES)
			result = run(c);
		CHECK_THAT(result == c->result, "%d", result);
		CHECK_THAT(!strcmp(output, c->output), "said \"%s\"", output);
		CHECK_THAT(!strcmp(status, c->status), "status \"%s\"", status);
	}
}

/* A service that a package starts holds on to the pipes: nobody waits for it. */
static void test_left_behind(void)
{
	const char *const argv[] = { "/bin/sh", "-c", "sleep 600 & echo $!", NULL };
	const struct child child = { .argv = argv, .input = -1, .output = take_output };
	pid_t pid;

	unit_case = "left behind";
	output[0] = '\0';
	CHECK(!child_run(&child));
	pid = (pid_t)atoi(output);
	CHECK(pid > 1 && !kill(pid, SIGKILL));
}

static void test_not_there(void)
{
	const char *const argv[] = { "/nonexistent/tool", NULL };
	const struct child child = { .argv = argv, .input = -1, .output = take_output };

	unit_case = "not there";
	CHECK(child_run(&child) == -ENOENT);
}

static void test_last_line(void)
{
	char line[8];

	unit_case = "the last line";
	child_last_line("one\ntwo\n\n", line, sizeof(line));
	CHECK(!strcmp(line, "two"));
	child_last_line("a longer line", line, sizeof(line));
	CHECK(!strcmp(line, "a longe"));
	child_last_line("\n", line, sizeof(line));
	CHECK(!*line);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_run();
	test_left_behind();
	test_not_there();
	test_last_line();
	return unit_end();
}
