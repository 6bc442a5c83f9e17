/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fault points with teeth, for the crash tests: SLUICE_FAULT=STEP:N kills the process the
 * N-th time it reaches STEP; SLUICE_FAULT_LOG=FILE gets a line for every step reached;
 * SLUICE_FAULT_WAIT=STEP:FILE lets whoever reaches STEP wait until there is FILE.
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

/* What a variable has for this step, behind "STEP:"; NULL when it is for another. */
static const char *wanted_at(const char *variable, const char *step)
{
	const char *wanted = getenv(variable);
	size_t len = strlen(step);

	return wanted && !strncmp(wanted, step, len) && wanted[len] == ':' ? wanted + len + 1
									   : NULL;
}

void fault_point(const char *step)
{
	const char *kill_at = wanted_at("SLUICE_FAULT", step);
	const char *wait_for = wanted_at("SLUICE_FAULT_WAIT", step);
	const char *log = getenv("SLUICE_FAULT_LOG");
	static atomic_int reached;

	if (log)
		note(log, step);
	while (wait_for && access(wait_for, F_OK))
		usleep(10000);
	if (!kill_at)
		return;
	if (atomic_fetch_add(&reached, 1) + 1 == atoi(kill_at))
		kill(getpid(), SIGKILL);
}
