/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notes are written when a worker is forked and removed when it is buried; what is left over
 * at the next start was written by a parent that did not get that far.
 */
#include "orphans.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/log.h"

#define DIRECTORY "workers"
#define END_MS	  5000

/* Field 22 of /proc/PID/stat; 0 when there is no such process. The command, field 2, may
 * contain anything, so counting starts behind its closing bracket. */
static unsigned long long start_time(pid_t pid)
{
	unsigned long long start = 0;
	char path[64], line[1024];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(line, sizeof(line), file)) {
		char *at = strrchr(line, ')');

		for (int field = 2; at && field < 22; field++)
			at = strchr(at + 1, ' ');
		if (at)
			start = strtoull(at + 1, NULL, 10);
	}
	fclose(file);
	return start;
}

void orphans_record(const char *run_dir, pid_t pid)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/" DIRECTORY, run_dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/" DIRECTORY "/%d", run_dir, pid);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%llu\n", start_time(pid)) < 0)
		log_warn("cannot note worker %d in %s: %m", pid, path);
	if (file)
		fclose(file);
}

void orphans_forget(const char *run_dir, pid_t pid)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" DIRECTORY "/%d", run_dir, pid);
	unlink(path);
}

/* The pidfd is opened before the start time is compared: it then means the same process. */
static int end_one(int dir, const char *name)
{
	pid_t pid = (pid_t)strtol(name, NULL, 10);
	unsigned long long noted = 0;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	struct pollfd ended = { .events = POLLIN };
	int count = 0;

	if (!file) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if (fscanf(file, "%llu", &noted) != 1)
		noted = 0;
	fclose(file);
	ended.fd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (ended.fd >= 0) {
		if (noted && start_time(pid) == noted &&
		    !syscall(SYS_pidfd_send_signal, ended.fd, SIGKILL, NULL, 0)) {
			poll(&ended, 1, END_MS);
			count = 1;
		}
		close(ended.fd);
	}
	unlinkat(dir, name, 0);
	return count;
}

int orphans_end(const char *run_dir)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" DIRECTORY, run_dir);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			count += end_one(dirfd(dir), entry->d_name);
	closedir(dir);
	return count;
}
