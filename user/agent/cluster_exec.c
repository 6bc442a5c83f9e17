/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs programs: a group of their own, so that a signal for the agent does not cut dpkg in two. */
#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS_FD 3
#define WORDS_MAX 32
#define QUICK	  120 /* seconds for a program that has little to do */

static const char *const plain_environment[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LC_ALL=C.UTF-8",
	"HOME=/root",
	"DEBIAN_FRONTEND=noninteractive",
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

/* Keeps the end of what is said, as text that JSON takes. */
static void keep_log(struct outcome *outcome, const char *data, size_t len)
{
	size_t have = strlen(outcome->log), drop;

	if (len > CLUSTER_LOG_MAX) {
		data += len - CLUSTER_LOG_MAX;
		len = CLUSTER_LOG_MAX;
	}
	drop = have + len > CLUSTER_LOG_MAX ? have + len - CLUSTER_LOG_MAX : 0;
	memmove(outcome->log, outcome->log + drop, have - drop);
	for (size_t i = 0; i < len; i++)
		outcome->log[have - drop + i] =
			(char)((data[i] >= 0x20 && data[i] < 0x7f) || data[i] == '\n' ? data[i]
										      : '?');
	outcome->log[have - drop + len] = '\0';
}

static void take_status(struct run *run, const char *data, size_t len)
{
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

static void take_output(struct run *run, const char *data, size_t len)
{
	if (!run->max) {
		keep_log(run->outcome, data, len);
		return;
	}
	if (run->len + len > run->max)
		len = run->max - run->len;
	memcpy(run->text + run->len, data, len);
	run->len += len;
	run->text[run->len] = '\0';
}

/* What is there now; false at the end. */
static bool drain(struct run *run, int fd, bool status)
{
	char data[4096];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) != 0) {
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (status)
			take_status(run, data, (size_t)n);
		else
			take_output(run, data, (size_t)n);
	}
	return false;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the program ends, not until its pipes do: a service it started may hold on to them. */
static bool follow(struct run *run, pid_t pid, int output, int status)
{
	int64_t deadline = now_ms() + (int64_t)run->exec->timeout * 1000, left;
	struct pollfd fds[3] = { { output, POLLIN, 0 }, { status, POLLIN, 0 }, { -1, POLLIN, 0 } };
	bool ended = false;

	fds[2].fd = (int)syscall(SYS_pidfd_open, pid, 0);
	while (!ended && (left = deadline - now_ms()) > 0) {
		if (poll(fds, 3, left > 1000 ? 1000 : (int)left) < 0 && errno != EINTR)
			break;
		ended = fds[2].revents || (fds[2].fd < 0 && fds[0].fd < 0);
		for (int i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && (fds[i].revents || ended) &&
			    !drain(run, fds[i].fd, i == 1))
				fds[i].fd = -1;
	}
	if (fds[2].fd >= 0)
		close(fds[2].fd);
	return ended;
}

static int start(const struct exec *exec, int output, int status, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int err;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETPGROUP);
	if (exec->input >= 0)
		posix_spawn_file_actions_adddup2(&actions, exec->input, STDIN_FILENO);
	else
		posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	if (exec->status)
		posix_spawn_file_actions_adddup2(&actions, status, STATUS_FD);
	err = posix_spawnp(ret_pid, exec->argv[0], &actions, &attributes, (char *const *)exec->argv,
			   exec->environment ? exec->environment
					     : (char *const *)plain_environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -err;
}

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

static int finish(struct run *run, pid_t pid, bool ended)
{
	int status = 0;

	if (!ended)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!ended)
		return outcome_fail(run->outcome, -ETIME, "%s took longer than %u s and was ended",
				    run->exec->argv[0], run->exec->timeout);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int execute(struct run *run)
{
	int output[2] = { -1, -1 }, status[2] = { -1, -1 }, err = 0;
	bool ended;
	pid_t pid;

	/* Above the numbers that the child's files get: dup2 onto itself would keep O_CLOEXEC. */
	if (pipe2(output, O_CLOEXEC | O_NONBLOCK) || pipe2(status, O_CLOEXEC | O_NONBLOCK))
		err = -errno;
	if (!err && status[1] == STATUS_FD) {
		status[1] = fcntl(STATUS_FD, F_DUPFD_CLOEXEC, 10);
		close(STATUS_FD);
	}
	/* The child's ends must block: programs do not expect EAGAIN. */
	if (!err) {
		fcntl(output[1], F_SETFL, 0);
		fcntl(status[1], F_SETFL, 0);
		err = start(run->exec, output[1], status[1], &pid);
		if (err)
			outcome_fail(run->outcome, err, "%s: %s", run->exec->argv[0],
				     strerror(-err));
	}
	if (err) {
		close_pair(output);
		close_pair(status);
		return err;
	}
	close(output[1]);
	close(status[1]);
	output[1] = status[1] = -1;
	ended = follow(run, pid, output[0], run->exec->status ? status[0] : -1);
	close_pair(output);
	close_pair(status);
	return finish(run, pid, ended);
}

int exec_run(const struct exec *exec, struct outcome *outcome)
{
	struct run run = { .exec = exec, .outcome = outcome };

	return execute(&run);
}

static void last_line(const char *log, char *out, size_t size)
{
	size_t end = strlen(log), begin;

	while (end && log[end - 1] == '\n')
		end--;
	for (begin = end; begin && log[begin - 1] != '\n';)
		begin--;
	snprintf(out, size, "%.*s", (int)(end - begin), log + begin);
}

static unsigned collect(const char **argv, const char *word, va_list args)
{
	unsigned argc = 0;

	for (; word && argc + 1 < WORDS_MAX; word = va_arg(args, const char *))
		argv[argc++] = word;
	argv[argc] = NULL;
	return argc;
}

int exec_words(struct outcome *outcome, const char *word, ...)
{
	const char *argv[WORDS_MAX];
	struct exec exec = { .argv = argv, .timeout = QUICK, .input = -1 };
	char line[200];
	va_list args;
	int status;

	va_start(args, word);
	collect(argv, word, args);
	va_end(args);
	outcome->log[0] = '\0';
	status = exec_run(&exec, outcome);
	if (status <= 0)
		return status;
	last_line(outcome->log, line, sizeof(line));
	return outcome_fail(outcome, -EIO, "%s: %s", word, *line ? line : "it failed");
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
	last_line(work->outcome.log, line, sizeof(line));
	return outcome_fail(&work->outcome, -EIO, "%s step \"%.60s\" ended with %d%s%s", what,
			    step->run, status, *line ? ": " : "", line);
}
