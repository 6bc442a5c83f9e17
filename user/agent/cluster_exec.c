/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs programs and an item's steps; what they say last is kept. */
#include "cluster.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/child.h"

#define WORDS_MAX 32
#define QUICK	  120  /* seconds for a program that has little to do */
#define LONG	  3600 /* for one that has as much to do as a payload or a disk is large */

static const char *const plain_environment[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LC_ALL=C.UTF-8",
	"HOME=/root",
	"DEBIAN_FRONTEND=noninteractive",
	"LVM_SUPPRESS_FD_WARNINGS=1", /* whatever we were started with */
	NULL,
};

struct run {
	const struct exec *exec;
	struct outcome *outcome;
	char line[512];
	size_t line_len;
	/* exec_output() */
	char *text;
	size_t len, max;
};

int outcome_fail(struct outcome *outcome, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(outcome->why, sizeof(outcome->why), format, args);
	va_end(args);
	for (char *c = outcome->why; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	return err;
}

static void take_status(const char *data, size_t len, void *arg)
{
	struct run *run = arg;

	for (; len; data++, len--) {
		if (*data != '\n') {
			if (run->line_len + 1 < sizeof(run->line))
				run->line[run->line_len++] = *data;
			continue;
		}
		run->line[run->line_len] = '\0';
		run->line_len = 0;
		run->exec->status(run->line, run->exec->arg);
	}
}

static void take_output(const char *data, size_t len, void *arg)
{
	struct run *run = arg;

	if (!run->max) {
		child_keep(run->outcome->log, CLUSTER_LOG_MAX, data, len);
		return;
	}
	if (run->len + len > run->max)
		len = run->max - run->len;
	memcpy(run->text + run->len, data, len);
	run->len += len;
	run->text[run->len] = '\0';
}

static void begun(pid_t pid, void *arg)
{
	const struct run *run = arg;

	leftover_begin(pid, run->exec->argv[0], run->exec->timeout);
}

static int execute(struct run *run)
{
	const struct exec *exec = run->exec;
	const struct child child = {
		.argv = exec->argv,
		.environment =
			exec->environment ? exec->environment : (char *const *)plain_environment,
		.input = exec->input,
		.timeout = exec->timeout,
		.output = take_output,
		.status = exec->status ? take_status : NULL,
		/* Who only says something changes nothing. */
		.started = run->max ? NULL : begun,
		.arg = run,
	};
	int status = child_run(&child);

	if (!run->max)
		leftover_done();
	if (status == -ETIME)
		outcome_fail(run->outcome, status, "%s took longer than %u s and was ended",
			     exec->argv[0], exec->timeout);
	else if (status < 0)
		outcome_fail(run->outcome, status, "%s: %s", exec->argv[0], strerror(-status));
	return status;
}

int exec_run(const struct exec *exec, struct outcome *outcome)
{
	struct run run = { .exec = exec, .outcome = outcome };

	return execute(&run);
}

static unsigned collect(const char **argv, const char *word, va_list args)
{
	unsigned argc = 0;

	for (; word && argc + 1 < WORDS_MAX; word = va_arg(args, const char *))
		argv[argc++] = word;
	argv[argc] = NULL;
	return argc;
}

static int run_words(struct outcome *outcome, const char *const *argv, unsigned timeout)
{
	struct exec exec = { .argv = argv, .timeout = timeout, .input = -1 };
	char line[CLUSTER_WHY_MAX - 100];
	int status;

	outcome->log[0] = '\0';
	status = exec_run(&exec, outcome);
	if (status <= 0)
		return status;
	if (status > 128)
		return outcome_fail(outcome, -EIO, "%s was killed (signal %d)", argv[0],
				    status - 128);
	child_last_line(outcome->log, line, sizeof(line));
	return outcome_fail(outcome, -EIO, "%s: %s", argv[0], *line ? line : "it failed");
}

int exec_words(struct outcome *outcome, const char *word, ...)
{
	const char *argv[WORDS_MAX];
	va_list args;

	va_start(args, word);
	collect(argv, word, args);
	va_end(args);
	return run_words(outcome, argv, QUICK);
}

int exec_long(struct outcome *outcome, const char *word, ...)
{
	const char *argv[WORDS_MAX];
	va_list args;

	va_start(args, word);
	collect(argv, word, args);
	va_end(args);
	return run_words(outcome, argv, LONG);
}

char *exec_output(size_t max, const char *word, ...)
{
	struct outcome *outcome = calloc(1, sizeof(*outcome));
	const char *argv[WORDS_MAX];
	struct exec exec = { .argv = argv, .timeout = QUICK, .input = -1 };
	struct run run = { .exec = &exec, .outcome = outcome, .max = max };
	va_list args;
	int status = -ENOMEM;

	va_start(args, word);
	collect(argv, word, args);
	va_end(args);
	run.text = calloc(1, max + 1);
	if (outcome && run.text)
		status = execute(&run);
	free(outcome);
	if (status) {
		free(run.text);
		return NULL;
	}
	return run.text;
}

/* ---- steps ---- */

static void free_environment(char **environment)
{
	for (size_t i = 0; environment && environment[i]; i++)
		free(environment[i]);
	free(environment);
}

/* The agent's own small one, the document's variables, the item's defaults. */
static char **make_environment(struct work *work)
{
	json_t *variables = json_object_get(work->document, "variables"), *value;
	size_t room = json_object_size(variables) + 16, count = 0;
	const char *name;
	char **list;

	if (work->item)
		room += work->item->variables_count;
	list = calloc(room, sizeof(*list));
	for (size_t i = 0; list && plain_environment[i]; i++)
		list[count++] = strdup(plain_environment[i]);
	if (!list)
		return NULL;
	for (size_t i = 0; work->item && i < work->item->variables_count; i++) {
		const struct bundle_variable *variable = &work->item->variables[i];

		if (variable->value && !json_object_get(variables, variable->name) &&
		    asprintf(&list[count], "%s=%s", variable->name, variable->value) >= 0)
			count++;
	}
	json_object_foreach (variables, name, value)
		if (asprintf(&list[count], "%s=%s", name, json_string_value(value)) >= 0)
			count++;
	list[count] = NULL;
	return list;
}

int exec_step(struct work *work, const struct bundle_step *step, const char *what)
{
	const char *const argv[] = { "/bin/sh", "-eu", "-c", step->run, NULL };
	char **environment = make_environment(work), line[200];
	struct exec exec = { .argv = argv, .timeout = step->timeout, .input = -1 };
	int status = -ENOMEM;

	if (environment) {
		exec.environment = environment;
		status = exec_run(&exec, &work->outcome);
	}
	free_environment(environment);
	if (status == 0 || status == -ETIME)
		return status;
	child_last_line(work->outcome.log, line, sizeof(line));
	return outcome_fail(&work->outcome, -EIO, "%s step \"%.60s\" ended with %d%s%s", what,
			    step->run, status, *line ? ": " : "", line);
}
