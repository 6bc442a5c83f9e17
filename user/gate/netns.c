/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entering and leaving network namespaces. Only the network namespace is changed:
 * a mount namespace of its own would hide the bpffs.
 */
#include "netns.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/log.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Opens path if it is a network namespace; a device does things when it is opened, a FIFO waits. */
static int open_checked(const char *path)
{
	int fd = -1, handle = open(path, O_PATH | O_CLOEXEC);
	char again[32];
	struct statfs fs;
	int err = 0;

	if (handle < 0)
		return -errno;
	if (fstatfs(handle, &fs))
		err = -errno;
	else if (fs.f_type != NSFS_MAGIC)
		err = -EINVAL;
	if (err)
		goto out;
	snprintf(again, sizeof(again), "/proc/self/fd/%d", handle);
	fd = open(again, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
	} else if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		close(fd);
		err = -EINVAL;
	}
out:
	close(handle);
	return err ? err : fd;
}

/*
 * The namespace of a process. The pidfd is held across the open: if the process still
 * lives afterwards, the number was not given to another one in between.
 */
static int open_of_pid(const char *digits)
{
	char path[64];
	struct pollfd gone = { .events = POLLIN };
	char *end;
	long pid;
	int fd;

	errno = 0;
	pid = strtol(digits, &end, 10);
	if (errno || end == digits || *end || pid <= 0 || pid > INT_MAX)
		return -EINVAL;
	gone.fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (gone.fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%ld/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fd = -errno;
	} else if (poll(&gone, 1, 0) != 0) {
		close(fd);
		fd = -ESRCH;
	}
	close(gone.fd);
	return fd;
}

int netns_open(const char *spec)
{
	char path[PATH_MAX];

	if (!strncmp(spec, "pid:", 4))
		return open_of_pid(spec + 4);
	if (spec[0] == '/') {
		if (strlen(spec) >= sizeof(path))
			return -ENAMETOOLONG;
		strcpy(path, spec);
	} else {
		if (!spec[0] || strchr(spec, '/') || !strcmp(spec, ".") || !strcmp(spec, ".."))
			return -EINVAL;
		if (strlen(spec) > NAME_MAX)
			return -ENAMETOOLONG;
		snprintf(path, sizeof(path), NETNS_DIR "/%s", spec);
	}
	return open_checked(path);
}

bool netns_of_process(const char *spec)
{
	return !strncmp(spec, "pid:", 4) ||
	       (!strncmp(spec, "/proc/", 6) && isdigit((unsigned char)spec[6]));
}

int netns_open_of_socket(int sock)
{
	int fd = ioctl(sock, SIOCGSKNS);

	return fd < 0 ? -errno : fd;
}

uint64_t netns_inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

uint64_t netns_inode(const char *spec)
{
	uint64_t inode;
	int fd = netns_open(spec);

	if (fd < 0)
		return 0;
	inode = netns_inode_of(fd);
	close(fd);
	return inode;
}

int netns_enter(struct netns_visit *visit, int fd)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET)) {
		int err = -errno;

		close(home);
		return err;
	}
	visit->home = home;
	return 0;
}

int netns_visit(struct netns_visit *visit, const char *spec)
{
	int err, fd = netns_open(spec);

	if (fd < 0)
		return fd;
	err = netns_enter(visit, fd);
	close(fd);
	return err;
}

void netns_leave(struct netns_visit *visit)
{
	if (setns(visit->home, CLONE_NEWNET)) {
		log_error("cannot return from a tenant's network namespace: %s", strerror(errno));
		abort();
	}
	close(visit->home);
	visit->home = -1;
}

int netns_cookie_of(const char *spec, uint64_t *ret_cookie)
{
	struct netns_visit visit;
	int err = netns_visit(&visit, spec);

	if (err)
		return err;
	err = netns_cookie(ret_cookie);
	netns_leave(&visit);
	return err;
}

int netns_cookie(uint64_t *ret_cookie)
{
	socklen_t len = sizeof(*ret_cookie);
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (sock < 0)
		return -errno;
	if (getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &len))
		err = -errno;
	close(sock);
	return err;
}
