/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three steps: the new program, started as "PROGRAM … --check-upgrade" with our state, ends
 * with 0; no message waits for a worker; execve(). A failure in any of them leaves all as it is.
 */
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/log.h"
#include "doctor_run.h"
#include "handover.h"
#include "metrics.h"
#include "notify.h"
#include "supervise.h"

#define CHECK_MS    30000 /* the new program may be slow to load, not to decide */
#define QUIET_MS    20	  /* between looks whether workers have read their messages */
#define QUIET_TRIES 1750  /* longer than a worker may be silent */
#define FAILURE_MAX 512

struct upgrade {
	struct sluiced *sluiced;
	char program[PATH_MAX];
	char **argv;
	bool active;
	char failure[FAILURE_MAX];
	pid_t checker;
	int pidfd, output; /* of the checker */
	struct loop_watch ended;
	struct loop_timer timer;
	unsigned tries;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void end(struct upgrade *upgrade)
{
	struct loop *loop = &upgrade->sluiced->loop;

	loop_timer_stop(loop, &upgrade->timer);
	loop_unwatch(loop, &upgrade->ended);
	if (upgrade->checker > 0) {
		kill(upgrade->checker, SIGKILL);
		waitpid(upgrade->checker, NULL, 0);
		upgrade->checker = 0;
	}
	close_fd(&upgrade->pidfd);
	close_fd(&upgrade->output);
	upgrade->active = false;
}

static void fail(struct upgrade *upgrade, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void fail(struct upgrade *upgrade, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(upgrade->failure, sizeof(upgrade->failure), format, args);
	va_end(args);
	log_error("not upgraded: %s", upgrade->failure);
	end(upgrade);
}

/* ---- the step that does not return -------------------------------------------------------- */

static void set_inherited(int *fd, void *arg)
{
	if (*fd >= 0)
		fcntl(*fd, F_SETFD, *(const int *)arg);
}

static void replace_program(struct upgrade *upgrade)
{
	struct sluiced *sluiced = upgrade->sluiced;
	const int inherited = 0, closed = FD_CLOEXEC;
	char number[16];
	int fd, err;

	/* Children that a successor would not know. */
	doctor_run_stop(sluiced->doctor);
	metrics_stop(sluiced->metrics);
	sluiced->upgrades++;
	fd = handover_write(sluiced);
	if (fd < 0) {
		sluiced->upgrades--;
		metrics_apply(sluiced->metrics);
		fail(upgrade, "cannot write the state: %s", strerror(-fd));
		return;
	}
	lseek(fd, 0, SEEK_SET);
	snprintf(number, sizeof(number), "%d", fd);
	err = -handover_each_fd(sluiced, set_inherited, (void *)(uintptr_t)&inherited);
	if (!err) {
		fcntl(fd, F_SETFD, 0);
		setenv(UPGRADE_ENV, number, 1);
		log_info("executing %s", upgrade->program);
		notify_alive();
		execv(upgrade->program, upgrade->argv);
		err = errno;
	}
	unsetenv(UPGRADE_ENV);
	handover_each_fd(sluiced, set_inherited, (void *)(uintptr_t)&closed);
	close(fd);
	sluiced->upgrades--;
	metrics_apply(sluiced->metrics);
	fail(upgrade, "cannot execute %s: %s", upgrade->program, strerror(err));
}

static void on_quiet(struct loop_timer *timer)
{
	struct upgrade *upgrade = container_of(timer, struct upgrade, timer);

	if (supervise_quiet(upgrade->sluiced->supervise))
		replace_program(upgrade);
	else if (upgrade->tries++ < QUIET_TRIES)
		loop_timer_start(&upgrade->sluiced->loop, timer, QUIET_MS, on_quiet);
	else
		fail(upgrade, "a worker does not read its messages; try again");
}

/* ---- the check ------------------------------------------------------------------------------ */

/* The last line the checker wrote, which says most. */
static void read_output(struct upgrade *upgrade, char *ret, size_t size)
{
	ssize_t len = pread(upgrade->output, ret, size - 1, 0);
	char *line;

	ret[len > 0 ? len : 0] = '\0';
	while (len > 0 && (ret[len - 1] == '\n' || ret[len - 1] == ' '))
		ret[--len] = '\0';
	line = strrchr(ret, '\n');
	if (line)
		memmove(ret, line + 1, strlen(line + 1) + 1);
}

static void on_checked(struct loop_watch *watch, uint32_t events)
{
	struct upgrade *upgrade = container_of(watch, struct upgrade, ended);
	char said[FAILURE_MAX - 128];
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)upgrade->checker, &info, WEXITED | WNOHANG) || !info.si_pid)
		return;
	upgrade->checker = 0;
	loop_unwatch(&upgrade->sluiced->loop, &upgrade->ended);
	loop_timer_stop(&upgrade->sluiced->loop, &upgrade->timer);
	if (info.si_code == CLD_EXITED && info.si_status == 0) {
		upgrade->tries = 0;
		on_quiet(&upgrade->timer);
		return;
	}
	read_output(upgrade, said, sizeof(said));
	fail(upgrade, "%s refuses (%s %d): %s", upgrade->program,
	     info.si_code == CLD_EXITED ? "status" : "signal", info.si_status,
	     said[0] ? said : "without a word");
}

