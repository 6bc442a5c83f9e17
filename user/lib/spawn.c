/* SPDX-License-Identifier: BSD-2-Clause */
#include "spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

#define WHY_MAX 600
#define LOOK_MS 100 /* how soon spawn_stop() is heard */

static atomic_bool stopped;

void spawn_stop(void)
{
	atomic_store(&stopped, true);
}

/* memfds hold what goes in and comes out: no pipe can fill up and stall the tool. */
static int make_file(const char *text)
{
	int fd = memfd_create("spawn", MFD_CLOEXEC);
	size_t len = text ? strlen(text) : 0;

	if (fd < 0)
		return -errno;
	if (len && (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET))) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/* The last at most max bytes, for stderr; the first for stdout is the same while short. */
static char *read_end(int fd, size_t max)
{
	off_t size = lseek(fd, 0, SEEK_END), at;
	char *text = calloc(1, max + 1);
	ssize_t n;

	if (!text || size < 0)
		return text;
	at = size > (off_t)max ? size - (off_t)max : 0;
	n = pread(fd, text, max, at);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	return text;
}

static int wait_for(const struct spawn_child *child, int *ret_status)
{
	struct pollfd ready = { .events = POLLIN };
	int64_t left = (int64_t)child->timeout * 1000;
	pid_t ended = 0;
	int n, err = 0;

	/* Where there is none, as too many files are open, poll() just takes its time. */
	ready.fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	while (!err && !(ended = waitpid(child->pid, ret_status, WNOHANG))) {
		n = poll(&ready, 1, LOOK_MS);
		if (n > 0)
			continue;
		left -= n ? 0 : LOOK_MS;
		if (n < 0 && errno != EINTR)
			err = -errno;
		else if (atomic_load(&stopped) && !child->last)
			err = -ECANCELED;
		else if (left <= 0)
			err = -ETIME;
		if (err)
			kill(child->pid, SIGKILL);
	}
	while (!ended || (ended < 0 && errno == EINTR))
		ended = waitpid(child->pid, ret_status, 0);
	if (ended < 0)
		err = -errno;
	if (ready.fd >= 0)
		close(ready.fd);
	return err;
}

static int start(const struct spawn *spawn, int in, int out, int err_fd, pid_t *ret_pid)
{
	static const char *const environment[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C.UTF-8",
		"HOME=/nonexistent",
		NULL,
	};
	const struct child_start start = { .argv = spawn->argv,
					   .environment = (char *const *)environment,
					   .cwd = spawn->cwd,
					   .fds = { in, out, err_fd, -1 } };

	return child_start(&start, ret_pid);
}

static void say_why(const char *name, int errors, int err, char **ret_why)
{
	char *said = err == -EIO && errors >= 0 ? read_end(errors, WHY_MAX) : NULL;

	if (asprintf(ret_why, "%s: %s", name,
		     said && *said	 ? said
		     : err == -ENOENT	 ? "is not installed"
		     : err == -ETIME	 ? "took too long and was killed"
		     : err == -ECANCELED ? "was ended, as the program is ending"
					 : strerror(-err)) < 0)
		*ret_why = NULL;
	free(said);
}

static void close_file(int fd)
{
	if (fd >= 0)
		close(fd);
}

static int begin(const struct spawn *spawn, bool last, struct spawn_child *ret_child,
		 char **ret_why)
{
	struct spawn_child child = { .name = spawn->argv[0],
				     .timeout = spawn->timeout,
				     .last = last };
	int in = make_file(spawn->input), err = -ENOMEM;

	*ret_why = NULL;
	child.out = make_file(NULL);
	child.errors = make_file(NULL);
	if (atomic_load(&stopped) && !last)
		err = -ECANCELED;
	else if (in >= 0 && child.out >= 0 && child.errors >= 0)
		err = start(spawn, in, spawn->output >= 0 ? spawn->output : child.out, child.errors,
			    &child.pid);
	close_file(in);
	if (!err) {
		*ret_child = child;
		return 0;
	}
	say_why(child.name, -1, err, ret_why);
	close_file(child.out);
	close_file(child.errors);
	return err;
}

int spawn_begin(const struct spawn *spawn, struct spawn_child *ret_child, char **ret_why)
{
	return begin(spawn, false, ret_child, ret_why);
}

int spawn_end(struct spawn_child *child, char **ret_text, char **ret_why)
{
	int status = 0, err;

	*ret_why = NULL;
	if (ret_text)
		*ret_text = NULL;
	err = wait_for(child, &status);
	if (!err && status)
		err = -EIO;
	if (!err && ret_text) {
		*ret_text = read_end(child->out, SPAWN_OUTPUT_MAX);
		err = *ret_text ? 0 : -ENOMEM;
	}
	if (err)
		say_why(child->name, child->errors, err, ret_why);
	close(child->out);
	close(child->errors);
	return err;
}

static int run(const struct spawn *spawn, bool last, char **ret_text, char **ret_why)
{
	struct spawn_child child;
	int err = begin(spawn, last, &child, ret_why);

	if (ret_text)
		*ret_text = NULL;
	return err ? err : spawn_end(&child, ret_text, ret_why);
}

int spawn_run(const struct spawn *spawn, char **ret_text, char **ret_why)
{
	return run(spawn, false, ret_text, ret_why);
}

int spawn_run_last(const struct spawn *spawn, char **ret_text, char **ret_why)
{
	return run(spawn, true, ret_text, ret_why);
}
