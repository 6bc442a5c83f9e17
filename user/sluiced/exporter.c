/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread: libmicrohttpd by select(2). While it waits for the parent's text nobody else is
 * served; the parent answers from memory.
 */
#include "exporter.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"

#define ANSWER_MS	5000
#define CONNECTIONS_MAX 64
#define CONNECTION_S	10
#define MEMORY_MAX	(16 * 1024) /* of one connection: its request head */
#define TEXT_TYPE	"text/plain; version=0.0.4; charset=utf-8"

static uint64_t asked;

/* What libmicrohttpd and libc do here; everything else is refused. */
static const char *const allowed[] = {
	"read",
	"write",
	"readv",
	"writev",
	"recvfrom",
	"recvmsg",
	"sendfile",
	"accept",
	"accept4",
	"close",
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"fstat",
	"newfstatat",
	"lseek",
	"pread64",
	"mmap",
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"futex",
	"clock_gettime",
	"gettimeofday",
	"getpid",
	"gettid",
	"getrandom",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"restart_syscall",
	"exit",
	"exit_group",
	"getsockopt",
	"getsockname",
	"getpeername",
	"fcntl",
	"shutdown",
	"tgkill",
	"time",
#if defined(__SANITIZE_ADDRESS__)
	"mprotect",
	"sigaltstack",
	"sched_yield",
	"sched_getaffinity",
	"getrlimit",
	"prlimit64",
	"readlink",
	"readlinkat",
	"openat",
	"ptrace",
#endif
};

/*
 * And these, for what they are meant for: MSG_FASTOPEN would make a client of the listener, and
 * SO_LINGER on a socket that is sent to the parent would let its close(2) wait.
 */
static const struct {
	const char *name;
	struct scmp_arg_cmp condition;
} conditional[] = {
	{ "sendto", { 3, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0 } },
	{ "sendmsg", { 2, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0 } },
	{ "setsockopt", { 1, SCMP_CMP_NE, SOL_SOCKET, 0 } },
	{ "setsockopt", { 2, SCMP_CMP_NE, SO_LINGER, 0 } },
};

static int enter_sandbox(void)
{
	/* An error instead of an end: a call that some libc needs must not cost the endpoint. */
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = filter ? 0 : -ENOMEM;

	for (size_t i = 0; !rc && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		int number = seccomp_syscall_resolve_name(allowed[i]);

		if (number != __NR_SCMP_ERROR)
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	for (size_t i = 0; !rc && i < sizeof(conditional) / sizeof(conditional[0]); i++)
		rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
					    seccomp_syscall_resolve_name(conditional[i].name), 1,
					    &conditional[i].condition);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc;
}

/* Waits for a message of one type. 1, or 0 at the end, or -errno. */
static int await(uint16_t type, uint64_t id, int timeout_ms, struct msg *ret_msg)
{
	static const struct msg_rule rules[] = {
		{ .type = EXPORTER_LISTEN, .fds_min = 1, .fds_max = 1 },
		{ .type = EXPORTER_TEXT, .fds_max = 1 },
	};
	struct pollfd wait = { .fd = EXPORTER_FD, .events = POLLIN };
	int rc;

	for (;;) {
		rc = msg_recv(EXPORTER_FD, rules, sizeof(rules) / sizeof(rules[0]), ret_msg);
		if (rc == 1 && ret_msg->head.type == type && ret_msg->head.id == id)
			return 1;
		if (rc == 1) {
			msg_close_fds(ret_msg); /* an answer that came too late */
			continue;
		}
		if (rc != -EAGAIN)
			return rc;
		rc = poll(&wait, 1, timeout_ms);
		if (rc <= 0)
			return rc ? -errno : -ETIMEDOUT;
	}
}

/* The text as a descriptor and its size, or -1. */
static int fetch_text(uint64_t *ret_size)
{
	static struct msg msg;
	struct stat st;
	int fd;

	if (msg_send(EXPORTER_FD, EXPORTER_ASK, ++asked, NULL, 0, NULL, 0))
		return -1;
	if (await(EXPORTER_TEXT, asked, ANSWER_MS, &msg) != 1)
		return -1;
	fd = msg.head.nfds ? msg.fds[0] : -1;
	if (fd < 0 || fstat(fd, &st)) {
		msg_close_fds(&msg);
		return -1;
	}
	*ret_size = (uint64_t)st.st_size;
	return fd;
}

static enum MHD_Result reply_text(struct MHD_Connection *connection, unsigned status,
				  const char *text)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	uint64_t size;
	int fd;

	/* A body is taken and thrown away before the answer. */
	if (!*state || *upload_size) {
		*state = context;
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return reply_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET /metrics\n");
	if (strcmp(url, "/metrics") != 0)
		return reply_text(connection, MHD_HTTP_NOT_FOUND, "GET /metrics\n");
	fd = fetch_text(&size);
	if (fd < 0)
		return reply_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				  "sluiced does not answer\n");
	response = MHD_create_response_from_fd64(size, fd); /* takes it over */
	if (!response) {
		close(fd);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, TEXT_TYPE);
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

/* Until the parent is gone. */
static int serve(struct MHD_Daemon *daemon)
{
	for (;;) {
		struct timeval wait = { .tv_sec = 1 };
		MHD_UNSIGNED_LONG_LONG timeout;
		fd_set reads, writes, errors;
		struct pollfd parent = { .fd = EXPORTER_FD, .events = POLLIN };
		int max = EXPORTER_FD;

		FD_ZERO(&reads);
		FD_ZERO(&writes);
		FD_ZERO(&errors);
		if (MHD_get_fdset(daemon, &reads, &writes, &errors, &max) != MHD_YES)
			return EXIT_FAILURE;
		FD_SET(EXPORTER_FD, &reads);
		if (MHD_get_timeout(daemon, &timeout) == MHD_YES && timeout < 1000)
			wait = (struct timeval){ .tv_usec = (suseconds_t)timeout * 1000 };
		if (select(max + 1, &reads, &writes, &errors, &wait) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		MHD_run_from_select(daemon, &reads, &writes, &errors);
		if (poll(&parent, 1, 0) > 0 && parent.revents & (POLLHUP | POLLERR))
			return EXIT_SUCCESS;
	}
}

int exporter_main(void)
{
	static struct msg msg;
	struct MHD_Daemon *daemon;
	int status;

	log_init("sluiced exporter", LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (await(EXPORTER_LISTEN, 0, ANSWER_MS, &msg) != 1) {
		log_error("the parent gives no listening socket");
		return EXIT_FAILURE;
	}
	daemon = MHD_start_daemon(MHD_NO_FLAG, 0, NULL, NULL, on_request, &asked,
				  MHD_OPTION_LISTEN_SOCKET, msg.fds[0], MHD_OPTION_CONNECTION_LIMIT,
				  (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
				  (unsigned)CONNECTION_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				  (size_t)MEMORY_MAX, MHD_OPTION_END);
	if (!daemon) {
		log_error("libmicrohttpd does not start: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (enter_sandbox()) {
		log_error("the system call filter cannot be set");
		return EXIT_FAILURE;
	}
	status = serve(daemon);
	MHD_stop_daemon(daemon);
	return status;
}
