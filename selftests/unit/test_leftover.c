/* SPDX-License-Identifier: BSD-2-Clause */
/* What an agent that was killed left at work: real processes, and a clock that is played here. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int play_clock(clockid_t clock, struct timespec *ret_now);
static int play_poll(struct pollfd *fds, nfds_t count, int ms);
#define clock_gettime play_clock
#define poll	      play_poll
#include "../../user/agent/cluster_leftover.c"
#undef poll
#include "unit.h"

static struct node node;
static int64_t now = 5000000;
static pid_t leader, member;
static unsigned looks, ends_at; /* at which look the agent is to end, or the member does */
static bool agent_ends;
static int lock;

static int play_clock(clockid_t clock, struct timespec *ret_now)
{
	*ret_now = (struct timespec){ .tv_sec = now / 1000, .tv_nsec = now % 1000 * 1000000 };
	return 0;
}

static int play_poll(struct pollfd *fds, nfds_t count, int ms)
{
	siginfo_t status;

	/* Of the leader, which runs or does not. */
	if (count)
		return poll(fds, count, 0);
	now += ms;
	if (++looks != ends_at)
		return 0;
	if (agent_ends) {
		node.ending = true;
		return 0;
	}
	kill(member, SIGKILL);
	/* It stays a zombie. */
	CHECK(!waitid(P_PID, (id_t)member, &status, WEXITED | WNOWAIT));
	return 0;
}

void child_end(pid_t pid, int pidfd)
{
}

static pid_t start(pid_t group)
{
	pid_t pid = fork();

	if (!pid) {
		alarm(600);
		pause();
		_exit(0);
	}
	CHECK(pid > 0 && !setpgid(pid, group ? group : pid));
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static off_t note_length(void)
{
	return lseek(lock, 0, SEEK_END);
}

/* A step whose shell is gone, with a program that it started. */
static void begin(const char *name)
{
	unit_case = name;
	node.ending = agent_ends = false;
	looks = ends_at = 0;
	leader = start(0);
	member = start(leader);
	leftover_begin(leader, "/bin/sh", 60);
	CHECK(note_length() > 0);
	end(leader);
}

int main(void)
{
	char text[64];

	lock = memfd_create("lock", MFD_CLOEXEC);
	leftover_open(lock);
	CHECK(leftover_wait(&node));

	begin("what a step started is let finish");
	ends_at = 5;
	CHECK(leftover_wait(&node));
	CHECK_THAT(looks == 5, "%u looks", looks);
	CHECK(!note_length());
	waitpid(member, NULL, 0);

	begin("a service stays in the group");
	CHECK(leftover_wait(&node));
	CHECK_THAT(looks == 60, "%u looks", looks);
	unit_case = "the next agent does not wait for it again";
	CHECK(leftover_wait(&node));
	CHECK_THAT(looks == 60, "%u looks", looks);
	end(member);

	begin("the agent is to end before");
	agent_ends = true;
	ends_at = 3;
	CHECK(!leftover_wait(&node));
	CHECK(looks == 3 && note_length() > 0);
	unit_case = "the next one goes on waiting";
	node.ending = agent_ends = false;
	ends_at = 9;
	CHECK(leftover_wait(&node));
	CHECK_THAT(looks == 9, "%u looks", looks);
	waitpid(member, NULL, 0);

	begin("nothing is left");
	end(member);
	CHECK(leftover_wait(&node));
	CHECK(!looks);

	begin("it is of another boot");
	leftover_done();
	snprintf(text, sizeof(text), "%d 1 1 another-boot /bin/sh\n", (int)leader);
	CHECK(pwrite(lock, text, strlen(text), 0) > 0);
	CHECK(leftover_wait(&node));
	CHECK(!looks);
	end(member);
	return unit_end();
}