static void on_late(struct loop_timer *timer)
{
	struct upgrade *upgrade = container_of(timer, struct upgrade, timer);

	fail(upgrade, "%s did not say within %u s whether it can take over", upgrade->program,
	     CHECK_MS / 1000);
}

/* In the child; what it inherits is close-on-exec but for what is put in place here. */
static void run_checker(struct upgrade *upgrade, int state, char **argv) __attribute__((noreturn));
static void run_checker(struct upgrade *upgrade, int state, char **argv)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Out of the way of the numbers that are filled. */
	state = fcntl(state, F_DUPFD_CLOEXEC, 16);
	if (null < 0 || state < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(upgrade->output, STDOUT_FILENO) < 0 || dup2(upgrade->output, STDERR_FILENO) < 0 ||
	    dup2(state, UPGRADE_CHECK_FD) < 0)
		_exit(126);
	execv(upgrade->program, argv);
	dprintf(STDERR_FILENO, "%s\n", strerror(errno));
	_exit(127);
}

static int start_checker(struct upgrade *upgrade)
{
	static char option[] = "--check-upgrade";
	int state = handover_write(upgrade->sluiced), count = 0, err;
	char **argv;

	if (state < 0)
		return state;
	while (upgrade->argv[count])
		count++;
	argv = calloc((size_t)count + 2, sizeof(*argv));
	if (!argv) {
		close(state);
		return -ENOMEM;
	}
	memcpy(argv, upgrade->argv, (size_t)count * sizeof(*argv));
	argv[count] = option;
	upgrade->checker = fork();
	if (!upgrade->checker)
		run_checker(upgrade, state, argv);
	err = upgrade->checker < 0 ? -errno : 0;
	free(argv);
	close(state);
	return err;
}

int upgrade_begin(struct upgrade *upgrade)
{
	struct loop *loop = &upgrade->sluiced->loop;
	int err;

	if (upgrade->active)
		return -EBUSY;
	upgrade->failure[0] = '\0';
	upgrade->output = memfd_create("sluice-check", MFD_CLOEXEC);
	if (upgrade->output < 0)
		return -errno;
	upgrade->active = true;
	err = start_checker(upgrade);
	if (!err) {
		upgrade->pidfd = (int)syscall(SYS_pidfd_open, upgrade->checker, 0);
		err = upgrade->pidfd < 0 ? -errno : 0;
	}
	if (!err)
		err = loop_watch(loop, &upgrade->ended, upgrade->pidfd, EPOLLIN, on_checked);
	if (err) {
		end(upgrade);
		return err;
	}
	loop_timer_start(loop, &upgrade->timer, CHECK_MS, on_late);
	return 0;
}

bool upgrade_active(const struct upgrade *upgrade)
{
	return upgrade->active;
}

const char *upgrade_failure(const struct upgrade *upgrade)
{
	return upgrade->failure[0] ? upgrade->failure : NULL;
}

const char *upgrade_program(const struct upgrade *upgrade)
{
	return upgrade->program;
}

/* argv[0] with a slash is a path; one that was looked up in PATH, or invented, is not. */
static int find_program(const char *program, char ret[PATH_MAX])
{
	char here[PATH_MAX];
	ssize_t len;

	if (program[0] == '/') {
		if (strlen(program) >= PATH_MAX)
			return -ENAMETOOLONG;
		strcpy(ret, program);
		return 0;
	}
	if (strchr(program, '/')) {
		if (!getcwd(here, sizeof(here)))
			return -errno;
		if (snprintf(ret, PATH_MAX, "%s/%s", here, program) >= PATH_MAX)
			return -ENAMETOOLONG;
		return 0;
	}
	len = readlink("/proc/self/exe", ret, PATH_MAX - 1);
	if (len < 0)
		return -errno;
	ret[len] = '\0';
	return 0;
}

int upgrade_new(struct sluiced *sluiced, const char *program, char **argv, struct upgrade **ret)
{
	struct upgrade *upgrade = calloc(1, sizeof(*upgrade));
	int err;

	if (!upgrade)
		return -ENOMEM;
	upgrade->sluiced = sluiced;
	upgrade->argv = argv;
	upgrade->pidfd = upgrade->output = upgrade->ended.fd = -1;
	err = find_program(program, upgrade->program);
	if (err) {
		free(upgrade);
		return err;
	}
	*ret = upgrade;
	return 0;
}

void upgrade_free(struct upgrade *upgrade)
{
	if (!upgrade)
		return;
	end(upgrade);
	free(upgrade);
}
