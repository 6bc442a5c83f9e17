/* SPDX-License-Identifier: BSD-2-Clause */
#include "metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../gate/netns.h"
#include "../lib/log.h"
#include "exporter.h"
#include "exposition.h"
#include "generation.h"
#include "spawn.h"

#define FRESH_MS    500
#define RETRY_MS    1000
#define DESCRIPTORS 256
#define BACKLOG	    64
#define BUFFER_SIZE (256 * 1024)

struct metrics {
	struct sluiced *sluiced;
	char *listen, *netns; /* of the exporter that runs, or shall run */
	uid_t uid;
	pid_t pid; /* 0: none */
	int pidfd, sock;
	struct loop_watch message, ended;
	struct loop_timer retry;
	bool complained;
	int text; /* the last one, or -1 */
	uint64_t text_ms;
};

/* ---- the text ------------------------------------------------------------------------------- */

static int write_text(struct sluiced *sluiced)
{
	int fd = memfd_create("sluice-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;
	FILE *out = fd < 0 ? NULL : fdopen(dup(fd), "w");

	if (!out) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	/* Nobody else has it: putc() need not lock, and the file is written in few pieces. */
	__fsetlocking(out, FSETLOCKING_BYCALLER);
	setvbuf(out, NULL, _IOFBF, BUFFER_SIZE);
	err = exposition_write(sluiced, out);
	if (fclose(out) && !err)
		err = -EIO;
	/* The exporter cannot change what others are given, nor cut it short. */
	if (!err &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int metrics_open(struct metrics *metrics)
{
	char path[40];
	int fd;

	if (metrics->text < 0 || loop_now() - metrics->text_ms > FRESH_MS) {
		fd = write_text(metrics->sluiced);
		if (fd < 0)
			return fd;
		if (metrics->text >= 0)
			close(metrics->text);
		metrics->text = fd;
		metrics->text_ms = loop_now();
	}
	/* Opened anew, so that every reader has a place of his own in it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", metrics->text);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- the listening socket ---------------------------------------------------------------------
 */

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct group *group = getgrnam("sluice");
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	struct stat st;
	mode_t mask;

	if (sock < 0)
		return -errno;
	strcpy(address.sun_path, path);
	/* One that an earlier daemon left; anything else that has the name stays. */
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
	mask = umask(0117);
	if (bind(sock, (struct sockaddr *)&address, sizeof(address)))
		err = -errno;
	umask(mask);
	if (!err && group && lchown(path, 0, group->gr_gid))
		err = -errno;
	if (!err && listen(sock, BACKLOG))
		err = -errno;
	if (err)
		close(sock);
	return err ? err : sock;
}

static int listen_tcp(const struct conf_address *to)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(to->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(to->port) };
	int sock = socket(to->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, err = 0;

	if (sock < 0)
		return -errno;
	memcpy(&in4.sin_addr, to->ip, sizeof(in4.sin_addr));
	memcpy(&in6.sin6_addr, to->ip, sizeof(in6.sin6_addr));
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (to->family == AF_INET6)
		setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(sock, to->family == AF_INET ? (struct sockaddr *)&in4 : (struct sockaddr *)&in6,
		 to->family == AF_INET ? sizeof(in4) : sizeof(in6)) ||
	    listen(sock, BACKLOG)) {
		err = -errno;
		close(sock);
	}
	return err ? err : sock;
}

/* In the management namespace. */
static int open_listener(const struct metrics *metrics)
{
	struct netns_visit visit;
	struct conf_address address;
	int sock, err = conf_address_parse(metrics->listen, &address);

	if (err)
		return err;
	if (address.family == AF_UNIX)
		return listen_unix(address.path);
	if (!metrics->netns)
		return listen_tcp(&address);
	err = netns_visit(&visit, metrics->netns);
	if (err)
		return err;
	sock = listen_tcp(&address);
	netns_leave(&visit);
	return sock;
}

/* ---- the exporter ------------------------------------------------------------------------------
 */

static void on_retry(struct loop_timer *timer);

static void bury(struct metrics *metrics)
{
	loop_unwatch(&metrics->sluiced->loop, &metrics->message);
	loop_unwatch(&metrics->sluiced->loop, &metrics->ended);
	if (metrics->sock >= 0)
		close(metrics->sock);
	if (metrics->pidfd >= 0)
		close(metrics->pidfd);
	metrics->sock = metrics->pidfd = -1;
	metrics->pid = 0;
}

static void end_it(struct metrics *metrics)
{
	if (!metrics->pid)
		return;
	kill(metrics->pid, SIGKILL);
	waitpid(metrics->pid, NULL, 0);
	bury(metrics);
}

static void on_ended(struct loop_watch *watch, uint32_t events)
{
	struct metrics *metrics = container_of(watch, struct metrics, ended);

	if (waitpid(metrics->pid, NULL, WNOHANG) != metrics->pid)
		return;
	log_error("the metrics exporter (pid %d) ended; starting it again", metrics->pid);
	bury(metrics);
	loop_timer_start(&metrics->sluiced->loop, &metrics->retry, RETRY_MS, on_retry);
}

static void on_message(struct loop_watch *watch, uint32_t events)
{
	static const struct msg_rule rules[] = { { .type = EXPORTER_ASK } };
	struct metrics *metrics = container_of(watch, struct metrics, message);
	static struct msg msg;
	int fd, rc = msg_recv(metrics->sock, rules, 1, &msg);

	if (rc == -EAGAIN)
		return;
	if (rc <= 0) {
		/* Its end follows; one that says something else is made to. */
		loop_unwatch(&metrics->sluiced->loop, watch);
		kill(metrics->pid, SIGKILL);
		return;
	}
	fd = metrics_open(metrics);
	/* When it takes no answer, it waits in vain for a while: its own fault. */
	msg_send(metrics->sock, EXPORTER_TEXT, msg.head.id, NULL, 0, &fd, fd >= 0 ? 1 : 0);
	if (fd >= 0)
		close(fd);
}

static int start(struct metrics *metrics)
{
	const struct generation *generation = metrics->sluiced->generation;
	const struct spawn_spec spec = { .uid = generation->metrics_uid,
					 .gid = generation->metrics_gid,
					 .descriptors = DESCRIPTORS,
					 .option = "--exporter" };
	struct loop *loop = &metrics->sluiced->loop;
	struct spawned spawned;
	int sock = open_listener(metrics), err;

	if (sock < 0)
		return sock;
	err = spawn_worker(&spec, &spawned);
	if (err) {
		close(sock);
		return err;
	}
	metrics->pid = spawned.pid;
	metrics->pidfd = spawned.pidfd;
	metrics->sock = spawned.sock;
	err = msg_send(metrics->sock, EXPORTER_LISTEN, 0, NULL, 0, &sock, 1);
	close(sock);
	if (!err)
		err = loop_watch(loop, &metrics->message, metrics->sock, EPOLLIN, on_message);
	if (!err)
		err = loop_watch(loop, &metrics->ended, metrics->pidfd, EPOLLIN, on_ended);
	if (err)
		end_it(metrics);
	return err;
}

static void try(struct metrics *metrics)
{
	int err = start(metrics);

	if (!err) {
		log_info("metrics are served on %s", metrics->listen);
		metrics->complained = false;
		return;
	}
	if (!metrics->complained)
		log_error("metrics cannot be served on %s: %s; trying again every second",
			  metrics->listen, strerror(-err));
	metrics->complained = true;
	loop_timer_start(&metrics->sluiced->loop, &metrics->retry, RETRY_MS, on_retry);
}

static void on_retry(struct loop_timer *timer)
{
	try(container_of(timer, struct metrics, retry));
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

void metrics_stop(struct metrics *metrics)
{
	struct conf_address address;

	loop_timer_stop(&metrics->sluiced->loop, &metrics->retry);
	if (metrics->pid && !conf_address_parse(metrics->listen, &address) &&
	    address.family == AF_UNIX)
		unlink(address.path);
	end_it(metrics);
	free(metrics->listen);
	free(metrics->netns);
	metrics->listen = metrics->netns = NULL;
}

void metrics_apply(struct metrics *metrics)
{
	const struct generation *generation = metrics->sluiced->generation;
	const struct conf *conf = generation->conf;

	metrics->text_ms = 0; /* the configuration may want another text */
	if (same_text(metrics->listen, conf->metrics.listen) &&
	    same_text(metrics->netns, conf->management.netns) &&
	    (!metrics->listen || metrics->uid == generation->metrics_uid))
		return;
	metrics_stop(metrics);
	if (!conf->metrics.listen)
		return;
	metrics->listen = strdup(conf->metrics.listen);
	metrics->netns = conf->management.netns ? strdup(conf->management.netns) : NULL;
	metrics->uid = generation->metrics_uid;
	metrics->complained = false;
	if (metrics->listen && (metrics->netns || !conf->management.netns))
		try(metrics);
}

int metrics_new(struct sluiced *sluiced, struct metrics **ret)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return -ENOMEM;
	metrics->sluiced = sluiced;
	metrics->text = metrics->pidfd = metrics->sock = -1;
	metrics->message.fd = metrics->ended.fd = -1;
	*ret = metrics;
	return 0;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	metrics_stop(metrics);
	if (metrics->text >= 0)
		close(metrics->text);
	free(metrics);
}
