/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A "compromised worker": code that runs where a worker's HTTP parser would run, after
 * sandbox_enter(), and tries to get at files, networks, other processes and the kernel.
 * Each attempt has a process of its own; it must be killed (SIGSYS) or be refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../user/relay/sandbox.h"

enum outcome {
	KILLED,	 /* by SIGSYS: seccomp */
	REFUSED, /* the attempt returned an error */
	WORKS,	 /* what a worker needs must go on working */
};

#define GOT_IN	  0
#define GOT_ERROR 10
#define NO_SETUP  11

static struct io_uring ring;
/* What a worker is handed: a listener, and a connection that was accepted on it. */
static int listener, connection;

static int via_ring(void (*prepare)(struct io_uring_sqe *sqe))
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	int res;

	prepare(sqe);
	res = io_uring_submit_and_wait(&ring, 1);
	if (res < 0 || io_uring_peek_cqe(&ring, &cqe) < 0)
		return -1;
	res = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return res;
}

/* ---- what an intruder would try: each returns a negative number when refused ------------- */

static struct sockaddr_in loopback = {
	.sin_family = AF_INET,
	.sin_port = 0x5000, /* 80 */
	.sin_addr = { 0x0100007f },
};
static struct sockaddr_un pathname = { .sun_family = AF_UNIX, .sun_path = "/run/docker.sock" };

static long try_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static long try_open_write(void)
{
	return open("/tmp/sluice-intruder", O_CREAT | O_WRONLY, 0600);
}

static long try_exec(void)
{
	return execl("/bin/true", "true", NULL);
}

static long try_fork(void)
{
	return fork();
}

