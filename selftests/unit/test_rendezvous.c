/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The successor of a dead parent and a worker: what the worker has said counts, however late it is
 * read; who says nothing, or never all of it, is waited for in vain, and not for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>
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

static pid_t begin(pid_t name, void (*act)(int sock))
{
	int sock = rendezvous_open(dir, name), peer;
	pid_t worker;

	if (!CHECK(sock >= 0))
		return -1;
	worker = fork();
	if (!worker) {
		alarm(600);
		fcntl(sock, F_SETFL, 0);
		peer = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
		act(peer);
		pause();
	}
	close(sock);
	return worker;
}

static void finish(pid_t name, pid_t worker, struct rendezvous *met)
{
	rendezvous_free(met);
	rendezvous_remove(dir, name);
	if (worker > 0) {
		kill(worker, SIGKILL);
		waitpid(worker, NULL, 0);
	}
}

/* False: a worker that says all it has to was late, which a machine that is held up makes it. */
static bool meet(size_t i, bool last)
{
	pid_t name = 4000000 + (pid_t)i, worker;
	struct rendezvous met;
	uint64_t began;
	bool late;

	unit_case = cases[i].name;
	worker = begin(name, cases[i].worker);
	began = loop_now();
	rendezvous_connect(dir, name, &met);
	rendezvous_hear(&met, 1, BUDGET_MS);
	late = met.err == -ETIMEDOUT && cases[i].want != met.err && !last;
	CHECK_THAT(met.err == cases[i].want || late, "said: %s", strerror(-met.err));
	if (met.err == -ETIMEDOUT)
		CHECK(loop_now() - began >= BUDGET_MS / 2);
	else if (!met.err)
		CHECK(met.conf_fd >= 0 && met.nlisteners == 1);
	finish(name, worker, &met);
	return !late;
}

static int turn[2]; /* a pipe: what the other has said was read */

static void say_second(int sock)
{
	char byte;

	if (read(turn[0], &byte, 1) == 1)
		say_all(sock);
}

static void say_first(int sock)
{
	int unread = 1;

	say_all(sock);
	while (!ioctl(sock, SIOCOUTQ, &unread) && unread)
		nap(1);
	if (write(turn[1], "", 1) != 1)
		_exit(1);
}

/* One that cannot speak before what another has said is read, as of what is on its way. */
static bool meet_two(bool last)
{
	static void (*const acts[])(int sock) = { say_second, say_first };
	struct rendezvous met[2];
	pid_t workers[2];
	bool late = false;

	unit_case = "one after the other, which is asked first";
	if (!CHECK(!pipe2(turn, O_CLOEXEC)))
		return true;
	for (int i = 0; i < 2; i++) {
		workers[i] = begin(4100000 + i, acts[i]);
		rendezvous_connect(dir, 4100000 + i, &met[i]);
	}
	rendezvous_hear(met, 2, BUDGET_MS);
	for (int i = 0; i < 2; i++) {
		late |= met[i].err == -ETIMEDOUT && !last;
		CHECK_THAT(!met[i].err || late, "worker %d: %s", i, strerror(-met[i].err));
		finish(4100000 + i, workers[i], &met[i]);
	}
	close(turn[0]);
	close(turn[1]);
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
	for (int tries = 1; !meet_two(tries == 20);)
		tries++;
	snprintf(path, sizeof(path), "%s/workers", dir);
	rmdir(path);
	rmdir(dir);
	return unit_end();
}
