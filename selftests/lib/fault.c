/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fault points with teeth, for the crash tests: SLUICE_FAULT=STEP:N kills the process the
 * N-th time it reaches STEP; SLUICE_FAULT_LOG=FILE gets a line for every step reached.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../user/lib/fault.h"

static void note(const char *path, const char *step)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	char line[64];
	size_t len = strnlen(step, sizeof(line) - 1);

	if (fd < 0)
		return;
	memcpy(line, step, len);
	line[len] = '\n';
	if (write(fd, line, len + 1) < 0)
		abort();
	close(fd);
}

void fault_point(const char *step)
{
	const char *wanted = getenv("SLUICE_FAULT"), *log = getenv("SLUICE_FAULT_LOG");
	static atomic_int reached;
	size_t len = strlen(step);

	if (log)
		note(log, step);
	if (!wanted || strncmp(wanted, step, len) != 0 || wanted[len] != ':')
		return;
	if (atomic_fetch_add(&reached, 1) + 1 == atoi(wanted + len + 1))
		kill(getpid(), SIGKILL);
}
