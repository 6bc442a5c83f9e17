/* SPDX-License-Identifier: BSD-2-Clause */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define GRACE_MS 10000 /* between SIGTERM and SIGKILL */

extern char **environ;

int child_start(const struct child_start *start, pid_t *ret_pid)
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
						      (start->group ? POSIX_SPAWN_SETPGROUP : 0));
	if (start->fds[0] < 0)
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	/* One that has its number already is kept too: posix_spawn(3) clears FD_CLOEXEC then. */
	for (int fd = 0; fd < CHILD_FDS; fd++)
		if (start->fds[fd] >= 0)
			posix_spawn_file_actions_adddup2(&actions, start->fds[fd], fd);
	if (start->cwd)
		posix_spawn_file_actions_addchdir_np(&actions, start->cwd);
	err = posix_spawnp(ret_pid, start->argv[0], &actions, &attributes,
			   (char *const *)start->argv,
			   start->environment ? start->environment : environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -err;
}

/* What is there now; false at the end. */
static bool drain(const struct child *child, int fd, bool status)
{
	char data[4096];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) != 0) {
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		(status ? child->status : child->output)(data, (size_t)n, child->arg);
	}
	return false;
}

static int64_t sooner(int64_t at, unsigned seconds, int64_t other)
{
	int64_t deadline = at + (int64_t)seconds * 1000;

	return seconds && deadline < other ? deadline : other;
}

/*
 * Until the program has ended, not until its pipes have: a service it started may hold on to them.
 * False: it is late.
 */
static bool follow(const struct child *child, int pidfd, int output, int status)
{
	struct pollfd fds[3] = { { .fd = output, .events = POLLIN },
				 { .fd = status, .events = POLLIN },
				 { .fd = pidfd, .events = POLLIN } };
	int64_t begun = clock_ms(CLOCK_MONOTONIC), heard = begun, now = begun, deadline;
	bool ended = false;

	while (!ended) {
		deadline = sooner(begun, child->timeout, INT64_MAX);
		deadline = sooner(heard, child->silence, deadline);
		if (now >= deadline)
			return false;
		if (poll(fds, 3, deadline - now > 60000 ? 60000 : (int)(deadline - now)) < 0 &&
		    errno != EINTR)
			return false;
		now = clock_ms(CLOCK_MONOTONIC);
		ended = fds[2].revents != 0;
		for (int i = 0; i < 2; i++) {
			if (fds[i].fd < 0 || (!fds[i].revents && !ended))
				continue;
			heard = now;
			if (!drain(child, fds[i].fd, i == 1))
				fds[i].fd = -1;
		}
	}
	return true;
}

/* And what it started. */
void child_end(pid_t pid, int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	kill(-pid, SIGTERM);
	while (poll(&ended, 1, GRACE_MS) < 0 && errno == EINTR)
		continue;
	kill(-pid, SIGKILL);
}

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
		pair[i] = -1;
	}
}

/* The parent reads without waiting; the child's end waits: programs do not expect EAGAIN. */
static int make_pair(int pair[2])
{
	if (pipe2(pair, O_CLOEXEC) || fcntl(pair[0], F_SETFL, O_NONBLOCK))
		return -errno;
	return 0;
}

int child_run(const struct child *child)
{
	int output[2] = { -1, -1 }, status[2] = { -1, -1 }, pidfd, code = 0, err;
	struct child_start start = { .argv = child->argv,
				     .environment = child->environment,
				     .group = true };
	bool in_time;
	pid_t pid;

	err = make_pair(output);
	if (!err && child->status)
		err = make_pair(status);
	if (!err) {
		memcpy(start.fds, (int[]){ child->input, output[1], output[1], status[1] },
		       sizeof(start.fds));
		err = child_start(&start, &pid);
	}
	if (err)
		goto out;
	if (child->started)
		child->started(pid, child->arg);
	close(output[1]);
	if (status[1] >= 0)
		close(status[1]);
	output[1] = status[1] = -1;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	err = pidfd < 0 ? -errno : 0;
	in_time = !err && follow(child, pidfd, output[0], status[0]);
	if (!in_time)
		child_end(pid, pidfd);
	while (waitpid(pid, &code, 0) < 0 && errno == EINTR)
		continue;
	if (pidfd >= 0)
		close(pidfd);
	if (!err && !in_time)
		err = -ETIME;
	else if (!err)
		err = WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
out:
	close_pair(output);
	close_pair(status);
	return err;
}

void child_keep(char *log, size_t max, const char *data, size_t len)
{
	size_t have = strlen(log), drop;

	if (len > max) {
		data += len - max;
		len = max;
	}
	drop = have + len > max ? have + len - max : 0;
	memmove(log, log + drop, have - drop);
	log += have - drop;
	for (size_t i = 0; i < len; i++)
		log[i] = (char)((data[i] >= 0x20 && data[i] < 0x7f) || data[i] == '\n' ? data[i]
										       : '?');
	log[len] = '\0';
}

void child_last_line(const char *log, char *ret_line, size_t size)
{
	size_t end = strlen(log), begin;

	while (end && log[end - 1] == '\n')
		end--;
	for (begin = end; begin && log[begin - 1] != '\n';)
		begin--;
	snprintf(ret_line, size, "%.*s", (int)(end - begin), log + begin);
}
