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

/* What else may lie under the name (a pipe, a link to somewhere) is not written to. */
static int open_regular(const char *path, int flags)
{
	struct stat st;
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

int access_log_open(const char *path, char **ret_why)
{
	int fd = open_regular(path, O_WRONLY | O_APPEND | O_CREAT);

	if (fd == -EINVAL)
		return explain(fd, path, "not a regular file", ret_why);
	if (fd < 0)
		return explain(fd, path, strerror(-fd), ret_why);
	return fd;
}

int access_log_rotate(struct sluiced *sluiced, char **ret_why)
{
	struct generation *generation = sluiced->generation;
	struct worker *worker = NULL;
	int fd;

	*ret_why = NULL;
	if (generation->access_fd < 0)
		return 0;
	fd = access_log_open(generation->conf->log.access, ret_why);
	if (fd < 0) {
		log_error("%s", *ret_why ? *ret_why : "the access log cannot be opened");
		return fd;
	}
	/* Later workers of this generation get the new one. */
	close(generation->access_fd);
	generation->access_fd = fd;
	while ((worker = supervise_next(sluiced->supervise, worker)))
		if (worker->generation->access_fd >= 0 && worker->role != PROTO_ROLE_BACK)
			worker_send(worker, PROTO_LOG, 0, NULL, 0, &fd, 1);
	log_info("access log opened again");
	return 0;
}

int access_log_read(struct sluiced *sluiced)
{
	const struct conf_log *log = &sluiced->generation->conf->log;

	return log->access ? open_regular(log->access, O_RDONLY) : -ENOENT;
}
