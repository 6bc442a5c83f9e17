/* SPDX-License-Identifier: BSD-2-Clause */
#include "access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"
#include "generation.h"
#include "sluiced.h"
#include "supervise.h"

/* 0, or -errno with the sentence in *ret_why. */
static int explain(int err, const char *path, const char *what, char **ret_why)
{
	if (asprintf(ret_why, "log.access: %s: %s", path, what) < 0)
		*ret_why = NULL;
	return err;
}

int access_log_open(const char *path, char **ret_why)
{
	/* What else may lie under the name (a pipe, a link to somewhere) is not written to. */
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = open(path, flags, 0640);
	struct stat st;

	if (fd < 0)
		return explain(-errno, path, strerror(errno), ret_why);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return explain(-EINVAL, path, "not a regular file", ret_why);
	}
	return fd;
}

int access_log_rotate(struct sluiced *sluiced, char **ret_why)
{
	struct generation *generation = sluiced->generation;
	struct worker *worker = NULL;
	int fd;

	*ret_why = NULL;
	if (!generation->conf->log.access)
		return 0;
	fd = access_log_open(generation->conf->log.access, ret_why);
	if (fd < 0) {
		log_error("%s", *ret_why ? *ret_why : "the access log cannot be opened");
		return fd;
	}
	/* Later workers of this generation get the new one. */
	if (generation->access_fd >= 0)
		close(generation->access_fd);
	generation->access_fd = fd;
	while ((worker = supervise_next(sluiced->supervise, worker)))
		/* Not every generation has the descriptor: not one whose parent crashed. */
		if (worker->generation->conf->log.access && worker->role != PROTO_ROLE_BACK)
			worker_send(worker, PROTO_LOG, 0, NULL, 0, &fd, 1);
	log_info("access log opened again");
	return 0;
}

int access_log_read(struct sluiced *sluiced)
{
	char path[40];
	int fd;

	if (sluiced->generation->access_fd < 0)
		return -ENOENT;
	/* The file that is written now, whatever its name is by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", sluiced->generation->access_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
