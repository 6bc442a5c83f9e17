/* SPDX-License-Identifier: BSD-2-Clause */
#include "parent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../user/lib/conf.h"
#include "../../../user/lib/log.h"
#include "../../../user/relay/proto.h"
#include "../../../user/relay/worker.h"

#define WORKERS_MAX 2
#define SLOTS	    4

struct worker {
	pid_t pid;
	int sock;
	int stats_fd;
	struct sl_relay *stats;
	enum proto_role role;
	bool ready;
	bool ended;
	int status;
};

struct parent {
	struct worker workers[WORKERS_MAX];
	unsigned count;
	struct conf *conf;
	uint16_t port;
	pthread_t thread;
	int wake[2]; /* ends the thread */
	volatile bool withheld;
	volatile int withheld_service; /* -1: none */
	volatile int error;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

void lab_enter(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd;

	signal(SIGPIPE, SIG_IGN);
	if (unshare(CLONE_NEWNET) < 0) {
		printf("skip: no right to make a network namespace\n");
		exit(77);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		fail("lo up");
	close(fd);
}

static int listen_loopback(uint16_t *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (void *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (void *)&address, &len) < 0)
		fail("listen");
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static void send_or_fail(struct worker *worker, uint16_t type, const void *body, size_t len,
			 const int *fds, size_t nfds)
{
	int rc = msg_send(worker->sock, type, 0, body, len, fds, nfds);

	if (rc < 0) {
		fprintf(stderr, "message %u: %s\n", type, strerror(-rc));
		exit(1);
	}
}

static void send_pipes(struct worker *worker, unsigned count, uint32_t size)
{
	for (unsigned i = 0; i < count; i++) {
		struct proto_pipes about = { .size = size, .count = 1 };
		int fds[2];

		if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 ||
		    fcntl(fds[1], F_SETPIPE_SZ, (int)size) < 0)
			fail("pipe");
		send_or_fail(worker, PROTO_PIPES, &about, sizeof(about), fds, 2);
		close(fds[0]);
		close(fds[1]);
	}
}

static void configure(struct parent *parent, struct worker *worker, unsigned index,
		      const struct parent_setup *setup)
{
	struct proto_config about = { .index = index, .role = worker->role, .tenants = SLOTS };
	int fds[3];

	fds[0] = conf_send(parent->conf);
	fds[1] = worker->stats_fd;
	fds[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fds[0] < 0 || fds[2] < 0)
		fail("conf_send");
	send_or_fail(worker, PROTO_CONFIG, &about, sizeof(about), fds, 3);
	close(fds[0]);
	close(fds[2]);
	send_pipes(worker, setup->pipes, setup->pipe_size ? setup->pipe_size : 256 << 10);
	send_pipes(worker, setup->pipes, 1 << 20);
}

#define WORKER_VARIABLE "SLUICE_TEST_WORKER"

/* In the process that fork_worker() makes of this program anew. */
__attribute__((constructor)) static void become_worker(void)
{
	if (!getenv(WORKER_VARIABLE))
		return;
	unsetenv(WORKER_VARIABLE);
	log_init("worker", LOG_WARN);
	_exit(worker_main());
}

/*
 * Everything is made before the fork, so that the child inherits and closes it. Other threads run
 * here: what they hold in the allocator stays held in a child, which therefore begins anew.
 */
static void fork_worker(struct parent *parent, struct worker *worker)
{
	static char path[] = "/proc/self/exe";
	char *const arguments[] = { path, NULL };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		fail("socketpair");
	setenv(WORKER_VARIABLE, "1", 1);
	fflush(NULL);
	worker->pid = fork();
	if (worker->pid < 0)
		fail("fork");
	if (worker->pid == 0) {
		if (dup2(pair[1], PROTO_WORKER_FD) < 0)
			_exit(1);
		close_range(PROTO_WORKER_FD + 1, ~0u, 0);
		execv(path, arguments);
		_exit(1);
	}
	unsetenv(WORKER_VARIABLE);
	close(pair[1]);
	worker->sock = pair[0];
}

static int connect_origin(const struct conf *conf, const struct proto_connect *request)
{
	const struct conf_service *service;
	struct conf_address address;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_un un;
	} to = { 0 };
	socklen_t len;
	int fd;

	if (request->service >= conf->services_count)
		return -EINVAL;
	service = &conf->services[request->service];
	if (conf_address_parse(service->origins[request->origin % service->origins_count].address,
			       &address) < 0)
		return -EINVAL;
	to.any.sa_family = address.family;
	if (address.family == AF_UNIX) {
		strcpy(to.un.sun_path, address.path);
		len = sizeof(to.un);
	} else {
		memcpy(&to.in.sin_addr, address.ip, 4);
		to.in.sin_port = htons(address.port);
		len = sizeof(to.in);
	}
	fd = socket(address.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, &to.any, len) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	return fd;
}

