/* SPDX-License-Identifier: BSD-2-Clause */
/* One line: cookie of the namespace, both interfaces, whether the qdisc is ours, and the name. */
#include "probe_left.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns.h"
#include "probe.h"

#define LINE_MAX_SIZE 4352 /* a path and some numbers */

static int sweep(const char *line)
{
	struct netns_visit visit;
	struct probe dead = { .tenant_ns = -1, .ns = -1, .record = -1 };
	uint64_t wanted, cookie;
	unsigned made;
	int at = 0, ns, err;

	if (sscanf(line, "%" SCNu64 " %" SCNu32 " %" SCNu32 " %u %n", &wanted, &dead.ifindex,
		   &dead.l3_ifindex, &made, &at) != 4 ||
	    !at)
		return 0; /* it was killed before it had made anything */
	dead.made_qdisc = made;
	ns = netns_open(line + at);
	if (ns < 0)
		return 0; /* gone, and all that was in it */
	err = netns_enter(&visit, ns);
	close(ns);
	if (err)
		return err;
	err = netns_cookie(&cookie);
	if (!err && cookie == wanted) {
		probe_remove(&dead);
		err = 1;
	}
	netns_leave(&visit);
	return err;
}

int probe_left_sweep(const char *path)
{
	char line[LINE_MAX_SIZE] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), err = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) || read(fd, line, sizeof(line) - 1) < 0)
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	line[strcspn(line, "\n")] = '\0';
	if (!err)
		err = sweep(line);
	if (err >= 0)
		unlink(path);
	close(fd);
	return err;
}

int probe_left_write(struct probe *probe, const char *path, const char *netns)
{
	uint64_t cookie;
	int err = probe_left_sweep(path);

	if (err < 0)
		return err;
	probe->record_path = strdup(path);
	if (!probe->record_path)
		return -ENOMEM;
	err = netns_cookie(&cookie);
	if (err)
		return err;
	probe->record = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (probe->record < 0)
		return errno == EEXIST ? -EBUSY : -errno;
	if (flock(probe->record, LOCK_EX | LOCK_NB))
		return -errno;
	return dprintf(probe->record, "%" PRIu64 " %" PRIu32 " %" PRIu32 " %u %s\n", cookie,
		       probe->ifindex, probe->l3_ifindex, probe->made_qdisc, netns) < 0
		       ? -EIO
		       : 0;
}

void probe_left_remove(struct probe *probe)
{
	if (probe->record >= 0) {
		unlink(probe->record_path);
		close(probe->record);
	}
	free(probe->record_path);
	probe->record = -1;
	probe->record_path = NULL;
}