static long try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_socket_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long try_socketpair(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static long try_connect(void)
{
	return connect(STDERR_FILENO, (struct sockaddr *)&loopback, sizeof(loopback));
}

/* The address of another machine, and one that fits into the only length that is allowed. */
static long try_connect_briefly(void)
{
	return connect(connection, (struct sockaddr *)&loopback, sizeof(sa_family_t));
}

static long try_reset(void)
{
	static const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	return connect(connection, &nowhere, sizeof(nowhere.sa_family));
}

static long try_reuse_listener(void)
{
	shutdown(listener, SHUT_RD);
	return sendto(listener, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&loopback,
		      sizeof(loopback));
}

static long try_reuse_listener_by_message(void)
{
	struct iovec part = { (char[]){ "x" }, 1 };
	struct msghdr message = {
		.msg_name = &loopback,
		.msg_namelen = sizeof(loopback),
		.msg_iov = &part,
		.msg_iovlen = 1,
	};

	shutdown(listener, SHUT_RD);
	return sendmsg(listener, &message, MSG_FASTOPEN | MSG_NOSIGNAL);
}

static long try_send(void)
{
	struct iovec part = { (char[]){ "x" }, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	return sendmsg(connection, &message, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) - 1;
}

/* Whoever closes it last, which may be the parent, would wait for an hour. */
static long try_linger(void)
{
	static const struct linger hour = { 1, 3600 };

	return setsockopt(connection, SOL_SOCKET, SO_LINGER, &hour, sizeof(hour));
}

/* Without O_APPEND, which all who hold the file share, the access log could be rewritten. */
static long try_flags(void)
{
	return fcntl(STDERR_FILENO, F_SETFL, O_RDWR | O_NONBLOCK);
}

static long try_bind(void)
{
	return bind(STDERR_FILENO, (struct sockaddr *)&loopback, sizeof(loopback));
}

static long try_ring(void)
{
	struct io_uring second;

	return io_uring_queue_init(4, &second, 0);
}

static long try_ring_register(void)
{
	int fd = STDERR_FILENO;

	return io_uring_register_files(&ring, &fd, 1);
}

static void prepare_open(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static long try_ring_open(void)
{
	return via_ring(prepare_open);
}

static void prepare_socket(struct io_uring_sqe *sqe)
{
	io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM, 0, 0);
}

static long try_ring_socket(void)
{
	return via_ring(prepare_socket);
}

static void prepare_connect(struct io_uring_sqe *sqe)
{
	io_uring_prep_connect(sqe, STDERR_FILENO, (struct sockaddr *)&loopback, sizeof(loopback));
}

static long try_ring_connect(void)
{
	return via_ring(prepare_connect);
}

static void prepare_connect_unix(struct io_uring_sqe *sqe)
{
	io_uring_prep_connect(sqe, STDERR_FILENO, (struct sockaddr *)&pathname, sizeof(pathname));
}

static long try_ring_connect_unix(void)
{
	return via_ring(prepare_connect_unix);
}

static void prepare_statx(struct io_uring_sqe *sqe)
{
	static struct statx result;

	io_uring_prep_statx(sqe, AT_FDCWD, "/etc/shadow", 0, 0, &result);
}

static long try_ring_statx(void)
{
	return via_ring(prepare_statx);
}

static long try_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static long try_kill(void)
{
	return kill(getppid(), 0);
}

static long try_bpf(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY };

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static long try_setns(void)
{
	return setns(STDERR_FILENO, CLONE_NEWNET);
}

static long try_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static long try_setuid(void)
{
	return syscall(SYS_setuid, 0);
}

#ifndef __SANITIZE_ADDRESS__ /* ASan itself maps memory of every kind */
static long try_executable_memory(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	return at == MAP_FAILED ? -1 : 0;
}
#endif

static long try_write_elsewhere(void)
{
	return write(STDIN_FILENO, "x", 1);
}

static long try_memory(void)
{
	void *at = malloc(1 << 22);
	long rc = at ? 0 : -1;

	free(at);
	return rc;
}

static long try_log(void)
{
	return write(STDERR_FILENO, "", 0);
}

static const struct attempt {
	const char *what;
	long (*run)(void);
	enum outcome expected;
} attempts[] = {
	{ "open a file", try_open, KILLED },
	{ "create a file", try_open_write, KILLED },
	{ "execute a program", try_exec, KILLED },
	{ "fork", try_fork, KILLED },
	{ "make a TCP socket", try_socket, KILLED },
	{ "make a unix socket", try_socket_unix, KILLED },
	{ "make a socket pair", try_socketpair, KILLED },
	{ "connect", try_connect, KILLED },
	{ "connect with a short address", try_connect_briefly, REFUSED },
	{ "make a client of a listener", try_reuse_listener, KILLED },
	{ "make a client of a listener, by message", try_reuse_listener_by_message, KILLED },
	{ "let the parent's close wait", try_linger, KILLED },
	{ "change a file's flags", try_flags, KILLED },
	{ "bind", try_bind, KILLED },
	{ "make another ring", try_ring, KILLED },
	{ "register files with the ring", try_ring_register, KILLED },
	{ "ring: open a file", try_ring_open, REFUSED },
	{ "ring: make a socket", try_ring_socket, REFUSED },
	{ "ring: connect by TCP", try_ring_connect, REFUSED },
	{ "ring: connect to a pathname socket", try_ring_connect_unix, REFUSED },
	{ "ring: look at a file", try_ring_statx, REFUSED },
	{ "ptrace the parent", try_ptrace, KILLED },
	{ "signal the parent", try_kill, KILLED },
	{ "make a BPF map", try_bpf, KILLED },
	{ "enter a namespace", try_setns, KILLED },
	{ "make a user namespace", try_unshare, KILLED },
	{ "become root", try_setuid, KILLED },
#ifndef __SANITIZE_ADDRESS__
	{ "map executable memory", try_executable_memory, KILLED },
#endif
	{ "write to another descriptor", try_write_elsewhere, KILLED },
	{ "reset a connection", try_reset, WORKS },
	{ "send on a connection", try_send, WORKS },
	{ "allocate memory", try_memory, WORKS },
	{ "write a log line", try_log, WORKS },
};

static int make_sockets(void)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = loopback.sin_addr };
	socklen_t len = sizeof(here);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0 || listener < 0 || bind(listener, (struct sockaddr *)&here, len) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&here, &len) ||
	    connect(client, (struct sockaddr *)&here, len))
		return -1;
	connection = accept(listener, NULL, NULL);
	return connection;
}

static void run_attempt(const struct attempt *attempt)
{
	static const struct rlimit no_core = { 0, 0 };
	struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
	const char *why = "";

	setrlimit(RLIMIT_CORE, &no_core);
	if (make_sockets() < 0 || io_uring_queue_init_params(8, &ring, &params) < 0 ||
	    sandbox_ring(ring.ring_fd) < 0)
		_exit(NO_SETUP);
	if (sandbox_enter(&why) < 0) {
		dprintf(STDERR_FILENO, "sandbox_enter: %s\n", why);
		_exit(NO_SETUP);
	}
	_exit(attempt->run() < 0 ? GOT_ERROR : GOT_IN);
}

static bool as_expected(int status, enum outcome expected)
{
	switch (expected) {
	case KILLED:
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
	case REFUSED:
		return WIFEXITED(status) && WEXITSTATUS(status) == GOT_ERROR;
	case WORKS:
		return WIFEXITED(status) && WEXITSTATUS(status) == GOT_IN;
	}
	return false;
}

int main(void)
{
	unsigned failed = 0;

	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			run_attempt(&attempts[i]);
		if (pid < 0 || waitpid(pid, &status, 0) < 0) {
			perror("fork");
			return 1;
		}
		if (as_expected(status, attempts[i].expected)) {
			printf("ok   %s\n", attempts[i].what);
		} else {
			printf("FAIL %s: wait status %#x\n", attempts[i].what, status);
			failed++;
		}
	}
	return failed ? 1 : 0;
}
