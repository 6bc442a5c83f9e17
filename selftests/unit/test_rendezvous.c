/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The successor of a dead parent and a worker: what the worker has said counts, however late it is
 * read; who says nothing, or never all of it, is waited for in vain, and not for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../../user/sluiced/loop.h"
#include "../../user/sluiced/rendezvous.h"
#include "unit.h"

#define BUDGET_MS 300

static char dir[] = "/tmp/sluice-rendezvous.XXXXXX";

static void nap(unsigned ms)
{
	const struct timespec time = { ms / 1000, (ms % 1000) * 1000000l };

	nanosleep(&time, NULL);
}

static void say(int sock, uint16_t type)
{
	struct proto_hello hello = { 0 };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[] = { null, null };

	if (type == PROTO_HELLO)
		msg_send(sock, type, 0, &hello, sizeof(hello), fds, 2);
	else
		msg_send(sock, type, 0, NULL, 0, fds, type == PROTO_HELD);
	close(null);
}

static void say_all(int sock)
{
	say(sock, PROTO_HELLO);
	say(sock, PROTO_HELD);
	say(sock, PROTO_READY);
}

/* The parent stands still in the middle of its wait, for longer than that was to last. */
static void stop_parent(int sock)
{
	nap(50);
	kill(getppid(), SIGSTOP);
	say_all(sock);
	nap(3 * BUDGET_MS);
	kill(getppid(), SIGCONT);
}

static void trickle(int sock)
{
	say(sock, PROTO_HELLO);
	for (;;) {
		say(sock, PROTO_HELD);
		nap(5);
	}
}

static void say_nothing(int sock)
{
}

static void end(int sock)
{
	_exit(0);
}

static const struct {
	const char *name;
	void (*worker)(int sock);
	int want;
} cases[] = {
	{ "says it all", say_all, 0 },
	{ "speaks while its successor stands still", stop_parent, 0 },
	{ "says nothing", say_nothing, -ETIMEDOUT },
	{ "never says all", trickle, -ETIMEDOUT },
	{ "ends", end, -ECONNRESET },
};

/* False: a worker that says all it has to was late, which a machine that is held up makes it. */
static bool meet(size_t i, bool last)
{
	struct rendezvous met = { .sock = -1, .conf_fd = -1, .stats_fd = -1 };
	pid_t name = 4000000 + (pid_t)i, worker;
	int sock = rendezvous_open(dir, name), err;
	unsigned budget = BUDGET_MS;
	uint64_t began;
	bool late;

	unit_case = cases[i].name;
	if (!CHECK(sock >= 0))
		return true;
	worker = fork();
	if (!worker) {
		int peer;

		alarm(600);
		fcntl(sock, F_SETFL, 0);
		peer = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
		cases[i].worker(peer);
		pause();
	}
	close(sock);
	began = loop_now();
	err = rendezvous_connect(dir, name, &met);
	if (!err)
		err = rendezvous_hear(&met, &budget);
	late = err == -ETIMEDOUT && cases[i].want != err && !last;
	CHECK_THAT(err == cases[i].want || late, "said: %s", strerror(-err));
	if (err == -ETIMEDOUT)
		CHECK(loop_now() - began >= BUDGET_MS / 2);
	else if (!err)
		CHECK(met.conf_fd >= 0 && met.nlisteners == 1);
	rendezvous_free(&met);
	rendezvous_remove(dir, name);
	if (worker > 0) {
		kill(worker, SIGKILL);
		waitpid(worker, NULL, 0);
	}
	return !late;
}

int main(void)
{
	char path[64];

	if (!mkdtemp(dir))
		return 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int tries = 1; !meet(i, tries == 20);)
			tries++;
	snprintf(path, sizeof(path), "%s/workers", dir);
	rmdir(path);
	rmdir(dir);
	return unit_end();
}