static int bridge_stream(struct parent *parent)
{
	static const struct proto_stream about;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	msg_send(parent->workers[1].sock, PROTO_STREAM, 0, &about, sizeof(about), &pair[1], 1);
	close(pair[1]);
	return pair[0];
}

static void answer_connect(struct parent *parent, struct worker *worker, const struct msg *msg)
{
	const struct proto_connect *request = (const void *)msg->body;
	struct proto_origin reply = { 0 };
	int fd;

	if (parent->withheld || (parent->withheld_service >= 0 &&
				 request->service == (uint32_t)parent->withheld_service))
		return;
	if (parent->error)
		fd = -parent->error;
	else if (request->service == PROTO_SERVICE_BRIDGE)
		fd = bridge_stream(parent);
	else
		fd = connect_origin(parent->conf, request);
	reply.origin = request->origin;
	reply.error = fd < 0 ? -fd : 0;
	msg_send(worker->sock, PROTO_ORIGIN, msg->head.id, &reply, sizeof(reply), &fd,
		 fd < 0 ? 0 : 1);
	if (fd >= 0)
		close(fd);
}

static void serve_worker(struct parent *parent, struct worker *worker)
{
	static const struct msg_rule rules[] = {
		{ PROTO_READY, 0, 0, 0, 0 },
		{ PROTO_CONNECT, 0, 0, sizeof(struct proto_connect), sizeof(struct proto_connect) },
		{ PROTO_DRAINED, 0, 0, 0, 0 },
		{ PROTO_PULSE, 0, 0, 0, 0 },
		{ PROTO_FAILED, 0, 0, sizeof(struct proto_connect), sizeof(struct proto_connect) },
	};
	struct msg msg;

	if (msg_recv(worker->sock, rules, sizeof(rules) / sizeof(rules[0]), &msg) <= 0) {
		worker->ended = true;
		return;
	}
	if (msg.head.type == PROTO_READY)
		worker->ready = true;
	if (msg.head.type == PROTO_CONNECT)
		answer_connect(parent, worker, &msg);
}

static void *serve(void *context)
{
	struct parent *parent = context;
	struct pollfd fds[WORKERS_MAX + 1];

	for (;;) {
		for (unsigned i = 0; i < parent->count; i++)
			fds[i] = (struct pollfd){
				.fd = parent->workers[i].ended ? -1 : parent->workers[i].sock,
				.events = POLLIN,
			};
		fds[parent->count] = (struct pollfd){ .fd = parent->wake[0], .events = POLLIN };
		poll(fds, parent->count + 1, -1);
		if (fds[parent->count].revents)
			return NULL;
		for (unsigned i = 0; i < parent->count; i++)
			if (fds[i].revents)
				serve_worker(parent, &parent->workers[i]);
	}
}

static void await_ready(struct parent *parent)
{
	for (unsigned i = 0; i < parent->count; i++) {
		struct worker *worker = &parent->workers[i];

		while (!worker->ready) {
			struct pollfd fd = { .fd = worker->sock, .events = POLLIN };

			if (poll(&fd, 1, 120000) <= 0) {
				fprintf(stderr, "worker %u is not ready\n", i);
				exit(1);
			}
			serve_worker(parent, worker);
			if (worker->ended) {
				fprintf(stderr, "worker %u has ended\n", i);
				exit(1);
			}
		}
	}
}

struct parent *parent_start(const struct parent_setup *setup)
{
	struct parent *parent = calloc(1, sizeof(*parent));
	struct proto_listen about = {
		.tenant = PARENT_TENANT,
		.slot = PARENT_SLOT,
		.family = 4,
		.shared = setup->shared,
		.name = "blue",
	};
	char *why = NULL;
	int fd;

	if (conf_parse("test", setup->yaml, strlen(setup->yaml), &parent->conf, &why) < 0) {
		fprintf(stderr, "%s", why);
		exit(1);
	}
	parent->withheld_service = -1;
	parent->count = setup->stream ? 2 : 1;
	for (unsigned i = 0; i < parent->count; i++) {
		struct worker *worker = &parent->workers[i];

		worker->role = !setup->stream ? PROTO_ROLE_BOTH
			       : i == 0	      ? PROTO_ROLE_FRONT
					      : PROTO_ROLE_BACK;
		worker->stats_fd = memfd_create("stats", MFD_CLOEXEC);
		if (ftruncate(worker->stats_fd, proto_stats_size(SLOTS)) < 0)
			fail("stats");
		worker->stats = mmap(NULL, proto_stats_size(SLOTS), PROT_READ | PROT_WRITE,
				     MAP_SHARED, worker->stats_fd, 0);
		fork_worker(parent, worker);
		configure(parent, worker, i, setup);
	}
	fd = listen_loopback(&parent->port);
	about.port = parent->port;
	send_or_fail(&parent->workers[0], PROTO_LISTEN, &about, sizeof(about), &fd, 1);
	close(fd);
	await_ready(parent);
	if (pipe2(parent->wake, O_CLOEXEC) < 0 ||
	    pthread_create(&parent->thread, NULL, serve, parent) != 0)
		fail("thread");
	return parent;
}

