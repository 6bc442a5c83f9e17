/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An agent that is killed leaves the step, or the program, that it ran: beside that one, the same
 * must not begin again. So DIR/lock says who is at work,
 *
 *   PID START DEADLINE BOOT PROGRAM
 *
 * and the next agent lets it finish, until the end of the time that it had, and then what it
 * started and left in its group: a shell whose pipes are gone ends at its next word, before its
 * program. START, of /proc/PID/stat, and BOOT tell it from another process with its number;
 * DEADLINE is CLOCK_MONOTONIC's, in ms. The installing thread alone writes it. It need not survive
 * a power loss: nor does what it names.
 */
#include "cluster.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/child.h"
#include "../lib/clock.h"
#include "../lib/file.h"
#include "../lib/log.h"

#define BOOT_ID	 "/proc/sys/kernel/random/boot_id"
#define LOOK_MS	 500
#define GROUP_MS 30000 /* a service that a step starts may stay in its group for ever */
#define NOTE_MAX 400

struct note {
	int pid;
	unsigned long long start;
	long long deadline;
	char boot[40], program[200];
};

static int note_fd = -1;

void leftover_open(int lock)
{
	note_fd = lock;
}

struct process {
	char state;
	int group;
	unsigned long long start; /* in ticks since boot; 0: there is no such process */
};

static struct process process_of(int pid)
{
	struct process process = { 0 };
	char path[32], *text = NULL, *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(path, 4096, &text, NULL))
		return process;
	/* A name may hold anything, brackets too. */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1,
			  " %c %*s %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
			  " %*s %llu",
			  &process.state, &process.group, &process.start) != 3)
		process.start = 0;
	free(text);
	return process;
}

/* kill() would count those that have ended and nobody has waited for. */
static bool group_lives(int group)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	bool lives = false;

	while (directory && !lives && (entry = readdir(directory))) {
		struct process process = { 0 };
		int pid = atoi(entry->d_name);

		if (pid > 1)
			process = process_of(pid);
		lives = process.start && process.group == group && process.state != 'Z';
	}
	if (directory)
		closedir(directory);
	return lives;
}

void boot_id(char *ret, size_t size)
{
	char *text = NULL;

	if (file_read(BOOT_ID, 64, &text, NULL))
		text = NULL;
	snprintf(ret, size, "%.*s", text ? (int)strcspn(text, "\n") : 1, text ? text : "-");
	free(text);
}

void leftover_begin(pid_t pid, const char *program, unsigned timeout)
{
	char text[NOTE_MAX], boot[40];
	int len;

	if (note_fd < 0)
		return;
	boot_id(boot, sizeof(boot));
	len = snprintf(
		text, sizeof(text), "%d %llu %lld %s %.199s\n", (int)pid, process_of(pid).start,
		(long long)clock_ms(CLOCK_MONOTONIC) + (long long)timeout * 1000, boot, program);
	if (pwrite(note_fd, text, (size_t)len, 0) != len || ftruncate(note_fd, len))
		log_warn("who is at work cannot be noted: %s", strerror(errno));
}

void leftover_done(void)
{
	if (note_fd >= 0 && ftruncate(note_fd, 0))
		log_warn("who is at work cannot be noted: %s", strerror(errno));
}

static bool read_note(struct note *ret_note)
{
	char text[NOTE_MAX + 1] = "", boot[40];

	if (note_fd < 0 || pread(note_fd, text, NOTE_MAX, 0) <= 0 ||
	    sscanf(text, "%d %llu %lld %39s %199s", &ret_note->pid, &ret_note->start,
		   &ret_note->deadline, ret_note->boot, ret_note->program) != 5)
		return false;
	boot_id(boot, sizeof(boot));
	return ret_note->pid > 1 && !strcmp(boot, ret_note->boot);
}

/* Also one that cannot be killed, in the middle of I/O, is waited for. */
static bool wait_for(const struct node *node, const struct note *note, int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	bool told = false;

	log_warn("%s, begun by an agent before this one, is let finish first (process %d)",
		 note->program, note->pid);
	while (poll(&ended, 1, LOOK_MS) <= 0) {
		if (node->ending)
			return false;
		if (told || clock_ms(CLOCK_MONOTONIC) < note->deadline)
			continue;
		log_warn("%s took too long: it is ended", note->program);
		child_end(note->pid, pidfd);
		told = true;
	}
	return true;
}

static bool wait_for_group(const struct node *node, const struct note *note)
{
	int64_t until = clock_ms(CLOCK_MONOTONIC) + GROUP_MS;
	bool told = false;

	while (group_lives(note->pid)) {
		if (node->ending)
			return false;
		if (!told)
			log_warn("what %s started is let finish, too, for at most %d s (group %d)",
				 note->program, GROUP_MS / 1000, note->pid);
		told = true;
		if (clock_ms(CLOCK_MONOTONIC) >= until)
			break;
		poll(NULL, 0, LOOK_MS);
	}
	return true;
}

bool leftover_wait(const struct node *node)
{
	unsigned long long start;
	bool ended = true;
	struct note note;
	int pidfd;

	if (!read_note(&note))
		return true;
	pidfd = (int)syscall(SYS_pidfd_open, note.pid, 0);
	/* After it was opened: from here on the number is not another's. */
	start = process_of(note.pid).start;
	if (pidfd >= 0 && start == note.start)
		ended = wait_for(node, &note, pidfd);
	if (pidfd >= 0)
		close(pidfd);
	/* A number is not given anew while there is a group of it. */
	if (ended && (!start || start == note.start))
		ended = wait_for_group(node, &note);
	/* Services that stay in the group are not waited for by every agent from now on. */
	if (ended)
		leftover_done();
	return ended;
}
