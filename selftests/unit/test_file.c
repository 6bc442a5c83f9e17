/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that are replaced whole; as root, with another owner. */
#include <stdint.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "../../user/lib/file.h"
#include "unit.h"

#define NOBODY 65534

/* What happened to the name since it was there; IN_ATTRIB is chown() or chmod() by that name. */
static uint32_t read_events(int fd, const char *name)
{
	char buffer[4096] __attribute__((aligned(8)));
	ssize_t len = read(fd, buffer, sizeof(buffer));
	uint32_t seen = 0;

	for (ssize_t at = 0; at < len;) {
		const struct inotify_event *event = (const void *)(buffer + at);

		if (event->len && !strcmp(event->name, name))
			seen |= event->mask;
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	return seen;
}

static void test_owner(const char *directory)
{
	char path[128];
	struct stat status;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	uint32_t seen;

	unit_case = "owner";
	snprintf(path, sizeof(path), "%s/conf", directory);
	CHECK(inotify_add_watch(fd, directory, IN_MOVED_TO | IN_ATTRIB) >= 0);
	CHECK(!file_write_as(path, "text", 4, 04640, NOBODY, NOBODY));
	CHECK(!lstat(path, &status));
	CHECK_THAT((status.st_mode & 07777) == 04640, "mode %o", status.st_mode & 07777);
	CHECK(status.st_uid == NOBODY && status.st_gid == NOBODY);
	seen = read_events(fd, "conf");
	CHECK(seen & IN_MOVED_TO);
	CHECK_THAT(!(seen & IN_ATTRIB), "touched by its name: %#x", seen);
	unit_case = "no owner";
	CHECK(!file_write(path, "other", 5, 0600));
	CHECK(!lstat(path, &status));
	CHECK((status.st_mode & 07777) == 0600 && status.st_uid == 0 && status.st_size == 5);
	unlink(path);
	close(fd);
}

/* What somebody put where the new file is written, and where it goes, is replaced, not followed. */
static void test_links(const char *directory)
{
	char path[128], next[128], other[128], *text = NULL;
	struct stat status;

	unit_case = "links";
	snprintf(path, sizeof(path), "%s/conf", directory);
	snprintf(next, sizeof(next), "%s/.conf.new", directory);
	snprintf(other, sizeof(other), "%s/other", directory);
	CHECK(!file_write(other, "untouched", 9, 0600));
	CHECK(!symlink(other, next) && !symlink(other, path));
	CHECK(!file_write_as(path, "text", 4, 0644, NOBODY, NOBODY));
	CHECK(!lstat(path, &status) && S_ISREG(status.st_mode));
	CHECK(!file_read(other, 64, &text, NULL) && !strcmp(text, "untouched"));
	CHECK(!lstat(other, &status) && status.st_uid == 0 && (status.st_mode & 07777) == 0600);
	free(text);
	unlink(path);
	unlink(other);
}

int main(void)
{
	char directory[] = "/tmp/test_file-XXXXXX";

	if (geteuid()) {
		puts("root is needed: files get other owners");
		return 77;
	}
	if (!mkdtemp(directory))
		return 1;
	test_owner(directory);
	test_links(directory);
	rmdir(directory);
	return unit_end();
}
