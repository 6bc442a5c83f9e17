/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Namespaces with names: made and removed as ip-netns(8) does it, so that "ip netns" and everybody
 * else can use them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns.h"

/* The directory is a shared mount, so that names made here are seen in other mount namespaces. */
static int prepare_dir(void)
{
	if (mkdir(NETNS_DIR, 0755) && errno != EEXIST)
		return -errno;
	if (!mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
		return 0;
	if (errno != EINVAL || mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) ||
	    mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL))
		return -errno;
	return 0;
}

/* In a new namespace for a moment, to give it its name. */
static int name_new_namespace(const char *path)
{
	struct netns_visit visit = { .home = open("/proc/thread-self/ns/net",
						  O_RDONLY | O_CLOEXEC) };
	int err = 0;

	if (visit.home < 0)
		return -errno;
	if (unshare(CLONE_NEWNET)) {
		err = -errno;
		close(visit.home);
		return err;
	}
	if (mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL))
		err = -errno;
	netns_leave(&visit);
	return err;
}

int netns_make(const char *name)
{
	char path[sizeof(NETNS_DIR) + NAME_MAX + 2];
	int fd, err = prepare_dir();

	if (err)
		return err;
	snprintf(path, sizeof(path), NETNS_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	close(fd);
	err = name_new_namespace(path);
	if (err)
		unlink(path);
	return err;
}

int netns_remove(const char *name)
{
	char path[sizeof(NETNS_DIR) + NAME_MAX + 2];

	snprintf(path, sizeof(path), NETNS_DIR "/%s", name);
	if (umount2(path, MNT_DETACH) && errno != EINVAL && errno != ENOENT)
		return -errno;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}
