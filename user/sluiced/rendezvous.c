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
#define BATCH	  64 /* messages of one worker in its turn */
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

/* What has come from one, but no more than a batch. */
static int hear_one(struct rendezvous *met)
{
	static struct msg msg; /* 4 KiB; one thread */

	for (int i = 0; i < BATCH; i++) {
		int got = msg_recv(met->sock, rules, sizeof(rules) / sizeof(rules[0]), &msg);

		if (got <= 0)
			return got < 0 ? got : -ECONNRESET;
		got = take_message(met, &msg);
		msg_close_fds(&msg);
		if (got)
			return got < 0 ? got : 0;
	}
	return -EAGAIN;
}

/* How many have not told all, and what to wait for. */
static nfds_t hear_each(struct rendezvous *met, size_t count, struct pollfd *waits)
{
	nfds_t left = 0;

	for (size_t i = 0; i < count; i++) {
		if (met[i].err == -EAGAIN)
			met[i].err = hear_one(&met[i]);
		if (met[i].err == -EAGAIN)
			waits[left++] = (struct pollfd){ .fd = met[i].sock, .events = POLLIN };
	}
	return left;
}

static void give_up(struct rendezvous *met, size_t count, int why)
{
	for (size_t i = 0; i < count; i++)
		if (met[i].err == -EAGAIN)
			met[i].err = why;
}

/*
 * In turn, a batch each, for one may have to wait until what others have sent is read: descriptors
 * on their way are counted for the workers' user. What has come is heard, whatever the time: all of
 * this may have stood still together. Charged are waits alone, each with no more than it was to
 * last. So one that never stops talking has no more than its messages, which LISTENERS_MAX bounds,
 * and the waits between them.
 */
void rendezvous_hear(struct rendezvous *met, size_t count, unsigned budget_ms)
{
	struct pollfd *waits = calloc(count + 1, sizeof(*waits));
	nfds_t left;

	while (waits && (left = hear_each(met, count, waits))) {
		unsigned step = budget_ms < STEP_MS ? budget_ms : STEP_MS;
		uint64_t began = loop_now(), took;

		if (poll(waits, left, (int)step) <= 0 && !step)
			break;
		took = loop_now() - began + 1; /* a part of one counts */
		budget_ms -= took < step ? (unsigned)took : step;
	}
	give_up(met, count, waits ? -ETIMEDOUT : -ENOMEM);
	free(waits);
}

void rendezvous_connect(const char *run_dir, pid_t pid, struct rendezvous *ret)
{
	struct sockaddr_un address;
	int err = address_of(run_dir, pid, &address);

	*ret = (struct rendezvous){ .err = err, .sock = -1, .conf_fd = -1, .stats_fd = -1 };
	if (err)
		return;
	ret->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ret->sock < 0 || connect(ret->sock, (struct sockaddr *)&address, sizeof(address)))
		ret->err = -errno;
	else
		ret->err = -EAGAIN;
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
