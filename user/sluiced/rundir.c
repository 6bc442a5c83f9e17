/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock is a flock on RUN_DIR/lock, which also holds the daemon's pid for people.
 */
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE "/run/sluice"

bool rundir_instance_valid(const char *instance)
{
	size_t len = strspn(instance, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_");

	return len > 0 && len <= 32 && !instance[len];
}

static int make_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	if (lstat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) && st.st_uid == geteuid() ? 0 : -EPERM;
}

static pid_t read_holder(int lock)
{
	char text[16] = "";
	ssize_t len = pread(lock, text, sizeof(text) - 1, 0);

	return len > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* A predecessor removes its file as it ends; a lock on a removed file excludes nobody. */
static int take_lock(const char *path, int *ret_lock, pid_t *ret_holder)
{
	struct stat st;
	int lock, err;

	for (;;) {
		lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (lock < 0)
			return -errno;
		if (flock(lock, LOCK_EX | LOCK_NB) || fstat(lock, &st)) {
			err = -errno;
			*ret_holder = read_holder(lock);
			close(lock);
			return err;
		}
		if (st.st_nlink)
			break;
		close(lock);
	}
	*ret_lock = lock;
	return 0;
}

int rundir_path(const char *instance, char *ret_path, size_t size)
{
	int len = snprintf(ret_path, size, BASE "/%s", instance);

	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

int rundir_open(const char *instance, char *ret_path, size_t size, int *ret_lock, pid_t *ret_holder)
{
	char path[PATH_MAX];
	int lock = -1;
	int err = make_dir(BASE);

	if (err)
		return err;
	err = rundir_path(instance, ret_path, size);
	if (!err)
		err = make_dir(ret_path);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s", ret_path);
	strcat(path, "/lock");
	err = take_lock(path, &lock, ret_holder);
	if (err)
		return err;
	if (ftruncate(lock, 0) || dprintf(lock, "%d\n", getpid()) < 0) {
		err = -errno;
		close(lock);
		return err;
	}
	*ret_lock = lock;
	return 0;
}

void rundir_close(const char *path, int lock)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s/workers", path);
	rmdir(name);
	snprintf(name, sizeof(name), "%s/lock", path);
	unlink(name);
	close(lock);
	rmdir(path);
}
