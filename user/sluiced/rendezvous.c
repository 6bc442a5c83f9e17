/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../bpf/abi.h"
#include "loop.h"

#define DIRECTORY "workers"
#define BACKLOG	  4
#define END_MS	  5000
#define STEP_MS	  100
/* As many as any worker can have been given: families, ports, tenants. */
#define LISTENERS_MAX (2 * SL_PORTS_MAX * 65536)

static const struct msg_rule rules[] = {
	{ .type = PROTO_HELLO,
	  .fds_min = 2,
	  .fds_max = 2,
	  .len_min = sizeof(struct proto_hello),
	  .len_max = sizeof(struct proto_hello) },
	{ .type = PROTO_HELD, .fds_min = 1, .fds_max = MSG_FDS_MAX },
	{ .type = PROTO_READY },
};

uint64_t rendezvous_born(pid_t pid)
{
	unsigned long long start = 0;
	char path[64], line[1024];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(line, sizeof(line), file)) {
		/* Field 22. The command, field 2, may contain anything: count behind its end. */
		char *at = strrchr(line, ')');

		for (int field = 2; at && field < 22; field++)
			at = strchr(at + 1, ' ');
		if (at)
			start = strtoull(at + 1, NULL, 10);
	}
	fclose(file);
	return start;
}

static int address_of(const char *run_dir, pid_t pid, struct sockaddr_un *ret)
{
	int len;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	len = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/" DIRECTORY "/%d", run_dir, pid);
	return len < 0 || (size_t)len >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

int rendezvous_open(const char *run_dir, pid_t pid)
{
	struct sockaddr_un address;
	char path[PATH_MAX];
	int sock, err = address_of(run_dir, pid, &address);

	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/" DIRECTORY, run_dir);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return -errno;
	unlink(address.sun_path); /* of an earlier process of this number */
	if (bind(sock, (struct sockaddr *)&address, sizeof(address)) ||
	    chmod(address.sun_path, 0600) || listen(sock, BACKLOG)) {
		err = -errno;
		close(sock);
		return err;
	}
	return sock;
}

void rendezvous_remove(const char *run_dir, pid_t pid)
{
	struct sockaddr_un address;

	if (!address_of(run_dir, pid, &address))
		unlink(address.sun_path);
}

void rendezvous_end(pid_t pid)
{
	struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	if (ended.fd < 0)
		return;
	if (!syscall(SYS_pidfd_send_signal, ended.fd, SIGKILL, NULL, 0))
		poll(&ended, 1, END_MS);
	close(ended.fd);
}

/* Somebody holds the socket, and only the worker of that number ever got it. */
static bool is_held(const char *run_dir, pid_t pid)
{
	struct sockaddr_un address;
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool held = false;

	if (sock < 0)
		return false;
	if (!address_of(run_dir, pid, &address))
		held = !connect(sock, (struct sockaddr *)&address, sizeof(address));
	close(sock);
	return held;
}

int rendezvous_sweep(const char *run_dir, bool (*keep)(pid_t pid, const void *arg), const void *arg)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int ended = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" DIRECTORY, run_dir);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid < 2 || keep(pid, arg))
			continue;
		if (is_held(run_dir, pid)) {
			rendezvous_end(pid);
			ended++;
		}
		rendezvous_remove(run_dir, pid);
	}
	closedir(dir);
	rmdir(path);
	return ended;
}

static int take_listeners(struct rendezvous *met, struct msg *msg)
{
	size_t count = met->nlisteners + msg->head.nfds;
	int *grown;

	if (count > LISTENERS_MAX)
		return -E2BIG;
	grown = reallocarray(met->listeners, count, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	met->listeners = grown;
	for (unsigned i = 0; i < msg->head.nfds; i++) {
		met->listeners[met->nlisteners++] = msg->fds[i];
		msg->fds[i] = -1;
	}
	return 0;
}

/* 1: that was the last, 0: go on, or -errno. */
static int take_message(struct rendezvous *met, struct msg *msg)
{
	switch (msg->head.type) {
	case PROTO_HELLO:
		if (met->conf_fd >= 0)
			return -EBADMSG;
		memcpy(&met->hello, msg->body, sizeof(met->hello));
		met->conf_fd = msg->fds[0];
		met->stats_fd = msg->fds[1];
		msg->fds[0] = msg->fds[1] = -1;
		return 0;
	case PROTO_HELD:
		return met->conf_fd < 0 ? -EBADMSG : take_listeners(met, msg);
	default:
		return met->conf_fd < 0 ? -EBADMSG : 1;
	}
}

/*
 * What has come is heard, whatever the time: all of this may have stood still together. Charged are
 * waits alone, each with no more than it was to last. So one that never stops talking has no more
 * than its messages, which LISTENERS_MAX bounds, and the waits between them.
 */
int rendezvous_hear(struct rendezvous *met, unsigned *budget_ms)
{
	struct pollfd wait = { .fd = met->sock, .events = POLLIN };
	static struct msg msg; /* 4 KiB; one thread */
	int done = 0;

	while (!done) {
		int got = msg_recv(met->sock, rules, sizeof(rules) / sizeof(rules[0]), &msg);

		if (got == -EAGAIN) {
			unsigned step = *budget_ms < STEP_MS ? *budget_ms : STEP_MS;
			uint64_t began = loop_now(), took;

			if (!step)
				return -ETIMEDOUT;
			poll(&wait, 1, (int)step);
			took = loop_now() - began + 1; /* a part of one counts */
			*budget_ms -= took < step ? (unsigned)took : step;
			continue;
		}
		if (got <= 0)
			return got < 0 ? got : -ECONNRESET;
		done = take_message(met, &msg);
		msg_close_fds(&msg);
	}
	return done < 0 ? done : 0;
}

int rendezvous_connect(const char *run_dir, pid_t pid, struct rendezvous *ret)
{
	struct sockaddr_un address;
	int err = address_of(run_dir, pid, &address);

	*ret = (struct rendezvous){ .sock = -1, .conf_fd = -1, .stats_fd = -1 };
	if (err)
		return err;
	ret->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ret->sock < 0 || connect(ret->sock, (struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		rendezvous_free(ret);
	}
	return err;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void rendezvous_free(struct rendezvous *met)
{
	close_fd(met->sock);
	close_fd(met->conf_fd);
	close_fd(met->stats_fd);
	for (size_t i = 0; i < met->nlisteners; i++)
		close_fd(met->listeners[i]);
	free(met->listeners);
	*met = (struct rendezvous){ .sock = -1, .conf_fd = -1, .stats_fd = -1 };
}
