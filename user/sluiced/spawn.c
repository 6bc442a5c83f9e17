/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Isolation, the stages before exec: own session, empty network namespace, no descriptors,
 * no groups, own uid, no capabilities and none to be had, no new privileges. The rest
 * (seccomp, Landlock, ring restrictions) the worker does itself in relay/sandbox.c when its
 * ring exists. PR_SET_PDEATHSIG is left unset: workers outlive a parent that dies.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../relay/proto.h"

#define EXE_FD (PROTO_WORKER_FD + 1)

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	return syscall(SYS_capset, &header, none) ? -errno : 0;
}

/* Needs CAP_SETPCAP, so it comes before the uid goes. Also uid 0 gains nothing by exec then. */
static int empty_bounding_set(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return -errno;
	return 0;
}

/* As much as is wanted, or as may be had: a container may lack CAP_SYS_RESOURCE. */
static int set_limit(int resource, rlim_t most)
{
	struct rlimit limit = { most, most };

	if (!setrlimit(resource, &limit))
		return 0;
	if (errno != EPERM || getrlimit(resource, &limit))
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) ? -errno : 0;
}

static int set_limits(uint32_t descriptors)
{
	/* io_uring charges its rings to RLIMIT_MEMLOCK. */
	if (set_limit(RLIMIT_NOFILE, descriptors) || set_limit(RLIMIT_CORE, 0) ||
	    set_limit(RLIMIT_MEMLOCK, RLIM_INFINITY))
		return -errno;
	return 0;
}

/* Leaves 0 and 1 on /dev/null, 2 as it is, the pair on 3 and the program on EXE_FD. */
static int arrange_descriptors(int sock, int exe)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high;

	if (null < 0)
		return -errno;
	/* Out of the way of the numbers that are filled below. */
	high = fcntl(exe, F_DUPFD_CLOEXEC, 16);
	sock = fcntl(sock, F_DUPFD_CLOEXEC, 16);
	if (high < 0 || sock < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(sock, PROTO_WORKER_FD) < 0 || dup3(high, EXE_FD, O_CLOEXEC) < 0)
		return -errno;
	return syscall(SYS_close_range, EXE_FD + 1, ~0U, 0) ? -errno : 0;
}

static const char *become_worker(const struct spawn_spec *spec, int sock, int exe)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(0077);
	if (setsid() < 0) /* a terminal's Ctrl-C is for the parent */
		return "setsid";
	if (unshare(CLONE_NEWNET))
		return "new network namespace";
	if (arrange_descriptors(sock, exe))
		return "descriptors";
	if (set_limits(spec->descriptors))
		return "resource limits";
	if (empty_bounding_set())
		return "capability bounding set";
	if (setgroups(0, NULL))
		return "supplementary groups";
	if (setresgid(spec->gid, spec->gid, spec->gid))
		return "group";
	if (setresuid(spec->uid, spec->uid, spec->uid))
		return "user";
	if (drop_capabilities())
		return "capabilities";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return "no_new_privs";
	return NULL;
}

static void run_child(const struct spawn_spec *spec, int sock, int exe) __attribute__((noreturn));
static void run_child(const struct spawn_spec *spec, int sock, int exe)
{
	static char name[] = "sluiced";
	char *const argv[] = { name, (char *)spec->option, NULL };
	const char *step = become_worker(spec, sock, exe);

	if (!step) {
		fexecve(EXE_FD, argv, environ);
		step = "exec";
	}
	log_error("cannot start %s: %s: %s", spec->option + 2, step, strerror(errno));
	_exit(EXIT_FAILURE);
}

int spawn_worker(const struct spawn_spec *spec, struct spawned *ret)
{
	struct spawned new = { .pidfd = -1, .sock = -1 };
	int pair[2] = { -1, -1 };
	int exe, err = 0;

	exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (exe < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
		err = -errno;
		goto out;
	}
	new.pid = fork();
	if (new.pid < 0) {
		err = -errno;
		goto out;
	}
	if (!new.pid)
		run_child(spec, pair[1], exe);
	new.pidfd = (int)syscall(SYS_pidfd_open, new.pid, 0);
	if (new.pidfd < 0) {
		err = -errno;
		kill(new.pid, SIGKILL);
		waitpid(new.pid, NULL, 0);
		goto out;
	}
	new.sock = pair[0];
	pair[0] = -1;
	*ret = new;
out:
	close(exe);
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	return err;
}

int spawn_pipes(uid_t uid, size_t count, size_t size, int *ret_fds, size_t *ret_size)
{
	size_t least = SIZE_MAX, made = 0;
	uid_t real, effective, saved;
	int err = 0;

	/*
	 * The kernel charges a pipe to its creator's real uid (fs/pipe.c, alloc_pipe_info). The
	 * raw call changes it alone; CAP_SYS_RESOURCE, kept with the effective uid, lifts the
	 * per-user limits that would otherwise make later pipes 8 KiB.
	 */
	if (getresuid(&real, &effective, &saved))
		return -errno;
	if (syscall(SYS_setresuid, uid, -1, -1))
		return -errno;
	for (; made < count && !err; made++) {
		int *pipe = ret_fds + 2 * made;
		int got;

		if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK)) {
			err = -errno;
			break;
		}
		/* A size over fs.pipe-max-size or no memory: what it has is still a pipe. */
		got = fcntl(pipe[0], F_SETPIPE_SZ, (int)size);
		if (got < 0)
			got = fcntl(pipe[0], F_GETPIPE_SZ);
		if (got < 0)
			err = -errno;
		else if ((size_t)got < least)
			least = (size_t)got;
	}
	if (syscall(SYS_setresuid, real, -1, -1)) {
		log_error("cannot return to uid %u: %s", real, strerror(errno));
		abort();
	}
	if (err) {
		for (size_t i = 0; i < 2 * made; i++)
			close(ret_fds[i]);
		return err;
	}
	*ret_size = least;
	return 0;
}