uint16_t parent_port(const struct parent *parent)
{
	return parent->port;
}

struct sl_relay parent_counters(const struct parent *parent)
{
	struct sl_relay sum = { 0 };

	for (unsigned i = 0; i < parent->count; i++) {
		const struct sl_relay *one = &parent->workers[i].stats[PARENT_SLOT];

#define X(field, text) sum.field += one->field;
		SL_RELAY_COUNTERS(X)
#undef X
	}
	return sum;
}

void parent_withhold(struct parent *parent, bool on)
{
	parent->withheld = on;
}

void parent_withhold_service(struct parent *parent, int service)
{
	parent->withheld_service = service;
}

void parent_fail(struct parent *parent, int error)
{
	parent->error = error;
}

void parent_unlisten(struct parent *parent, bool abort)
{
	const struct proto_unlisten about = { .tenant = PARENT_TENANT, .abort = abort };

	for (unsigned i = 0; i < parent->count; i++)
		send_or_fail(&parent->workers[i], PROTO_UNLISTEN, &about, sizeof(about), NULL, 0);
}

void parent_drain(struct parent *parent, uint32_t deadline_ms)
{
	const struct proto_drain about = { .deadline_ms = deadline_ms };

	for (unsigned i = 0; i < parent->count; i++)
		msg_send(parent->workers[i].sock, PROTO_DRAIN, 0, &about, sizeof(about), NULL, 0);
}

static void end_thread(struct parent *parent)
{
	if (parent->wake[1] < 0)
		return;
	close(parent->wake[1]);
	parent->wake[1] = -1;
	pthread_join(parent->thread, NULL);
	close(parent->wake[0]);
}

void parent_vanish(struct parent *parent)
{
	end_thread(parent);
	for (unsigned i = 0; i < parent->count; i++) {
		close(parent->workers[i].sock);
		parent->workers[i].sock = -1;
	}
}

pid_t parent_worker(const struct parent *parent, unsigned i)
{
	return parent->workers[i].pid;
}

void parent_kill(struct parent *parent)
{
	for (unsigned i = 0; i < parent->count; i++) {
		struct worker *worker = &parent->workers[i];

		if (worker->pid > 0) {
			kill(worker->pid, SIGKILL);
			waitpid(worker->pid, NULL, 0);
		}
		worker->pid = 0;
		worker->status = 0;
	}
}

bool parent_wait(struct parent *parent, uint32_t timeout_ms)
{
	static const struct timespec nap = { .tv_nsec = 5000000 };
	bool good = true;

	for (unsigned i = 0; i < parent->count; i++) {
		struct worker *worker = &parent->workers[i];

		while (worker->pid > 0) {
			if (waitpid(worker->pid, &worker->status, WNOHANG) == worker->pid) {
				worker->pid = 0;
				break;
			}
			if (timeout_ms < 5)
				return false;
			timeout_ms -= 5;
			nanosleep(&nap, NULL);
		}
		if (!WIFEXITED(worker->status) || WEXITSTATUS(worker->status) != 0) {
			fprintf(stderr, "worker %u: status %#x\n", i, (unsigned)worker->status);
			good = false;
		}
	}
	return good;
}

bool parent_stop(struct parent *parent)
{
	bool good;

	parent_drain(parent, 0);
	good = parent_wait(parent, 30000);
	for (unsigned i = 0; i < parent->count; i++)
		if (parent->workers[i].pid > 0) {
			fprintf(stderr, "worker %u does not end\n", i);
			kill(parent->workers[i].pid, SIGKILL);
			waitpid(parent->workers[i].pid, NULL, 0);
		}
	end_thread(parent);
	for (unsigned i = 0; i < parent->count; i++) {
		if (parent->workers[i].sock >= 0)
			close(parent->workers[i].sock);
		close(parent->workers[i].stats_fd);
		munmap(parent->workers[i].stats, proto_stats_size(SLOTS));
	}
	conf_free(parent->conf);
	free(parent);
	return good;
}
